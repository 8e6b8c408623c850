"""The default backbone on a shelf: text in to items out, beside the bare arithmetic of its models."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np

from measuring import Row, interleaved, row
from shelfwalk.generators.prompts import Prompts
from shelfwalk.shelf.shelf import Shelf

BEAM, QUERIES = 50, 200


def shelf_rows(path: Path, rounds: int) -> list[Row]:
    """One query at a time with a beam of 50; the queries are the first words of the items' own titles."""
    shelf = Shelf.open(path, beam=BEAM)
    titles = shelf.items["title"].to_pylist()[:: max(len(shelf.items) // QUERIES, 1)]
    texts = itertools.cycle([" ".join(title.split()[:3]) for title in titles if title.split()])
    again = itertools.cycle([" ".join(title.split()[:3]) for title in titles if title.split()])
    # The search's own: a second copy of the weights would push the first out of the processor's caches in turn.
    generator = shelf.generative._generator

    def whole() -> None:
        shelf.search(next(texts), 10, "generative", explain=False)

    def bare() -> None:
        text = next(again)
        memory = generator.encode(Prompts.of([text], shelf.encoder.encode([text])))
        cache, tokens, beams = generator.start(1), None, 1
        for level in range(len(generator.level_sizes)):
            _, cache = generator.step(memory, cache, tokens, level)
            beams = min(BEAM, beams * generator.level_sizes[level])
            tokens = np.zeros((1, beams), np.int32)
            if cache.shape[1] != beams:
                cache = np.repeat(cache[:, :1], beams, axis=1)

    times = interleaved({"whole": whole, "bare": bare}, max(rounds, QUERIES))
    setting = f"{len(shelf.items):,} items, beam {BEAM}, one query"
    reach = "median ≤ 12 ms, p99 ≤ 25 ms, ≤ 1.3 × the bare arithmetic (ratio ≥ 0.77)"
    return [
        row("default backbone: text in to items out", setting, times["whole"], times["bare"], "its models alone", reach)
    ]
