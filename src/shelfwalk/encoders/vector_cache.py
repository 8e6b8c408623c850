"""Remembers the vector of every text that an encoder has seen, so that a re-run encodes only what changed.

In: texts and an encoder. Out: float32 [texts, dimensions]. On disk, one folder an encoder: pairs of npy files
(16-byte content hashes; vectors), each written whole, so that an interrupted run resumes after its last full block.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shelfwalk.encoders.onnx import EncoderCard

BLOCK = 1_024
"""Texts encoded between two writes: what an interruption can cost."""

Encode = Callable[[Sequence[str]], npt.NDArray[np.float32]]


class VectorCache:
    """The vectors of one encoder, by content hash of the text."""

    def __init__(self, folder: Path, card: EncoderCard) -> None:
        self.folder = folder / "vectors" / card.identity
        self._dimensions = card.dimensions
        self._rows: dict[bytes, tuple[int, int]] = {}
        self._blocks: list[npt.NDArray[np.float32]] = []
        for keys in sorted(self.folder.glob("*.keys.npy")):
            self._read_block(keys)

    def __len__(self) -> int:
        return len(self._rows)

    def encode(
        self, texts: Sequence[str], encode: Encode, progress: Callable[[int], None] | None = None
    ) -> npt.NDArray[np.float32]:
        """Return the vectors of `texts`, calling `encode` for new texts only, a block at a time."""
        hashes = [_content_hash(text) for text in texts]
        missing = {digest: text for digest, text in zip(hashes, texts, strict=True) if digest not in self._rows}
        if progress is not None:
            progress(len(texts) - len(missing))
        # Sorted by length across blocks as well: a block then holds texts of like length.
        new = sorted(missing, key=lambda digest: len(missing[digest]))
        for start in range(0, len(new), BLOCK):
            block = new[start : start + BLOCK]
            self._add_block(block, encode([missing[digest] for digest in block]))
            if progress is not None:
                progress(len(block))
        vectors = np.empty((len(texts), self._dimensions), np.float32)
        for row, digest in enumerate(hashes):
            block_number, position = self._rows[digest]
            vectors[row] = self._blocks[block_number][position]
        return vectors

    def _add_block(self, hashes: Sequence[bytes], vectors: npt.NDArray[np.float32]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        name = uuid.uuid4().hex
        # The keys are written last: a block without keys is never read.
        _save_whole(self.folder / f"{name}.vectors.npy", vectors)
        _save_whole(self.folder / f"{name}.keys.npy", np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, 16))
        self._remember(hashes, vectors)

    def _read_block(self, keys_file: Path) -> None:
        vectors_file = keys_file.with_name(keys_file.name.replace(".keys.", ".vectors."))
        try:
            keys, vectors = _read_whole(keys_file), _read_whole(vectors_file)
        except Exception:  # numpy's reader lets errors of many kinds through when a header is damaged.
            return  # A damaged block of a cache is as good as none: its texts are encoded again.
        rows = keys.shape[:1]
        shapes = (keys.shape, vectors.shape)
        if shapes == ((*rows, 16), (*rows, self._dimensions)) and vectors.dtype == np.float32:
            self._remember([row.tobytes() for row in keys], vectors)

    def _remember(self, hashes: Sequence[bytes], vectors: npt.NDArray[np.float32]) -> None:
        number = len(self._blocks)
        self._blocks.append(vectors)
        self._rows.update({digest: (number, row) for row, digest in enumerate(hashes)})


def _content_hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _read_whole(path: Path) -> npt.NDArray[Any]:
    """The array in a file, mapped; ValueError where the file is longer: its header then lies about where it begins."""
    array: np.memmap[Any, Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.offset + array.nbytes != path.stat().st_size:
        raise ValueError(f"{path} is not as long as its header says")
    return array


def _save_whole(path: Path, array: npt.NDArray[np.generic]) -> None:
    temporary = path.with_suffix(".partial")
    with temporary.open("wb") as stream:
        np.save(stream, array, allow_pickle=False)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
