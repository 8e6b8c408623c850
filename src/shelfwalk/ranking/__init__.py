"""Ordering: which items of the generated clusters come first."""
