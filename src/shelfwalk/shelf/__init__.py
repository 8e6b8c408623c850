"""The shelf on disk: immutable generations with a manifest, published whole, and the resumable steps that build one."""
