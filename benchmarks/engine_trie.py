"""The trie by itself: building it, its size, its steps, masks beside those of others, filters and live changes."""

from __future__ import annotations

import time
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from measuring import Row, Timing, interleaved, row
from shelfwalk.constraints.item_filter import ItemFilter
from shelfwalk.constraints.live_trie import LiveTrie
from shelfwalk.constraints.trie import Trie
from shelfwalk.generators.beam_kernels import best_extensions
from shelfwalk.generators.beam_search import _highest

SIZE, LEVELS, BEAMS = 1_024, 3, 100
FIRST_CHARACTER = 0x4E00
"""Of codes as text for a grammar: from here on no character means anything in an expression."""
STATIC = "STATIC (its torch code, measured in another run)"


def catalogue(items: int) -> npt.NDArray[np.int32]:
    return np.random.default_rng(items).integers(0, SIZE, (items, LEVELS)).astype(np.int32)


def trie_rows(rounds: int, largest: int) -> list[Row]:
    """All rows of the trie; `largest`: identifiers of the largest catalogue."""
    rows = [*_build_rows(1_000_000)]
    small, million, large = (Trie.build(catalogue(items)) for items in (100_000, 1_000_000, largest))
    rows += _step_rows(small, large, largest, rounds)
    rows += _mask_rows(rounds)
    for trie, name in ((million, "1 M"), (large, f"{largest / 1e6:g} M")):
        rows += _filter_rows(trie, name, rounds)
        rows += _live_rows(trie, name, rounds)
    return rows


def _build_rows(items: int) -> list[Row]:
    codes = catalogue(items)
    ours = interleaved({"ours": lambda: Trie.build(codes)}, 7)["ours"]
    seconds = Timing(ours.median / 1e3, ours.p99 / 1e3)
    setting = f"{items / 1e6:g} M identifiers of {LEVELS} × {SIZE:,}"
    megabytes = Trie.build(codes).nbytes / 1e6
    rows = [
        row("trie: build", setting, seconds, 0.29, STATIC, "≤ 0.3 s", "s"),
        row("trie: size, with the items under each", setting, megabytes, 20.0, STATIC, "≤ 16 MB", "MB"),
    ]
    if find_spec("marisa_trie"):
        import marisa_trie

        # One letter a code, as its keys are text.
        keys = ["".join(map(chr, path)) for path in (codes + 0x400).tolist()]
        started = time.perf_counter()
        built: Any = marisa_trie.Trie(keys)
        rows.append(row("trie: build", setting, seconds, time.perf_counter() - started, "marisa-trie", "", "s"))
        size = len(built.tobytes()) / 1e6
        rows.append(row("trie: size (its own lacks the items)", setting, megabytes, size, "marisa-trie", "", "MB"))
    started = time.perf_counter()
    _dictionary(codes)
    rows.append(
        row("trie: build", setting, seconds, time.perf_counter() - started, "dictionary of dictionaries", "", "s")
    )
    return rows


def _dictionary(codes: npt.NDArray[np.int32]) -> dict[int, Any]:
    root: dict[int, Any] = {}
    for path in codes.tolist():
        node = root
        for code in path:
            node = node.setdefault(code, {})
    return root


class _Step:
    """One step of a search behind the first code, for every beam: what may follow, the best, where they lead."""

    def __init__(self, trie: Trie) -> None:
        random = np.random.default_rng(0)
        first = np.sort(random.permutation(SIZE)[:BEAMS]).astype(np.int32)
        self.trie, self.states = trie, trie.advance(trie.initial(BEAMS), first)
        logits = 3 * random.normal(size=(BEAMS, SIZE))
        self.steps = (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))).astype(np.float32)
        self.scores = np.sort(self.steps[0])[::-1][random.permutation(BEAMS)].copy()
        self.live, self.widths = np.arange(BEAMS), np.array([BEAMS])

    def constraint(self) -> None:
        self.trie.allowed_in_place(self.states)
        self.trie.advance(*self.moves)

    def whole(self) -> None:
        sets = self.trie.allowed_in_place(self.states)
        highest = _highest(self.scores, self.steps, self.live, sets)
        rows, tokens, _, counts = best_extensions(
            self.scores, self.steps, highest, BEAMS, self.live, sets.begins, sets.ends, sets.tokens, self.widths
        )
        self.moves = self.states[rows[0, : counts[0]]], tokens[0, : counts[0]]
        self.trie.advance(*self.moves)


