"""Channels: anything that returns scored items for a request, and their fusion into one list."""
