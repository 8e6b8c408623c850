"""An exported decoder in int8, taken only where it finds what the float one finds.

In: the folder of an exported decoder, the identifiers and query vectors. Out: `step_int8.onnx` beside `step.onnx` if
the ten best identifiers of the two overlap by at least `LEAST_OVERLAP`, and nothing otherwise.

Activations are quantised by their range over all rows of a step, so that here, unlike in float, the scores of a query
depend in their last digits on the beams and queries that it is searched with.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shelfwalk.constraints.constraint import Constraint
from shelfwalk.encoders.export import quantise
from shelfwalk.generators.beam_search import Beams, beam_search
from shelfwalk.generators.onnx_generator import INT8_STEP, OnnxGenerator
from shelfwalk.generators.prompts import Prompts

LEAST_OVERLAP = 0.98
WIDTH = 50
_BEST = 10


@dataclass(frozen=True)
class Int8Choice:
    """The mean share of the ten best float paths that int8 finds too, and whether it was taken."""

    overlap: float
    taken: bool


def take_int8_if_alike(
    folder: Path, constraint: Constraint, prompts: Prompts, least_overlap: float = LEAST_OVERLAP
) -> Int8Choice:
    """Quantise the step of the decoder in `folder`, and keep it if it agrees on `prompts`.

    Raises ValueError if there are no queries to compare on.
    """
    if len(prompts) == 0:
        raise ValueError("int8 is compared with float on queries, and there are none")
    # Not its look-ups: one of them is of minus infinities.
    quantise(folder / "step.onnx", folder / INT8_STEP, ["MatMul"])
    exact, small = OnnxGenerator(folder), OnnxGenerator(folder, int8=True)
    # One query at a time, as a service searches.
    shares = [
        _overlap(beam_search(exact, constraint, prompt, WIDTH), beam_search(small, constraint, prompt, WIDTH))
        for prompt in (prompts.take([row]) for row in range(len(prompts)))
    ]
    overlap = float(np.mean(shares))
    if overlap < least_overlap:
        (folder / INT8_STEP).unlink()
    return Int8Choice(overlap, overlap >= least_overlap)


def _overlap(one: Beams, other: Beams) -> float:
    """The share of the ten best of the one among those of the other; 1 where there are none."""
    left, right = ({tuple(path) for path in beams.codes[0, :_BEST].tolist()} for beams in (one, other))
    return len(left & right) / len(left) if left else 1.0
