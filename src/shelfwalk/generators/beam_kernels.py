"""The compiled part of a beam search's step: scores of all allowed extensions, and the best of each query.

In: the beams' scores, the log-probabilities of the next codes, and the token sets of the beams. Only the entries of
allowed tokens are read, so no mask over all codes is ever made; the candidates are never written down either: a heap of
the best so far is kept while they pass. The rule for ties is the candidate's place, which is the order of paths: of
equal scores the earlier path is kept.
"""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def _is_worse(scores, places, left, right):  # type: ignore[no-untyped-def]
    if scores[left] != scores[right]:
        return scores[left] < scores[right]
    return places[left] > places[right]


@numba.njit(cache=True, nogil=True)
def _swap(scores, places, left, right):  # type: ignore[no-untyped-def]
    scores[left], scores[right] = scores[right], scores[left]
    places[left], places[right] = places[right], places[left]


@numba.njit(cache=True, nogil=True)
def _rise(scores, places, entry):  # type: ignore[no-untyped-def]
    """Let a new last entry of the heap find its place; the worst entry is the first."""
    while entry > 0:
        above = (entry - 1) // 2
        if not _is_worse(scores, places, entry, above):
            break
        _swap(scores, places, entry, above)
        entry = above


@numba.njit(cache=True, nogil=True)
def _sink(scores, places, size):  # type: ignore[no-untyped-def]
    """Let a new first entry of the heap find its place."""
    entry = 0
    while True:
        below = 2 * entry + 1
        if below >= size:
            break
        if below + 1 < size and _is_worse(scores, places, below + 1, below):
            below += 1
        if not _is_worse(scores, places, below, entry):
            break
        _swap(scores, places, entry, below)
        entry = below


@numba.njit(cache=True, nogil=True)
def best_extensions(scores, steps, beams, live, offsets, tokens, end_column, widths):  # type: ignore[no-untyped-def]
    """The best `widths[query]` extensions of every query, in the order of their paths, and the paths that end.

    `scores` float32 [rows] of the beams, `steps` float32 [rows, size] of the next codes; rows `beams`·q up to
    `beams`·(q + 1) belong to query q. `live` int64 [sets]: the row that each token set belongs to, ascending. A token
    below 0 ends a path, by column `end_column`.

    → the row, token and score of each extension [queries, most], of which the first counts[query] hold, the rest being
    0, 0 and −inf; counts [queries]; rows and scores [ended] of the paths that end. Extensions of score −inf or NaN are
    none. Raises IndexError for a token that `steps` has no column for, ValueError for an end where there is no column.
    """
    queries, size = len(widths), steps.shape[1]
    sets = len(live)
    most = 0
    first = 0
    for query in range(queries):
        last = first
        while last < sets and live[last] < beams * (query + 1):
            last += 1
        most = max(most, min(widths[query], offsets[last] - offsets[first]))
        first = last
    rows, chosen = np.zeros((queries, most), np.int64), np.zeros((queries, most), np.int32)
    best = np.full((queries, most), -np.inf, np.float32)
    counts = np.zeros(queries, np.int64)
    ended_rows, ended_scores = np.empty(sets, np.int64), np.empty(sets, np.float32)
    ended = 0
    heap, places = np.empty(most, np.float32), np.empty(most, np.int64)
    number = 0
    for query in range(queries):
        held = 0
        width = min(widths[query], most)
        first = number
        while number < sets and live[number] < beams * (query + 1):
            row = live[number]
            for place in range(offsets[number], offsets[number + 1]):
                token = tokens[place]
                if token >= size:
                    raise IndexError("the generator has no code of that number")
                if token < 0:
                    if end_column < 0:
                        raise ValueError("paths may end early, but the generator knows no end")
                    score = scores[row] + steps[row, end_column]
                    if score > -np.inf:
                        ended_rows[ended], ended_scores[ended] = row, score
                        ended += 1
                    continue
                score = scores[row] + steps[row, token]
                if held < width:
                    if score > -np.inf:
                        heap[held], places[held] = score, place
                        _rise(heap, places, held)
                        held += 1
                elif score > heap[0]:
                    heap[0], places[0] = score, place
                    _sink(heap, places, width)
            number += 1
        counts[query] = held
        for slot, place in enumerate(np.sort(places[:held])):
            while offsets[first + 1] <= place:
                first += 1
            row, token = live[first], tokens[place]
            rows[query, slot], chosen[query, slot] = row, token
            best[query, slot] = scores[row] + steps[row, token]
    return rows, chosen, best, counts, ended_rows[:ended], ended_scores[:ended]
