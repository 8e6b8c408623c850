"""What may follow a prefix: structures that keep generation on paths that exist."""
