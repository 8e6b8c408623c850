"""The compiled part of a beam search's step: scores of all allowed extensions, and the best of each query.

In: the beams' scores, the log-probabilities of the next codes, and the token sets of the beams. Only the entries of
allowed tokens are read, so no mask over all codes is ever made; the candidates are never written down either: a heap of
the best so far is kept while they pass. The rule for ties is the candidate's place, which is the order of paths: of
equal scores the earlier path is kept, in whatever order candidates come.
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
def _offer(heap, places, held, width, score, place):  # type: ignore[no-untyped-def]
    """Put a candidate into the heap if it belongs there; how many the heap holds then."""
    if held < width:
        if score > -np.inf:
            heap[held], places[held] = score, place
            _rise(heap, places, held)
            held += 1
    elif score > heap[0] or (score == heap[0] and place < places[0]):
        heap[0], places[0] = score, place
        _sink(heap, places, width)
    return held


@numba.njit(cache=True, nogil=True)
def ending_paths(scores, steps, live, begins, ends, tokens, end_column):  # type: ignore[no-untyped-def]
    """Rows int64 and scores float32 [ended] of the paths that may end: those whose set begins with a token below 0.

    Raises IndexError for a token that `steps` has no column for, ValueError for an end where there is no column.
    """
    rows, sums = np.empty(len(live), np.int64), np.empty(len(live), np.float32)
    ended = 0
    for number in range(len(live)):
        if begins[number] == ends[number]:
            continue
        if tokens[ends[number] - 1] >= steps.shape[1]:
            raise IndexError("the generator has no code of that number")
        if tokens[begins[number]] < 0:
            if end_column < 0:
                raise ValueError("paths may end early, but the generator knows no end")
            row = live[number]
            score = scores[row] + steps[row, end_column]
            if score > -np.inf:
                rows[ended], sums[ended] = row, score
                ended += 1
    return rows[:ended], sums[:ended]


@numba.njit(cache=True, nogil=True)
def best_extensions(scores, steps, highest, beams, live, begins, ends, tokens, widths):  # type: ignore[no-untyped-def]
    """The best `widths[query]` extensions of every query by one token, in the order of their paths.

    `scores` float32 [rows] of the beams, `steps` float32 [rows, size] of the next codes; rows `beams`·q up to
    `beams`·(q + 1) belong to query q. `live` int64 [sets]: the row that each token set belongs to, ascending. `highest`
    float32 [sets]: no extension by the set's tokens scores more. Sets are looked at from the highest down, until none
    can enter the best any more.

    → the row, token and score of each extension [queries, most], of which the first counts[query] hold, the rest being
    0, 0 and −inf; counts [queries]. Extensions of score −inf or NaN are none, nor are ends.
    """
    queries = len(widths)
    sets = len(live)
    bounds = np.searchsorted(live, np.arange(queries + 1) * beams)
    # The place of a set's first candidate, if those of all sets stood end to end: the rule for ties.
    places_before = np.zeros(sets + 1, np.int64)
    most = 0
    for query in range(queries):
        for number in range(bounds[query], bounds[query + 1]):
            places_before[number + 1] = places_before[number] + ends[number] - begins[number]
        candidates = places_before[bounds[query + 1]] - places_before[bounds[query]]
        most = max(most, min(widths[query], candidates))
    rows, chosen = np.zeros((queries, most), np.int64), np.zeros((queries, most), np.int32)
    best = np.full((queries, most), -np.inf, np.float32)
    counts = np.zeros(queries, np.int64)
    heap, places = np.empty(most, np.float32), np.empty(most, np.int64)
    for query in range(queries):
        first, last = bounds[query], bounds[query + 1]
        width = min(widths[query], most)
        held = 0
        for position in np.argsort(-highest[first:last], kind="mergesort"):
            number = first + position
            if held == width and highest[number] < heap[0]:
                break
            row, begin = live[number], begins[number]
            if begin < ends[number] and tokens[begin] < 0:
                begin += 1
            place = places_before[number] - begins[number]
            base, of_row = scores[row], steps[row]
            # Almost all candidates fail this one comparison; equal scores go on to the rule for ties.
            lowest = heap[0] if held == width else -np.inf
            for at in range(begin, ends[number]):
                score = base + of_row[np.uint32(tokens[at])]
                if score >= lowest:
                    held = _offer(heap, places, held, width, score, place + at)
                    lowest = heap[0] if held == width else -np.inf
        counts[query] = held
        number = first
        for slot, place in enumerate(np.sort(places[:held])):
            while places_before[number + 1] <= place:
                number += 1
            row, token = live[number], tokens[begins[number] + place - places_before[number]]
            rows[query, slot], chosen[query, slot] = row, token
            best[query, slot] = scores[row] + steps[row, token]
    return rows, chosen, best, counts
