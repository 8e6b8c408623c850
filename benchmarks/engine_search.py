"""Whole searches beside Hugging Face's, with the same weights; what the constraint takes of them; and the floor."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from measuring import Row, Timing, interleaved, row
from shelfwalk.constraints.constraint import TokenRanges
from shelfwalk.constraints.trie import Trie
from shelfwalk.encoders.export import quantise
from shelfwalk.generators.beam_search import Beams, beam_search
from shelfwalk.generators.language_models import LanguageModel
from shelfwalk.generators.prompts import Prompts
from shelfwalk.generators.seq2seq_backbone import Seq2SeqBackbone
from shelfwalk.generators.seq2seq_generator import INT8_STEP, STEP, Seq2SeqGenerator

LEVELS, SIZE, FIRST_CODE, LENGTH = 3, 256, 8_000, 16
VOCABULARY = FIRST_CODE + LEVELS * SIZE
"""Words, then the codes of each level: 8.8 thousand, as in the peers' own runs."""
ITEMS = 40_000
MODELS = {
    "T5 4+4, d 128": {"d_model": 128, "d_ff": 1024, "num_layers": 4, "num_heads": 6, "d_kv": 64},
    "T5 6+6, d 512": {"d_model": 512, "d_ff": 2048, "num_layers": 6, "num_heads": 8, "d_kv": 64},
}
BEAMS = (10, 50, 100)
REACH = {
    "T5 4+4, d 128": {10: "≥ 4 ×", 50: "≥ 6 ×", 100: "≥ 8 ×"},
    "T5 6+6, d 512": {10: "≥ 2.5 ×", 50: "≥ 3.5 ×", 100: "≥ 4 ×"},
}
PEER = "transformers generate + dictionary trie"


@dataclass(frozen=True)
class Setup:
    """One model, a catalogue, and the ways to search it: ours is the export that a shelf would hold."""

    model: Any
    generator: Seq2SeqGenerator
    int8: Seq2SeqGenerator
    trie: Trie
    follows: dict[tuple[int, ...], list[int]]

    @classmethod
    def of(cls, name: str) -> Setup:
        from transformers import T5Config, T5ForConditionalGeneration

        torch.manual_seed(0)
        config = T5Config(vocab_size=FIRST_CODE, decoder_start_token_id=0, feed_forward_proj="relu", **MODELS[name])
        model = T5ForConditionalGeneration(config).eval()
        backbone = Seq2SeqBackbone(LanguageModel(model, _tokenizer(), "seq2seq"), (SIZE,) * LEVELS, LENGTH)
        # A fresh model holds all codes alike; a trained one does not.
        with torch.no_grad():
            backbone.codes.inputs *= 3
        with TemporaryDirectory() as folder:
            backbone.export(Path(folder))
            quantise(Path(folder) / STEP, Path(folder) / INT8_STEP, ["MatMul"])
            whole, small = Seq2SeqGenerator.open(Path(folder)), Seq2SeqGenerator.open(Path(folder), int8=True)
        # The same weights as one vocabulary, which is what the peer reads.
        model.resize_token_embeddings(VOCABULARY, mean_resizing=False)
        with torch.no_grad():
            model.get_input_embeddings().weight[FIRST_CODE:] = backbone.codes.inputs
        random = np.random.default_rng(0)
        codes = (SIZE * random.random((ITEMS, LEVELS)) ** 1.5).astype(np.int32)
        starts = [FIRST_CODE + SIZE * level for level in range(LEVELS)]
        follows: dict[tuple[int, ...], set[int]] = {}
        for path in {tuple(path) for path in (codes + np.array(starts)).tolist()}:
            for length in range(LEVELS):
                follows.setdefault((0, *path[:length]), set()).add(path[length])
        lists = {prefix: sorted(tokens) for prefix, tokens in follows.items()}
        return cls(model, whole, small, Trie.build(codes), lists)

    def ours(self, queries: npt.NDArray[np.int64], beams: int) -> Beams:
        return beam_search(self.generator, self.trie, _prompts(queries), beams)

    def ours_int8(self, queries: npt.NDArray[np.int64], beams: int) -> Beams:
        return beam_search(self.int8, self.trie, _prompts(queries), beams)

    def overlap(self, queries: npt.NDArray[np.int64], beams: int) -> float:
        """The share of the ten best paths in float32 that are among the ten best in int8, one query at a time."""
        shares = []
        for query in queries:
            both = (self.ours(query[None], beams), self.ours_int8(query[None], beams))
            one, other = ({tuple(path) for path in found.codes[0, :10].tolist()} for found in both)
            shares.append(len(one & other) / len(one))
        return float(np.mean(shares))

    @torch.inference_mode()
    def theirs(self, queries: npt.NDArray[np.int64], beams: int) -> npt.NDArray[np.int64]:
        follows = self.follows
        found = self.model.generate(
            torch.from_numpy(queries),
            num_beams=beams,
            num_return_sequences=beams,
            max_new_tokens=LEVELS,
            do_sample=False,
            prefix_allowed_tokens_fn=lambda _, prefix: follows[tuple(prefix.tolist())],
        )
        return found.view(len(queries), beams, -1)[:, :, 1:].numpy()

    def same_results(self, queries: npt.NDArray[np.int64], beams: int) -> bool:
        """Whether both find the same paths in the same order, the peer's head too being of the level's codes only."""
        head, level = self.model.lm_head.forward, iter(range(LEVELS))

        def of_level(hidden: torch.Tensor) -> torch.Tensor:
            logits, start = head(hidden), FIRST_CODE + SIZE * next(level)
            logits[..., :start] = logits[..., start + SIZE :] = -torch.inf
            return logits

        self.model.lm_head.forward = of_level
        try:
            theirs = self.theirs(queries, beams)
        finally:
            self.model.lm_head.forward = head
        starts = np.array([FIRST_CODE + SIZE * place for place in range(LEVELS)])
        return np.array_equal(self.ours(queries, beams).codes + starts, theirs)


