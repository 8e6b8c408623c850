"""How fast the span indexes step, how large they are, and what evidence costs.

Titles are taken as words, and as pieces of a vocabulary of 8 thousand learned from them, 40 thousand and 880 thousand
titles; those beyond the catalogue's own are spliced from two real ones each. Contenders take turns, each turn with its
own batch of prefixes drawn at random from the titles.

Peers: an FM-index on the published packages pydivsufsort and wavelet-matrix (where the latter is installed), and
numpy on a suffix array. SEAL's index is no package: its row is the figure published in its comparison, marked so.
"""

from __future__ import annotations

import gc
import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt

from measuring import Row, Timing, interleaved, row
from shelfwalk.constraints.constraint import TokenSets
from shelfwalk.constraints.fm_index import FMIndex
from shelfwalk.constraints.span_constraint import SpanConstraint
from shelfwalk.constraints.span_corpus import SpanCorpus
from shelfwalk.constraints.span_index import SpanIndex
from shelfwalk.constraints.suffix_array_index import SuffixArrayIndex
from shelfwalk.constraints.suffix_sorting import suffix_array
from shelfwalk.constraints.token_sequences import TokenSequences
from shelfwalk.ranking.span_evidence import span_evidence

BEAMS = 100
ROUNDS = 60
WARM_UP = 3
PIECES = 8_000
CATALOGUES = (40_000, 880_000)
SEAL = "SEAL, C++ (its published figure on another machine)"

States = npt.NDArray[np.int64]
Tokens = npt.NDArray[np.int32]
Work = Callable[[int], object]
"""Takes the number of the turn."""
Peer = Callable[[States], object]


@dataclass(frozen=True)
class Corpus:
    name: str
    documents: TokenSequences
    vocabulary: int

    @property
    def symbols(self) -> int:
        return len(self.documents.tokens) + len(self.documents) + 1

    def prefixes(self, length: int, count: int, seed: int) -> TokenSequences:
        """Spans of one length, each beginning at a random place that has room for it and one token more."""
        drawn = np.random.default_rng(seed).integers(0, len(self._room), 20 * count)
        begins = drawn[self._room[drawn] > length][:count]
        return TokenSequences.of([self.documents.tokens[begin : begin + length] for begin in begins])

    @cached_property
    def _room(self) -> npt.NDArray[np.int64]:
        """From each token to the end of its document."""
        lengths = self.documents.lengths()
        return np.repeat(self.documents.offsets[1:], lengths) - np.arange(len(self.documents.tokens))

    def batches(self, length: int) -> list[TokenSequences]:
        """Prefixes of one length for every turn."""
        return [self.prefixes(length, BEAMS, 1_000 * length + turn) for turn in range(ROUNDS + WARM_UP)]


def span_rows(titles: list[str]) -> list[Row]:
    """Rows of the indexes over words, and over pieces of two sizes."""
    return [found for corpus in corpora(titles) for found in rows_of(corpus)]


def corpora(titles: list[str]) -> Iterator[Corpus]:
    words = [re.findall(r"\w+", title.lower()) for title in titles]
    numbers = {word: index for index, word in enumerate(sorted({word for title in words for word in title}))}
    documents = TokenSequences.of([[numbers[word] for word in title] for title in words])
    yield Corpus(f"{len(titles)} titles, {len(numbers)} words", documents, len(numbers))
    pieces = in_pieces(titles)
    for size in CATALOGUES:
        yield Corpus(f"{size} titles, {PIECES} pieces", spliced(pieces, size), PIECES)


def in_pieces(titles: list[str]) -> list[list[int]]:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
    tokenizer.train_from_iterator(titles, trainers.BpeTrainer(vocab_size=PIECES, show_progress=False))
    return [encoding.ids for encoding in tokenizer.encode_batch(titles)]