def _step_rows(small: Trie, large: Trie, largest: int, rounds: int) -> list[Row]:
    steps = {"100 k": _Step(small), f"{largest / 1e6:g} M": _Step(large)}
    for step in steps.values():
        step.whole()
    kinds = {
        "the constraint (allowed, advance)": lambda step: step.constraint(),
        "the whole step (and the best of all extensions)": lambda step: step.whole(),
    }
    rows = []
    for kind, run in kinds.items():
        times = interleaved({name: lambda step=step, run=run: run(step) for name, step in steps.items()}, 20 * rounds)
        (low, under), (high, above) = times.items()
        rows.append(
            row(
                f"trie: {kind}, {BEAMS} beams, level 2 (ratio: small / large, reach 0.77)",
                f"ours: {high}; beside: {low} identifiers",
                above,
                under,
                "ours, small",
                "≤ 1.3 × the small one's time",
            )
        )
    return rows


def _mask_rows(rounds: int) -> list[Row]:
    """What may follow, last level of 3 × 256: scores of the allowed tokens gathered, or a mask added to all."""
    size, items = 256, 40_000
    codes = np.random.default_rng(1).integers(0, size, (items, LEVELS)).astype(np.int32)
    trie = Trie.build(codes)
    follows: dict[tuple[int, ...], list[int]] = {}
    for path in sorted({tuple(path) for path in codes.tolist()}):
        follows.setdefault(path[:2], []).append(path[2])
    grammar = _grammar(follows, size) if find_spec("outlines_core") else None
    rows = []
    for beams in (10, 50, 100):
        prefixes = codes[:beams, :2]
        states = trie.advance(trie.advance(trie.initial(beams), prefixes[:, 0]), prefixes[:, 1])
        steps = np.random.default_rng(2).normal(size=(beams, size)).astype(np.float32)
        scores, live, widths = np.zeros(beams, np.float32), np.arange(beams), np.array([beams])

        def gathered(states=states, steps=steps, scores=scores, live=live, widths=widths) -> None:
            sets = trie.allowed_in_place(states)
            highest = np.full(len(live), np.inf, np.float32)
            best_extensions(scores, steps, highest, len(live), live, sets.begins, sets.ends, sets.tokens, widths)

        def masked(states=states, steps=steps, beams=beams) -> None:
            # The same idea as STATIC's: a mask from flat arrays, then the best of everything.
            sets = trie.allowed(states)
            masked = np.full(steps.shape, -np.inf, np.float32)
            places = np.repeat(np.arange(beams), np.diff(sets.offsets)), sets.tokens
            masked[places] = steps[places]
            np.argpartition(masked.ravel(), -beams)

        functions = {"ours": gathered, "a mask from flat arrays (ours, plain)": masked}
        if find_spec("transformers"):
            functions["transformers PrefixConstrainedLogitsProcessor, 8.8 k vocabulary"] = _their_mask(
                prefixes, follows, beams
            )
        if grammar is not None:
            functions["outlines-core, all identifiers as one expression"] = _grammar_mask(grammar, prefixes, steps)
        times = interleaved(functions, 10 * rounds)
        ours = times.pop("ours")
        rows += [row("mask of one step", f"{beams} beams, 3 × 256", ours, time, name) for name, time in times.items()]
    return rows


