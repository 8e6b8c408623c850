"""The names of what a generation of a shelf holds; the build writes them, `Shelf` opens them."""

from __future__ import annotations

ITEMS = "items.arrow"
VECTORS = "vectors.npy"
TEXT_ENCODER = "encoder"
QUERY_TOWER = "query_tower"
SHOPPER_TOWER = "shopper_tower"
BM25 = "bm25"
EFFICIENCY = "efficiency.npy"
TOKENIZER = "tokenizer"
TRIE = "trie"
GENERATOR = "generator"
GENERATOR_ENCODER = "generator_encoder"
RANKER = "ranker"
QUERY_CACHE = "query_identifiers.parquet"
TRAINING_QUERIES = "training_queries.parquet"