def spliced(titles: list[list[int]], size: int) -> TokenSequences:
    """So many titles: the real ones, and then the head of one before the tail of another."""
    heads, tails = np.random.default_rng(7).integers(0, len(titles), (2, size))
    made = (
        titles[head][: len(titles[head]) // 2] + titles[tail][len(titles[tail]) // 2 :]
        for head, tail in zip(heads, tails, strict=True)
    )
    return TokenSequences.of([*titles, *made][:size])


def rows_of(corpus: Corpus) -> Iterator[Row]:
    kinds: dict[str, type[SuffixArrayIndex] | type[FMIndex]] = {"suffix array": SuffixArrayIndex, "FM-index": FMIndex}
    small = len(corpus.documents) == CATALOGUES[0]
    indexes: dict[str, SpanIndex] = {}
    for name, kind in kinds.items():
        indexes[name] = kind.build(corpus.documents, corpus.vocabulary)
        took = in_turns({name: partial(build, kind, corpus)}, 3)[name]
        yield measured(f"build, {name}", corpus, took, 1e-3, "s", 0.84 if small else None, "≤ 0.5 s" if small else "")
        size = indexes[name].bytes / corpus.symbols
        reach = "≤ 12 B" if kind is SuffixArrayIndex else "≤ 3 B"
        yield row(f"spans: size, {name}", corpus.name, size, None, "", reach, "B/symbol")
    peer = wavelet_peer(corpus)
    for length in (1, 2, 3):
        yield from next_token_rows(corpus, indexes, peer, length)
    yield from step_rows(corpus, indexes, small)
    yield from locate_rows(corpus, indexes, small)
    yield from evidence_rows(corpus, indexes, small)


def build(kind: type[SuffixArrayIndex] | type[FMIndex], corpus: Corpus, _: int) -> SpanIndex:
    return kind.build(corpus.documents, corpus.vocabulary)


def measured(
    work: str, corpus: Corpus, took: Timing, scale: float, unit: str, seal: float | None = None, reach: str = ""
) -> Row:
    """A row in `unit`, of which a millisecond has `scale`, beside SEAL's published figure where there is one."""
    return row(f"spans: {work}", corpus.name, scaled(took, scale), seal, SEAL if seal else "", reach, unit)


def scaled(took: Timing, scale: float) -> Timing:
    return Timing(took.median * scale, took.p99 * scale)


def next_token_rows(corpus: Corpus, indexes: dict[str, SpanIndex], peer: Peer | None, length: int) -> Iterator[Row]:
    """Microseconds a set of next tokens with counts."""
    batches = corpus.batches(length)
    states = {name: [index.find(spans) for spans in batches] for name, index in indexes.items()}
    array = indexes["suffix array"]
    assert isinstance(array, SuffixArrayIndex)
    contenders: dict[str, Work] = {
        name: lambda turn, index=index, own=states[name]: index.next_tokens(own[turn])  # type: ignore[misc]
        for name, index in indexes.items()
    }
    contenders["numpy"] = lambda turn: numpy_next_tokens(array, states["suffix array"][turn])
    if peer:
        contenders["pydivsufsort + wavelet-matrix"] = lambda turn: peer(states["FM-index"][turn])
    times = in_turns(contenders, ROUNDS)
    best_peer = min(set(times) - set(indexes), key=lambda name: times[name].median)
    mean = np.mean([array.next_tokens(own).offsets[-1] for own in states["suffix array"]]) / BEAMS
    for name in indexes:
        work = f"spans: next tokens of {length} ({mean:.3g} a set), {name}"
        ours, others = (scaled(times[one], 1e3 / BEAMS) for one in (name, best_peer))
        yield row(work, corpus.name, ours, others, best_peer, "", "µs/set")


def step_rows(corpus: Corpus, indexes: dict[str, SpanIndex], small: bool) -> Iterator[Row]:
    """One step of a search: what may follow 100 spans of 2 tokens, and the move to one of it each."""
    batches = corpus.batches(2)
    contenders: dict[str, Work] = {}
    for name, index in indexes.items():
        constraint, states = SpanConstraint(index), [index.find(spans) for spans in batches]
        tokens = [one_of_each(constraint.allowed(own)) for own in states]
        contenders[f"extend, {name}"] = partial(extend, index, states, tokens)
        contenders[f"step, {name}"] = partial(step, constraint, states, tokens)
    for work, took in in_turns(contenders, ROUNDS).items():
        if work.startswith("extend"):
            yield measured(work, corpus, took, 1e3 / BEAMS, "µs/span")
        else:
            # At 880 thousand titles a step may take ten times as long as at 40 thousand.
            reach = "≤ 0.1 ms" if len(corpus.documents) <= CATALOGUES[0] else "≤ 10 × the step at 40,000"
            yield measured(f"{work}, {BEAMS} beams", corpus, took, 1.0, "ms", 1.1 if small else None, reach)


def one_of_each(sets: TokenSets) -> Tokens:
    """A random token of each set; the first is the end, which costs nothing, and is left out where there is another."""
    lengths = np.diff(sets.offsets)
    drawn = np.random.default_rng(3).integers(np.minimum(1, lengths - 1), lengths)
    return sets.tokens[sets.offsets[:-1] + drawn]


def extend(index: SpanIndex, states: list[States], tokens: list[Tokens], turn: int) -> object:
    return index.extend(states[turn], tokens[turn])


def step(constraint: SpanConstraint, states: list[States], tokens: list[Tokens], turn: int) -> object:
    return constraint.allowed(states[turn]), constraint.advance(states[turn], tokens[turn])


def locate_rows(corpus: Corpus, indexes: dict[str, SpanIndex], small: bool) -> Iterator[Row]:
    batches = corpus.batches(2)
    states = {name: [index.find(spans) for spans in batches] for name, index in indexes.items()}
    contenders: dict[str, Work] = {
        name: lambda turn, index=index, own=states[name]: index.locate(own[turn])  # type: ignore[misc]
        for name, index in indexes.items()
    }
    for name, took in in_turns(contenders, ROUNDS).items():
        rows = float(np.median([indexes[name].count(own).sum() for own in states[name]]))
        yield measured(f"locate, {name}", corpus, took, 1e3 / rows, "µs/place", 9.8 if small else None)


def evidence_rows(corpus: Corpus, indexes: dict[str, SpanIndex], small: bool) -> Iterator[Row]:
    """450 spans of 1 to 5 tokens drawn at random from the titles, as SEAL was measured."""
    generator = np.random.default_rng(17)
    drawn = []
    for turn in range(ROUNDS + WARM_UP):
        parts = [corpus.prefixes(length, 90, 100 * turn + length) for length in range(1, 6)]
        drawn.append(TokenSequences.of([part[number] for part in parts for number in range(90)]))
    log_probabilities = generator.uniform(-9.0, -0.01, len(drawn[0]))
    contenders: dict[str, Work] = {
        name: lambda turn, index=index: span_evidence(index, drawn[turn], log_probabilities)  # type: ignore[misc]
        for name, index in indexes.items()
    }
    for name, took in in_turns(contenders, ROUNDS).items():
        reach = "≤ 12 ms" if small else ""
        work = f"evidence, {len(drawn[0])} spans, {name}"
        yield measured(work, corpus, took, 1.0, "ms", 1222 if small else None, reach)


def in_turns(contenders: dict[str, Work], rounds: int) -> dict[str, Timing]:
    """Each turn has a batch of its own, so that nothing is known from the last."""

    def next_turn(work: Work) -> Callable[[], object]:
        turns = itertools.count()
        return lambda: work(next(turns))

    gc.disable()
    times = interleaved({name: next_turn(work) for name, work in contenders.items()}, rounds, WARM_UP)
    gc.enable()
    return times


def numpy_next_tokens(index: SuffixArrayIndex, states: States) -> list[tuple[object, object]]:
    """Next tokens with counts by `numpy.unique` on the range of a suffix array."""
    found = []
    for low, high, length in states:
        symbols = index.text[index.suffixes[low:high] + length]
        found.append(np.unique(symbols, return_counts=True))
    return found


def wavelet_peer(corpus: Corpus) -> Peer | None:
    """The same question to the package wavelet-matrix over the same transform, if it is installed."""
    try:
        from wavelet_matrix import WaveletMatrix
    except ImportError:
        return None
    backwards = SpanCorpus.build(corpus.documents, corpus.vocabulary).text[::-1].copy()
    matrix = WaveletMatrix([int(backwards[-1]), *backwards[np.maximum(suffix_array(backwards) - 1, 0)].tolist()])
    return lambda states: [matrix.range_list(low, high) for low, high, _ in states.tolist()]
