"""The cache of queries: finds what was kept as it was, nothing else, from memory and from the disk."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.errors import UserError
from shelfwalk.generators.beam_search import Beams
from shelfwalk.ranking.query_identifiers import QueryCache, QueryIdentifiers, cache_key, cache_keys, most_frequent

TEXTS = st.text("aB é\t", max_size=4)


def identifiers(count: int, candidates: int = 2, levels: int = 3) -> QueryIdentifiers:
    codes = np.arange(count * candidates * levels, dtype=np.int32).reshape(count, candidates, levels)
    return QueryIdentifiers(codes, -np.arange(count * candidates, dtype=np.float32).reshape(count, candidates))


@given(st.lists(TEXTS, max_size=12), st.lists(TEXTS, max_size=6))
def test_it_is_a_dictionary_of_folded_texts(queries: list[str], others: list[str]) -> None:
    kept = identifiers(len(queries))
    first = {cache_key(query): place for place, query in reversed(list(enumerate(queries)))}
    cache = QueryCache.of(queries, kept)
    assert len(cache) == len(first)
    for query in [*queries, *others]:
        found, place = cache.find(query), first.get(" ".join(query.lower().split()))
        assert (found is None) == (place is None)
        if found is not None:
            assert (found.codes == kept.codes[place]).all()
            assert (found.log_probabilities == kept.log_probabilities[place]).all()


def test_what_is_saved_is_what_is_opened(tmp_path: Path) -> None:
    kept = identifiers(3)
    kept.log_probabilities[1, 1] = -np.inf
    kept.codes[1, 1] = -1
    path = tmp_path / "cache.parquet"
    QueryCache.of(["mug", "Blue  cup", "äöü"], kept).save(path)
    cache = QueryCache.open(path, 3)
    assert (len(cache), cache.candidates) == (3, 2)
    found = cache.find("blue cup")
    assert found is not None
    assert found.codes.tolist() == [[6, 7, 8], [-1, -1, -1]]
    assert found.log_probabilities.tolist() == [-2.0, -np.inf]
    assert cache.find("blue cups") is None
    assert pq.read_schema(path).names == ["query", "codes", "log_probabilities"]


def test_a_cache_that_is_damaged_or_of_other_identifiers(tmp_path: Path) -> None:
    path = tmp_path / "cache.parquet"
    QueryCache.of(["mug"], identifiers(1)).save(path)
    with pytest.raises(UserError, match="of identifiers of 3 levels, and those of this shelf have 4"):
        QueryCache.open(path, 4)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(UserError, match=r"missing or damaged: build the shelf again\.$"):
        QueryCache.open(path, 3)
    pq.write_table(pa.table({"query": ["mug"]}), path)
    with pytest.raises(UserError, match="missing or damaged"):
        QueryCache.open(path, 3)


@given(st.lists(TEXTS, max_size=30), st.integers(0, 5))
def test_the_most_frequent_are_those_of_a_counter(queries: list[str], capacity: int) -> None:
    counted = Counter(key for query in queries if (key := cache_key(query)))
    expected = sorted(counted, key=lambda key: (-counted[key], key.encode()))[:capacity]
    column = pa.chunked_array([pa.array(queries, pa.string())])
    assert cache_keys(column).to_pylist() == [cache_key(query) for query in queries]
    assert most_frequent(column, capacity) == expected


def test_fewer_beams_than_candidates_are_padded() -> None:
    beams = Beams(
        np.array([[[1, 2]], [[3, 4]]], np.int32), np.zeros((2, 1, 1), np.int64), np.array([[-0.5], [-1.5]], np.float32)
    )
    found = QueryIdentifiers.of(beams, 3)
    assert found.codes.tolist() == [[[1, 2], [-1, -1], [-1, -1]], [[3, 4], [-1, -1], [-1, -1]]]
    assert found.log_probabilities.tolist() == [[-0.5, -np.inf, -np.inf], [-1.5, -np.inf, -np.inf]]
    assert QueryIdentifiers.of(
        Beams(*(np.repeat(part, 4, axis=1) for part in vars(beams).values())), 3
    ).codes.shape == (2, 3, 2)
