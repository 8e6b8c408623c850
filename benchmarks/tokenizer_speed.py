"""How long the CQ-SID tokeniser takes to fit and to encode, and what memory that needs.

    python benchmarks/tokenizer_speed.py --threads 2

fits on 20,000 made-up vectors of 384 numbers, unit length, in 300 categories, with 100,000 pairs of 10,000 queries, as
the recipe cqsid-query does (clusters capped), and encodes 1,000,000 vectors; core seconds tell what of the wall
seconds the work itself took. Writes benchmarks/results/tokenizer_speed.json. Aimed at: at most 180 seconds each on 2
cores. Refuses a machine that is busy with something else, unless `--busy`, which the file then says.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from measuring import pin_threads, refuse_busy_machine

RESULTS = Path(__file__).parent / "results" / "tokenizer_speed.json"
REACH = 180.0
"""Seconds."""
DIMENSIONS = 384
QUERIES = 10_000


def catalogue(items: int, categories: int, seed: int) -> tuple[Any, Any]:
    """A made-up table of items and their vectors, float32: a centre for each category, and noise as large."""
    import numpy as np
    import pyarrow as pa

    random = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(categories, DIMENSIONS)).astype(np.float32)
    of_item = random.integers(categories, size=items)
    vectors = centres[of_item]
    vectors += random.standard_normal(size=(items, DIMENSIONS), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    paths = [[f"part {number % 20}", f"category {number}"] for number in range(categories)]
    names = pa.array(paths, pa.list_(pa.string())).take(pa.array(of_item))
    return pa.table({"item_id": np.char.add(f"{seed}-", np.arange(items).astype(str)), "category": names}), vectors


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(items: int, pairs: int, encoded: int, threads: int) -> dict[str, Any]:
    import numpy as np

    from shelfwalk.data.query_item_pairs import QueryItemPairs
    from shelfwalk.recipes.recipe import load_recipe
    from shelfwalk.tokenizers.learning_pairs import LearningPairs
    from shelfwalk.tokenizers.made_of_settings import tokenizer_of

    table, vectors = catalogue(items, 300, 1)
    random = np.random.default_rng(2)
    item_rows = random.integers(items, size=pairs).astype(np.int32)
    query_rows = random.integers(QUERIES, size=pairs).astype(np.int32)
    of_query = vectors[random.integers(items, size=QUERIES)]
    texts = tuple(f"query {number}" for number in range(QUERIES))
    learnt_from = LearningPairs(QueryItemPairs(texts, query_rows, item_rows), of_query)
    settings = load_recipe("cqsid-query").tokenizer
    assert settings is not None
    tokenizer = tokenizer_of(settings, 0)
    before, started, own = peak_megabytes(), time.perf_counter(), time.process_time()
    tokenizer.fit(table, vectors, learnt_from)
    fit_seconds, after_fit = time.perf_counter() - started, peak_megabytes()
    fit_own = time.process_time() - own
    print(f"Fitted in {fit_seconds:.0f} s, {fit_own:.0f} s of a core.", flush=True)
    new_table, new_vectors = catalogue(encoded, 300, 3)
    ready, started, own = peak_megabytes(), time.perf_counter(), time.process_time()
    codes = tokenizer.encode(new_table, new_vectors)
    encode_seconds, encode_own = time.perf_counter() - started, time.process_time() - own
    assert len(codes) == encoded
    return {
        "items": items, "dimensions": DIMENSIONS, "pairs": pairs, "epochs": settings.epochs, "threads": threads,
        "fit_seconds": round(fit_seconds, 1), "fit_core_seconds": round(fit_own, 1),
        "fit_megabytes_more": round(after_fit - before),
        "encoded": encoded, "encode_seconds": round(encode_seconds, 1), "encode_core_seconds": round(encode_own, 1),
        "encode_megabytes_more": round(peak_megabytes() - ready),
        "vectors_megabytes": round(new_vectors.nbytes / 2**20),
        "reach_seconds": REACH,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--encoded", type=int, default=1_000_000)
    parser.add_argument("--busy", action="store_true", help="measure although others use the machine")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    pin_threads(arguments.threads)
    if not arguments.busy:
        refuse_busy_machine()
    from shelfwalk.evaluation.results import installed_versions, this_machine

    found = measure(arguments.items, arguments.pairs, arguments.encoded, arguments.threads)
    about = {"busy_machine": arguments.busy, "machine": asdict(this_machine()), "versions": installed_versions()}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps({**found, **about}, indent=1) + "\n", encoding="utf-8")
    for name, value in found.items():
        print(f"{name:24} {value:>12,}")


if __name__ == "__main__":
    main()
