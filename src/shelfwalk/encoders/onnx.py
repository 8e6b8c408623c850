"""Runs an exported text encoder with onnxruntime; needs neither torch nor transformers.

In: a folder with `model.onnx`, `tokenizer.json` and `encoder.json`. Out: unit vectors, float32 [texts, dimensions].
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
from tokenizers import Tokenizer

BATCH = 32
"""Texts that `encode_together` runs at once: the fastest of the sizes measured."""
CHARACTERS_A_TOKEN = 20
"""How much text is read for each token of the limit: the longest word of a usual vocabulary and its space. What lies
beyond would be cut off as tokens; not reading it bounds the time."""


@dataclass(frozen=True)
class EncoderCard:
    """What an exported encoder is: `encoder.json`."""

    name: str
    sha256: str
    """Of all the files that shape its vectors (`weights.encoder_sha256`)."""
    dimensions: int
    token_limit: int
    precision: str
    """`int8` or `float32`."""

    @property
    def identity(self) -> str:
        """Names the exact function from text to vector; the key of cached vectors."""
        return f"{self.sha256[:16]}-{self.precision}-{self.token_limit}"


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
        # The stored tokenizer may pad every text, to 128 tokens for the default encoder: three times the work.
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(self.card.token_limit)
        self._threads = threads
        self._session = onnx_session(folder / "model.onnx", threads=1)

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Encode texts as unit vectors, float32 [len(texts), dimensions].

        The vector of a text does not depend on the texts beside it: each runs alone, `threads` at a time.
        """
        vectors = np.empty((len(texts), self.card.dimensions), np.float32)
        tokens = self._tokens(texts)
        with ThreadPoolExecutor(self._threads) as pool:
            # A single query, or a single thread, needs no pool: starting one takes as long as a short text.
            run = pool.map if min(self._threads, len(tokens)) > 1 else map
            for row, vector in enumerate(run(self._run, [[ids] for ids in tokens])):
                vectors[row] = vector[0]
        return vectors

    def encode_together(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """As `encode`, in batches of texts of like length: twice as fast for queries, equal for long texts.

        Int8 activations of a batch share one scale, so that a vector depends on its neighbours by about as much as int8
        differs from float: good enough to train on, not to compare items by.
        """
        vectors = np.empty((len(texts), self.card.dimensions), np.float32)
        tokens = self._tokens(texts)
        order = np.argsort([len(ids) for ids in tokens], kind="stable")
        batches = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
        with ThreadPoolExecutor(self._threads) as pool:
            results = pool.map(self._run, [[tokens[row] for row in rows] for rows in batches])
            for rows, batch in zip(batches, results, strict=True):
                vectors[rows] = batch
        return vectors

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        readable = [_readable(text[: CHARACTERS_A_TOKEN * self.card.token_limit]) for text in texts]
        return [encoding.ids for encoding in self._tokenizer.encode_batch(readable)]

    def _run(self, tokens: list[list[int]]) -> npt.NDArray[np.float32]:
        """The vectors of one batch, padded to its longest text."""
        longest = max(len(ids) for ids in tokens)
        input_ids = np.zeros((len(tokens), longest), np.int64)
        attention_mask = np.zeros_like(input_ids)
        for row, ids in enumerate(tokens):
            input_ids[row, : len(ids)] = ids
            attention_mask[row, : len(ids)] = 1
        result = self._session.run(None, {"input_ids": input_ids, "attention_mask": attention_mask})[0]
        return np.asarray(result, np.float32)


def _readable(text: str) -> str:
    """The text without lone surrogates, which a terminal makes of broken UTF-8 and the tokenizer refuses."""
    return text.encode("utf-8", "replace").decode("utf-8")
