"""From an item to its identifier, and how well the codes are used.

Residual and hierarchical k-means, RQ-VAE, CQ-SID, and as controls hyperplanes and random codes; around them a
uniqueness token, capped clusters, and levels that are removed or swapped.
"""
