"""Ordering: which items come first, of generated clusters, of generated spans, and of a fused list.

The score inside clusters, the published look-up order and the efficiency that it goes by; the evidence of spans; the
relevance model, how far identifiers agree, and the cache of queries' identifiers.
"""