def _tokenizer() -> Tokenizer:
    """Reads "w17 w4" as tokens 17 and 4."""
    tokenizer = Tokenizer(WordLevel({f"w{number}": number for number in range(FIRST_CODE)}, unk_token="w0"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    return tokenizer


def _prompts(queries: npt.NDArray[np.int64]) -> Prompts:
    texts = [" ".join(f"w{number}" for number in query) for query in queries.tolist()]
    return Prompts.of(texts, np.empty((len(texts), 0), np.float32))


def _queries(number: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng(number).integers(2, FIRST_CODE, (number, LENGTH))


def search_rows(rounds: int) -> list[Row]:
    """Searches of one query and of eight, both sizes of model, the constraint's share, and the floor."""
    rows = []
    for name in MODELS:
        setup = Setup.of(name)
        for number, widths in ((1, BEAMS), (8, (50,))):
            for beams in widths:
                queries = _queries(number)
                same = setup.same_results(queries, beams)
                times = interleaved(
                    {
                        "ours": lambda setup=setup, queries=queries, beams=beams: setup.ours(queries, beams),
                        "int8": lambda setup=setup, queries=queries, beams=beams: setup.ours_int8(queries, beams),
                        "theirs": lambda setup=setup, queries=queries, beams=beams: setup.theirs(queries, beams),
                    },
                    rounds,
                )
                setting = f"{number} quer{'y' if number == 1 else 'ies'}, {beams} beams, {LENGTH} tokens in, " + (
                    "same paths in the same order" if same else "OTHER PATHS"
                )
                rows.append(row(name, setting, times["ours"], times["theirs"], PEER, REACH[name][beams]))
                overlap = setup.overlap(_queries(128), beams)
                setting = f"{setting.split(', same')[0]}, int8, {overlap:.1%} of the ten best"
                rows.append(row(name, setting, times["int8"], times["theirs"], PEER, REACH[name][beams]))
                if number == 1:
                    rows.append(_floor(name, setup, beams, times["ours"]))
        rows.append(_share(name, setup, 100, rounds))
    return rows


class _Timed:
    """A trie that adds up the time spent in it."""

    def __init__(self, trie: Trie) -> None:
        self._trie = trie
        self.seconds = 0.0

    def _timed(self, function: Callable[..., Any], *arguments: Any) -> Any:
        started = time.perf_counter()
        result = function(*arguments)
        self.seconds += time.perf_counter() - started
        return result

    def initial(self, batch: int) -> npt.NDArray[np.int64]:
        return self._trie.initial(batch)

    def allowed_in_place(self, states: npt.NDArray[np.int64]) -> TokenRanges:
        return self._timed(self._trie.allowed_in_place, states)

    def advance(self, states: npt.NDArray[np.int64], tokens: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        return self._timed(self._trie.advance, states, tokens)

    def complete(self, states: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        return self._timed(self._trie.complete, states)


def _share(name: str, setup: Setup, beams: int, rounds: int) -> Row:
    """The constraint's part of a whole search, in percent."""
    prompts, shares = _prompts(_queries(1)), []
    for number in range(rounds + 3):
        timed = _Timed(setup.trie)
        started = time.perf_counter()
        beam_search(setup.generator, timed, prompts, beams)
        if number >= 3:
            shares.append(100 * timed.seconds / (time.perf_counter() - started))
    return row(
        f"{name}: the constraint's share", f"1 query, {beams} beams", float(np.median(shares)), None, "", "≤ 3 %", "%"
    )


def _floor(name: str, setup: Setup, beams: int, ours: Timing) -> Row:
    """Our time beside that of the same multiplications at the machine's own rate, weights read once a step."""
    config = setup.model.config
    inner, d, feed = config.num_heads * config.d_kv, config.d_model, config.d_ff
    a_layer = 4 * d * inner + 2 * d * inner + 2 * d * feed
    encoder = config.num_layers * LENGTH * (4 * d * inner + 2 * d * feed)
    memory = config.num_layers * LENGTH * 2 * d * inner
    a_row = config.num_layers * a_layer + SIZE * d
    rows = 1 + (LEVELS - 1) * beams
    flops = 2 * (encoder + memory + rows * a_row)
    weights = 4 * config.num_layers * a_layer * (LEVELS + 1)
    matrix, copied = _rates()
    floor = 1e3 * max(flops / matrix, weights / copied)
    setting = (
        f"1 query, {beams} beams: {flops / 1e6:.0f} MFLOP at {matrix / 1e9:.0f} GFLOP/s, {weights / 1e6:.0f} MB read"
    )
    return row(f"{name}: distance from the floor (ratio: floor / ours)", setting, ours, floor, "floor")


def _rates() -> tuple[float, float]:
    """Multiplications and additions a second of a matrix product, and bytes a second read by a copy; one thread."""
    left, right = torch.randn(512, 512), torch.randn(512, 512)
    source = torch.randn(1 << 24)
    target = torch.empty_like(source)
    times = interleaved({"product": lambda: left @ right, "copy": lambda: target.copy_(source)}, 20)
    return 2 * 512**3 / times["product"].median * 1e3, 4 * len(source) / times["copy"].median * 1e3