def _their_mask(prefixes: npt.NDArray[np.int32], follows: dict[tuple[int, ...], list[int]], beams: int) -> Any:
    import torch
    from transformers.generation.logits_process import PrefixConstrainedLogitsProcessor

    processor = PrefixConstrainedLogitsProcessor(lambda _, prefix: follows[tuple(prefix.tolist())], beams)
    prefix, scores = torch.from_numpy(prefixes.astype(np.int64)), torch.zeros(beams, 8_800)
    return lambda: processor(prefix, scores)


def _grammar(follows: dict[tuple[int, ...], list[int]], size: int) -> Any:
    """The identifiers as an automaton over codes, each a character of its own by level."""
    from outlines_core import Index, Vocabulary

    def character(level: int, code: int) -> str:
        return chr(FIRST_CHARACTER + level * size + code)

    # A tree of alternatives: a flat list of all identifiers is not compiled in minutes.
    branches: dict[int, list[str]] = {}
    for (first, second), lasts in follows.items():
        leaves = "".join(character(2, last) for last in lasts)
        branches.setdefault(first, []).append(f"{character(1, second)}[{leaves}]")
    words = [f"{character(0, first)}({'|'.join(under)})" for first, under in branches.items()]
    codes = {character(level, code): [level * size + code] for level in range(LEVELS) for code in range(size)}
    return Index("|".join(words), Vocabulary(LEVELS * size, codes))


def _grammar_mask(grammar: Any, prefixes: npt.NDArray[np.int32], steps: npt.NDArray[np.float32]) -> Any:
    size = steps.shape[1]
    states = []
    for first, second in prefixes.tolist():
        opened = grammar.get_next_state(grammar.get_initial_state(), first)
        states.append(grammar.get_next_state(opened, size + second))

    def masked() -> None:
        found = np.full(steps.shape, -np.inf, np.float32)
        for beam, state in enumerate(states):
            tokens = np.array(grammar.get_allowed_tokens(state)) - 2 * size
            found[beam, tokens] = steps[beam, tokens]
        np.argpartition(found.ravel(), -len(states))

    return masked


def _filter_rows(trie: Trie, name: str, rounds: int) -> list[Row]:
    items = len(trie.posting_items)
    random = np.random.default_rng(0)
    # Made once a catalogue, when the first narrow filter comes.
    _ = trie.leaf_of_item
    rows = []
    for share in (0.1, 0.01, 0.0001):
        allowed = random.random(items) < share
        narrowed = trie.narrowed(ItemFilter(allowed))
        first = narrowed.allowed(narrowed.initial(1)).tokens[:BEAMS]
        states = narrowed.advance(narrowed.initial(len(first)), first)
        everything = trie.advance(trie.initial(len(first)), first)
        times = interleaved(
            {
                "prepare": lambda allowed=allowed: trie.narrowed(ItemFilter(allowed)),
                "filtered": lambda narrowed=narrowed, states=states: narrowed.allowed(states),
                "plain": lambda everything=everything: trie.allowed(everything),
            },
            rounds,
        )
        setting = f"{name} identifiers, {share:.2%} of the items pass, {len(first)} beams"
        rows.append(row("filter: prepare once", setting, times["prepare"], None, ""))
        rows.append(row("filter: allowed, level 2", setting, times["filtered"], times["plain"], "ours, no filter"))
    return rows


def _live_rows(trie: Trie, name: str, rounds: int) -> list[Row]:
    live = LiveTrie(trie)
    items = len(trie.posting_items)
    live.change(remove=[0])
    added = iter(range(items, items + 1_000_000))
    removed = iter(range(1, items))
    times = interleaved(
        {
            "add": lambda: live.change(add=[next(added)], codes=np.zeros((1, LEVELS), np.int32)),
            "remove": lambda: live.change(remove=[next(removed)]),
        },
        rounds,
    )
    return [row(f"live: {kind} one identifier", f"{name} identifiers", time, None, "") for kind, time in times.items()]
