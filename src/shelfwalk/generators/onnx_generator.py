"""The exported decoder as a `Generator`: onnxruntime and numpy, no torch.

In: a folder with `memory.onnx`, `step.onnx` and `generator.json`, as `generators.export` writes it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shelfwalk.encoders.onnx import onnx_session
from shelfwalk.generators.generator import FloatArray
from shelfwalk.generators.prompts import Prompts

INT8_STEP = "step_int8.onnx"


@dataclass(frozen=True)
class _Memory:
    query_vectors: FloatArray
    keys_values: FloatArray
    masked: dict[str, npt.NDArray[np.bool_]]
    """By its name as an input of a step; empty for a decoder that reads no histories."""


class OnnxGenerator:
    """Runs an exported decoder level by level."""

    def __init__(self, folder: Path, threads: int = 1, *, int8: bool = False) -> None:
        """Open the decoder in `folder`; `int8`: in int8 if that was found to agree with float (`generators.int8`)."""
        sizes = json.loads((folder / "generator.json").read_text(encoding="utf-8"))
        self._history_length: int | None = sizes.get("history_length")
        self._level_sizes = tuple(int(size) for size in sizes["level_sizes"])
        # The embedding row of code 0 of each level; row 0 opens every path.
        self._row_offsets = np.concatenate(([1], 1 + np.cumsum(self._level_sizes)))
        self._cache_shape = (int(sizes["layers"]), 2 * int(sizes["heads"]), 0, int(sizes["width"] // sizes["heads"]))
        self.is_int8 = int8 and (folder / INT8_STEP).is_file()
        self._memory = onnx_session(folder / "memory.onnx", threads)
        self._step = onnx_session(folder / (INT8_STEP if self.is_int8 else "step.onnx"), threads)

    @property
    def level_sizes(self) -> tuple[int, ...]:
        """The number of codes of each level."""
        return self._level_sizes

    @property
    def end_column(self) -> None:
        """None: every path has all levels."""
        return None

    def encode(self, prompts: Prompts) -> _Memory:
        """Keys and values of the prompts' vectors, and of their histories where the decoder reads those."""
        vectors = np.ascontiguousarray(prompts.vectors, np.float32)
        if self._history_length is None:
            return _Memory(vectors, self._memory.run(None, {"query_vectors": vectors})[0], {})
        histories = prompts.latest(self._history_length, len(self._level_sizes))
        keys_values, masked = self._memory.run(None, {"query_vectors": vectors, "histories": histories})
        return _Memory(vectors, keys_values, {"masked": masked})

    def start(self, queries: int) -> FloatArray:
        """The empty cache."""
        return np.zeros((queries, 1, *self._cache_shape), np.float32)

    def step(
        self, memory: _Memory, cache: FloatArray, tokens: npt.NDArray[np.int32] | None, level: int
    ) -> tuple[FloatArray, FloatArray]:
        """See `Generator.step`."""
        if tokens is None:
            rows = np.zeros((len(memory.query_vectors), 1), np.int64)
        else:
            rows = tokens.astype(np.int64) + self._row_offsets[level - 1]
        scores, cache = self._step.run(
            None,
            {
                "query_vectors": memory.query_vectors,
                "memory": memory.keys_values,
                "cache": cache,
                "rows": rows,
                "level": np.asarray(level, np.int64),
                **memory.masked,
            },
        )
        return scores, cache

    def reorder(self, cache: FloatArray, parents: npt.NDArray[np.int64]) -> FloatArray:
        """See `Generator.reorder`."""
        return cache[np.arange(len(parents))[:, None], parents]
