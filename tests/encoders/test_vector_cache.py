"""The vector cache: it encodes what is new and nothing else, whatever happened to its files."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shelfwalk.encoders import vector_cache
from shelfwalk.encoders.onnx import EncoderCard
from shelfwalk.encoders.vector_cache import VectorCache

DIMENSIONS = 6
CARD = EncoderCard("made up", "ab" * 32, DIMENSIONS, 48, "float32")


def vector(text: str) -> npt.NDArray[np.float32]:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return np.frombuffer(digest[:DIMENSIONS], np.uint8).astype(np.float32)


def vectors(texts: Sequence[str]) -> npt.NDArray[np.float32]:
    return np.array([vector(text) for text in texts], np.float32).reshape(-1, DIMENSIONS)


class CountingEncoder:
    """Remembers what it was asked, and is interrupted in the call of that number."""

    def __init__(self, interrupted_in: int | None = None) -> None:
        self.calls: list[list[str]] = []
        self._interrupted_in = interrupted_in

    @property
    def asked(self) -> list[str]:
        return [text for call in self.calls for text in call]

    def __call__(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        if len(self.calls) == self._interrupted_in:
            raise KeyboardInterrupt
        self.calls.append(list(texts))
        return vectors(texts)


def check(folder: Path, texts: Sequence[str], new: Sequence[str], card: EncoderCard = CARD) -> None:
    """A cache opened anew gives the right vectors and asks for `new`, each once."""
    encoder = CountingEncoder()
    np.testing.assert_array_equal(VectorCache(folder, card).encode(texts, encoder), vectors(texts))
    assert sorted(encoder.asked) == sorted(new)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_cache, "BLOCK", 4)


@settings(max_examples=60)
@given(st.lists(st.lists(st.text(max_size=8) | st.sampled_from("abc"), max_size=15), max_size=4))
def test_encodes_each_text_once_ever_and_keeps_the_order_of_rows(runs: list[list[str]]) -> None:
    known: set[str] = set()
    with TemporaryDirectory() as name:
        open_cache = VectorCache(Path(name), CARD)
        for texts in runs:
            encoder, done = CountingEncoder(), []
            result = open_cache.encode(texts, encoder, done.append)
            assert result.dtype == np.float32
            np.testing.assert_array_equal(result, vectors(texts))
            assert sorted(encoder.asked) == sorted(set(texts) - known)
            assert all(len(call) <= 4 for call in encoder.calls)
            assert sum(done) == len(texts)
            known |= set(texts)
            check(Path(name), texts, [])
        assert len(open_cache) == len(VectorCache(Path(name), CARD)) == len(known)


@pytest.mark.parametrize("text", ["", "écran 27″", "ノートパソコン", "\udcff broken", "a\x00b", "x" * 10_000])
def test_remembers_any_text(tmp_path: Path, text: str) -> None:
    check(tmp_path, [text, "other"], [text, "other"])
    check(tmp_path, ["other", text], [])


@pytest.mark.parametrize("call", range(3))
def test_goes_on_after_the_last_full_block_when_interrupted(tmp_path: Path, call: int) -> None:
    texts = [f"text {number:02d}" for number in range(11)]
    interrupted = CountingEncoder(interrupted_in=call)
    with pytest.raises(KeyboardInterrupt):
        VectorCache(tmp_path, CARD).encode(texts, interrupted)
    assert len(interrupted.asked) == 4 * call
    check(tmp_path, texts, [text for text in texts if text not in interrupted.asked])


def test_goes_on_after_a_failure_in_the_same_process(tmp_path: Path) -> None:
    texts = [f"text {number:02d}" for number in range(6)]
    cache = VectorCache(tmp_path, CARD)
    with pytest.raises(KeyboardInterrupt):
        cache.encode(texts, CountingEncoder(interrupted_in=1))
    encoder = CountingEncoder()
    np.testing.assert_array_equal(cache.encode(texts, encoder), vectors(texts))
    assert len(encoder.asked) == 2


TEXTS = ["one", "three", "fifteen"]


def written(folder: Path) -> tuple[Path, Path]:
    """The files of a cache of one block, `TEXTS`: its keys and its vectors."""
    VectorCache(folder, CARD).encode(TEXTS, vectors)
    keys, values = sorted(path for path in folder.rglob("*") if path.is_file())
    assert keys.name.endswith(".keys.npy") and values.name.endswith(".vectors.npy")
    return keys, values


@pytest.mark.parametrize("which", [0, 1])
def test_encodes_again_what_is_missing_or_of_another_kind(tmp_path: Path, which: int) -> None:
    rows = ((3, 16), (3, DIMENSIONS))[which]
    kind = (np.uint8, np.float32)[which]
    wrong = [np.zeros((rows[0] + 1, rows[1]), kind), np.zeros((rows[0], rows[1] + 1), kind), np.zeros(3, kind)]
    wrong += [np.zeros((), kind), np.zeros(rows, np.float64), np.array([["a" * 9] * rows[1]] * rows[0])]
    for number, array in enumerate(wrong):
        damaged = written(tmp_path / str(number))[which]
        np.save(damaged, array)
        check(tmp_path / str(number), TEXTS, TEXTS)
    written(tmp_path / "missing")[which].unlink()
    check(tmp_path / "missing", TEXTS, TEXTS)


@pytest.mark.parametrize("which", [0, 1])
def test_encodes_again_what_was_cut_short_anywhere(tmp_path: Path, which: int) -> None:
    damaged = written(tmp_path)[which]
    whole = damaged.read_bytes()
    for length in (*range(0, 130, 3), len(whole) - 1):
        damaged.write_bytes(whole[:length])
        assert len(VectorCache(tmp_path, CARD)) == 0
    check(tmp_path, TEXTS, TEXTS)
    check(tmp_path, TEXTS, [])


@settings(max_examples=150)
@given(st.sampled_from([0, 1]), st.lists(st.tuples(st.integers(0, 127), st.integers(1, 255)), min_size=1, max_size=4))
@example(0, [(8, 16)])  # A header that is said to be shorter: the array seems to begin a key earlier,
@example(1, [(8, 2)])  # or two bytes.
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_damaged_header_never_gives_a_wrong_vector(which: int, flips: list[tuple[int, int]]) -> None:
    with TemporaryDirectory() as name:
        damaged = written(Path(name))[which]
        content = bytearray(damaged.read_bytes())
        for position, bits in flips:
            content[position] ^= bits
        damaged.write_bytes(content)
        np.testing.assert_array_equal(VectorCache(Path(name), CARD).encode(TEXTS, vectors), vectors(TEXTS))


@pytest.mark.parametrize(
    "other",
    [
        EncoderCard("made up", "cd" * 32, DIMENSIONS, 48, "float32"),
        EncoderCard("made up", "ab" * 32, DIMENSIONS, 48, "int8"),
        EncoderCard("made up", "ab" * 32, DIMENSIONS, 128, "float32"),
    ],
    ids=["weights", "precision", "token limit"],
)
def test_another_encoder_has_vectors_of_its_own(tmp_path: Path, other: EncoderCard) -> None:
    check(tmp_path, TEXTS, TEXTS)
    VectorCache(tmp_path, other).encode(TEXTS, lambda texts: -vectors(texts))
    check(tmp_path, TEXTS, [])
    np.testing.assert_array_equal(VectorCache(tmp_path, other).encode(TEXTS, vectors), -vectors(TEXTS))


def test_the_same_encoder_under_another_name_shares_its_vectors(tmp_path: Path) -> None:
    check(tmp_path, TEXTS, TEXTS)
    check(tmp_path, TEXTS, [], EncoderCard("renamed", "ab" * 32, DIMENSIONS, 48, "float32"))


WRITER = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_vector_cache import CARD, vectors
from shelfwalk.encoders import vector_cache
vector_cache.BLOCK = 2
first, folder = int(sys.argv[1]), Path(sys.argv[2])
texts = [f"text {{number}}" for number in range(first, first + 40)]
cache = vector_cache.VectorCache(folder, CARD)
print("ready", flush=True)
sys.stdin.readline()
cache.encode(texts, vectors)
"""


def test_two_processes_may_write_at_once(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, first, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for first in ("0", "20")
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    assert [writer.communicate() and writer.returncode for writer in writers] == [0, 0]
    check(tmp_path, [f"text {number}" for number in range(60)], [])
