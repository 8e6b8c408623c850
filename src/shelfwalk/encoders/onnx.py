"""Runs an exported text encoder with onnxruntime; needs neither torch nor transformers.

In: a folder with `model.onnx`, `tokenizer.json` and `encoder.json`. Out: unit vectors, float32 [texts, dimensions].
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
from tokenizers import Tokenizer

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

    def encode(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> npt.NDArray[np.float32]:
        """Encode texts as unit vectors, float32 [len(texts), dimensions]; `progress` is told of each finished text.

        The vector of a text does not depend on the texts beside it.
        """
        vectors = np.empty((len(texts), self.card.dimensions), np.float32)
        readable = [_readable(text[: CHARACTERS_A_TOKEN * self.card.token_limit]) for text in texts]
        tokens = [encoding.ids for encoding in self._tokenizer.encode_batch(readable)]
        # Each text runs alone, `threads` at a time: int8 activations share one scale among all that runs together, so
        # that a batch would make a text's vector depend on its neighbours, and padding would cost more than it saves.
        with ThreadPoolExecutor(self._threads) as pool:
            # A single query, or a single thread, needs no pool: starting one takes as long as a short text.
            run = pool.map if min(self._threads, len(tokens)) > 1 else map
            for row, vector in enumerate(run(self._run, tokens)):
                vectors[row] = vector
                if progress is not None:
                    progress(1)
        return vectors

    def _run(self, tokens: list[int]) -> npt.NDArray[np.float32]:
        input_ids = np.array([tokens], np.int64)
        result = self._session.run(None, {"input_ids": input_ids, "attention_mask": np.ones_like(input_ids)})[0]
        return np.asarray(result[0], np.float32)


def _readable(text: str) -> str:
    """The text without lone surrogates, which a terminal makes of broken UTF-8 and the tokenizer refuses."""
    return text.encode("utf-8", "replace").decode("utf-8")
