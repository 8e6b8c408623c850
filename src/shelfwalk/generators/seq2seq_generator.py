"""An encoder-decoder as a `Generator`; searching with its export needs onnxruntime and no torch.

In: a folder with `memory.onnx`, `step.onnx`, `tokenizer.json` and `generator.json`, as `seq2seq_export` writes it; or
whatever else runs the two functions of `seq2seq_walk`. Out: scores of codes. Reordering beams moves the numbers of
their ancestors, never keys or values.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from shelfwalk.encoders.onnx import onnx_session
from shelfwalk.generators.generator import FloatArray
from shelfwalk.generators.prompt_tokens import PromptReader, Vocabulary, side_by_side
from shelfwalk.generators.prompts import Prompts

MEMORY, STEP, INT8_STEP = "memory.onnx", "step.onnx", "step_int8.onnx"
FOLDED = tuple(f"{of}_{what}" for of in ("opening", "input") for what in ("keys", "values", "added"))
"""What the memory holds for each layer."""


class Seq2SeqFunctions(Protocol):
    """What an encoder-decoder is run with; shapes are said in `seq2seq_walk.Seq2SeqWalk`."""

    def memory(self, ids: npt.NDArray[np.int64], mask: FloatArray) -> tuple[FloatArray, Any]:
        """Log-probabilities of the first level, and what all steps need."""
        ...

    def step(
        self,
        rows: npt.NDArray[np.int64],
        level: int,
        ancestors: npt.NDArray[np.int64],
        past: FloatArray,
        memory: Any,
    ) -> tuple[FloatArray, FloatArray]:
        """Log-probabilities of a later level, and the rows that the beams add to the past."""
        ...


@dataclass(frozen=True)
class _Memory:
    first: FloatArray
    folded: Any


@dataclass(frozen=True)
class _Cache:
    """`past` [rows so far, 2 · layers, inner]; `ancestors` int64 [queries, beams, codes so far]: rows of it."""

    past: FloatArray
    ancestors: npt.NDArray[np.int64]


class Seq2SeqGenerator:
    """Runs an encoder-decoder level by level."""

    def __init__(self, functions: Seq2SeqFunctions, reader: PromptReader, layers: int, inner: int) -> None:
        """`inner`: the width of all heads together."""
        self._functions = functions
        self._reader = reader
        self._row = (2 * layers, inner)
        vocabulary = reader.vocabulary
        self._level_sizes = vocabulary.level_sizes
        self._offsets = vocabulary.starts - vocabulary.words

    @classmethod
    def open(cls, folder: Path, threads: int = 1, *, int8: bool = False) -> Seq2SeqGenerator:
        """Open an exported model; `int8`: with the step that was quantised, which must be there."""
        card = json.loads((folder / "generator.json").read_text(encoding="utf-8"))
        vocabulary = Vocabulary(int(card["words"]), tuple(int(size) for size in card["level_sizes"]))
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        # A shelf that an earlier version has built does not say how much is read of a history.
        limits = int(card["prompt_tokens"]), card["most_tokens"], card.get("history_length")
        reader = PromptReader(tokenizer, vocabulary, *limits)
        return cls(_OnnxFunctions(folder, threads, int8=int8), reader, int(card["layers"]), int(card["inner"]))

    @property
    def level_sizes(self) -> tuple[int, ...]:
        """The number of codes of each level."""
        return self._level_sizes

    @property
    def end_column(self) -> None:
        """None: every path has all levels."""
        return None

    def encode(self, prompts: Prompts) -> _Memory:
        """Reads the prompts' texts and histories."""
        tokens, present = side_by_side(self._reader.tokens(prompts))
        mask = np.where(present, np.float32(0), np.float32(-np.inf))
        return _Memory(*self._functions.memory(tokens, mask))

    def start(self, queries: int) -> _Cache:
        """The empty cache."""
        return _Cache(np.zeros((0, *self._row), np.float32), np.zeros((queries, 1, 0), np.int64))

    def step(
        self, memory: _Memory, cache: _Cache, tokens: npt.NDArray[np.int32] | None, level: int
    ) -> tuple[FloatArray, _Cache]:
        """See `Generator.step`."""
        if tokens is None:
            return memory.first, cache
        rows = tokens + self._offsets[level - 1]
        scores, kept = self._functions.step(rows, level, cache.ancestors, cache.past, memory.folded)
        if level + 1 == len(self._level_sizes):
            return scores, cache
        own = len(cache.past) + np.arange(tokens.size).reshape(*tokens.shape, 1)
        new = kept.reshape(-1, *self._row)
        past = np.concatenate((cache.past, new)) if len(cache.past) else new
        return scores, _Cache(past, np.concatenate((cache.ancestors, own), axis=2))

    def reorder(self, cache: _Cache, parents: npt.NDArray[np.int64]) -> _Cache:
        """See `Generator.reorder`."""
        return _Cache(cache.past, cache.ancestors[np.arange(len(parents))[:, None], parents])


class _OnnxFunctions:
    """The exported functions."""

    def __init__(self, folder: Path, threads: int, *, int8: bool) -> None:
        self._memory = onnx_session(folder / MEMORY, threads)
        self._step = onnx_session(folder / (INT8_STEP if int8 else STEP), threads)

    def memory(self, ids: npt.NDArray[np.int64], mask: FloatArray) -> tuple[FloatArray, dict[str, FloatArray]]:
        """See `Seq2SeqFunctions.memory`."""
        first, *folded = self._memory.run(None, {"ids": ids, "mask": mask})
        return first, by_layer(folded)

    def step(
        self,
        rows: npt.NDArray[np.int64],
        level: int,
        ancestors: npt.NDArray[np.int64],
        past: FloatArray,
        memory: dict[str, FloatArray],
    ) -> tuple[FloatArray, FloatArray]:
        """See `Seq2SeqFunctions.step`."""
        feeds = {"rows": rows, "level": np.asarray(level, np.int64), "ancestors": ancestors, "past": past}
        scores, kept = self._step.run(None, feeds | memory)
        return scores, kept


def by_layer(folded: Sequence[Any]) -> dict[str, Any]:
    """The parts of the memory, each [layers, ...], apart by layer and named."""
    return {
        f"{name}_{layer}": part[layer]
        for layer in range(len(folded[0]))
        for name, part in zip(FOLDED, folded, strict=True)
    }
