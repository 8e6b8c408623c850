"""Text to vectors: finding pretrained weights, exporting them once, running them, and remembering what was encoded."""
