"""Runs an exported text encoder with onnxruntime; needs neither torch nor transformers.

In: a folder with `model.onnx`, `tokenizer.json` and `encoder.json`. Out: unit vectors, float32 [texts, dimensions].
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
from tokenizers import Tokenizer

# Batches of 32 were the fastest size for every runtime that was measured.
BATCH = 32
CHARACTERS_READ = 2_000
"""Text beyond this many characters is not read: more than any encoder's token limit covers, and it bounds the time."""


@dataclass(frozen=True)
class EncoderCard:
    """What an exported encoder is: `encoder.json`."""

    name: str
    weights_sha256: str
    dimensions: int
    token_limit: int
    precision: str
    """`int8` or `float32`."""

    @property
    def identity(self) -> str:
        """Names the exact function from text to vector; the key of cached vectors."""
        return f"{self.weights_sha256[:16]}-{self.precision}-{self.token_limit}"


def write_card(folder: Path, card: EncoderCard) -> None:
    """Write `encoder.json` into `folder`."""
    (folder / "encoder.json").write_text(json.dumps(asdict(card), indent=1) + "\n", encoding="utf-8")


def onnx_session(model: Path, threads: int) -> onnxruntime.InferenceSession:
    """Open an ONNX file on the CPU with a fixed number of threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A spinning pool would take a core from whatever else serves the same request.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


class OnnxTextEncoder:
    """An exported text encoder, ready to run."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        card = json.loads((folder / "encoder.json").read_text(encoding="utf-8"))
        self.card = EncoderCard(**card)
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        # The stored tokenizer pads every text to 128 tokens, which would cost three times the work.
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(self.card.token_limit)
        self._session = onnx_session(folder / "model.onnx", threads)

    def encode(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> npt.NDArray[np.float32]:
        """Encode texts as unit vectors, float32 [len(texts), dimensions]; `progress` is told of each finished batch."""
        vectors = np.zeros((len(texts), self.card.dimensions), np.float32)
        tokens = [encoding.ids for encoding in self._tokenizer.encode_batch([text[:CHARACTERS_READ] for text in texts])]
        # Texts of like length share a batch, so that little of it is padding.
        order = np.argsort([len(ids) for ids in tokens], kind="stable")
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            vectors[rows] = self._run([tokens[row] for row in rows])
            if progress is not None:
                progress(len(rows))
        return vectors

    def _run(self, tokens: list[list[int]]) -> npt.NDArray[np.float32]:
        longest = max(len(ids) for ids in tokens)
        input_ids = np.zeros((len(tokens), longest), np.int64)
        attention_mask = np.zeros_like(input_ids)
        for row, ids in enumerate(tokens):
            input_ids[row, : len(ids)] = ids
            attention_mask[row, : len(ids)] = 1
        result = self._session.run(None, {"input_ids": input_ids, "attention_mask": attention_mask})[0]
        return np.asarray(result, np.float32)
