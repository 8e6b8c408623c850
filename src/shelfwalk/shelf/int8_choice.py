"""Whether a shelf searches with its generator in int8: where the recipe asks for it and held-out queries agree.

In: the exported generator, the identifiers, and the training pairs. Out: the facts; and the int8 file, where it finds
what float finds.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shelfwalk.constraints.trie import Trie
from shelfwalk.encoders.onnx import OnnxTextEncoder
from shelfwalk.generators.prompts import Prompts
from shelfwalk.shelf.pair_step import TrainingPairs

MOST_QUERIES = 100


def choose_int8(
    generator: Path, trie: Trie, pairs: TrainingPairs, vectors: npt.NDArray[np.float32], encoder: Path | None
) -> dict[str, Any]:
    """Facts named `int8`: the mean share of the ten best that int8 finds too, and whether it was taken.

    `vectors` [queries, dimensions]; `encoder`: the generator's own, where it has one. Without a held-out query to
    compare on, int8 is not taken and there is no share.
    """
    from shelfwalk.generators.int8 import take_int8_if_alike

    rows = np.unique(pairs.to_choose_by().query_rows)
    if not len(rows):
        return {"int8": {"overlap": None, "taken": False}}
    # Spread over all of them: they stand in the order of their sources.
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), MOST_QUERIES)).astype(int)]
    texts = [pairs.queries[row] for row in rows.tolist()]
    prompts = Prompts.of(texts, vectors[rows] if encoder is None else OnnxTextEncoder(encoder).encode(texts))
    return {"int8": asdict(take_int8_if_alike(generator, trie, prompts))}
