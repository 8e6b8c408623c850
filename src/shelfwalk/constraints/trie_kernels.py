"""The compiled steps of a trie: children of many nodes, moves of many nodes, and which nodes a filter leaves alive.

In: the arrays of `shelfwalk.constraints.trie.Trie`. Bits of nodes are packed, bit n & 63 of word n >> 6 for node n; an
empty array of words stands for all alive. All release the interpreter's lock, and are compiled once a machine.
"""

from __future__ import annotations

import numba
import numpy as np

_WORD = np.int64(6)
_BIT = np.int64(63)


@numba.njit(cache=True, nogil=True)
def is_set(words, node):  # type: ignore[no-untyped-def]
    """Whether a node's bit is set."""
    return (words[node >> _WORD] >> np.uint64(node & _BIT)) & np.uint64(1) != 0


@numba.njit(cache=True, nogil=True)
def set_bit(words, node):  # type: ignore[no-untyped-def]
    """Set a node's bit."""
    words[node >> _WORD] |= np.uint64(1) << np.uint64(node & _BIT)


# The place of a word's only bit, by the six bits that a product with this number brings to the top (Leiserson, Prokop
# and Randall, "Using de Bruijn sequences to index a 1 in a computer word", 1998).
_DE_BRUIJN = np.uint64(0x03F79D71B4CB0A89)
_PLACES = np.zeros(64, np.int64)
for _place in range(64):
    _PLACES[((1 << _place) * int(_DE_BRUIJN) & (2**64 - 1)) >> 58] = _place


@numba.njit(cache=True, nogil=True)
def next_set(words, node, end):  # type: ignore[no-untyped-def]
    """The first node from `node` on, before `end`, whose bit is set, or `end`."""
    while node < end:
        word = words[node >> _WORD] >> np.uint64(node & _BIT)
        if word != 0:
            lowest = word & (~word + np.uint64(1))
            return min(node + _PLACES[(lowest * _DE_BRUIJN) >> np.uint64(58)], end)
        node = ((node >> _WORD) + 1) << _WORD
    return end


@numba.njit(cache=True, nogil=True)
def _living_tokens(tokens, alive, begin, end, found, total):  # type: ignore[no-untyped-def]
    """Append the tokens of the living nodes of a range that is not empty; how many `found` holds then."""
    first, last = begin >> _WORD, (end - 1) >> _WORD
    for number in range(first, last + 1):
        word = alive[number]
        if number == first:
            word &= ~np.uint64(0) << np.uint64(begin & _BIT)
        if number == last:
            word &= ~np.uint64(0) >> np.uint64(_BIT - ((end - 1) & _BIT))
        while word != 0:
            lowest = word & (~word + np.uint64(1))
            found[total] = tokens[(number << _WORD) + _PLACES[(lowest * _DE_BRUIJN) >> np.uint64(58)]]
            total += 1
            word ^= lowest
    return total


@numba.njit(cache=True, nogil=True)
def children_of(children, tokens, alive, nodes):  # type: ignore[no-untyped-def]
    """The tokens of the living children of each node, end to end: offsets int64 [nodes + 1], tokens int32.

    A leaf has none, nor has a node below 0.
    """
    inner = len(children) - 1
    everything = len(alive) == 0
    offsets = np.zeros(len(nodes) + 1, np.int64)
    most = 0
    for place in range(len(nodes)):
        node = nodes[place]
        if 0 <= node < inner:
            most += children[node + 1] - children[node]
    found = np.empty(most, np.int32)
    total = 0
    for place in range(len(nodes)):
        node = nodes[place]
        if 0 <= node < inner:
            begin, end = np.int64(children[node]), np.int64(children[node + 1])
            if everything:
                for child in range(begin, end):
                    found[total] = tokens[child]
                    total += 1
            else:
                total = _living_tokens(tokens, alive, begin, end, found, total)
        offsets[place + 1] = total
    return offsets, found[:total]


@numba.njit(cache=True, nogil=True)
def ranges_of(children, nodes):  # type: ignore[no-untyped-def]
    """Where the children of each node begin and end, int64 [nodes] each; a leaf has none, nor has a node below 0."""
    inner = len(children) - 1
    begins, ends = np.zeros(len(nodes), np.int64), np.zeros(len(nodes), np.int64)
    for place in range(len(nodes)):
        node = nodes[place]
        if 0 <= node < inner:
            begins[place], ends[place] = children[node], children[node + 1]
    return begins, ends


@numba.njit(cache=True, nogil=True)
def moved(children, tokens, alive, nodes, chosen):  # type: ignore[no-untyped-def]
    """The living child of each node by its token, int64 [nodes]; −1 where there is none.

    A token below 0 ends the path: it leads to the leaf.
    """
    inner = len(children) - 1
    result = np.full(len(nodes), -1, np.int64)
    for place in range(len(nodes)):
        node, token = nodes[place], chosen[place]
        if not 0 <= node < inner:
            continue
        low, end = np.int64(children[node]), np.int64(children[node + 1])
        high = end
        while low < high:
            middle = (low + high) // 2
            if tokens[middle] < token:
                low = middle + 1
            else:
                high = middle
        if low < end and tokens[low] == token and (len(alive) == 0 or is_set(alive, low)):
            if token < 0:
                while low < inner:
                    low = np.int64(children[low])
            result[place] = low
    return result


@numba.njit(cache=True, nogil=True)
def _mark_inner(children, words, last):  # type: ignore[no-untyped-def]
    """Set the bits of all nodes up to `last` that have a living child; those of later nodes are right already."""
    for node in range(last, -1, -1):
        end = np.int64(children[node + 1])
        if next_set(words, np.int64(children[node]), end) < end:
            set_bit(words, node)


@numba.njit(cache=True, nogil=True)
def alive_by_scan(children, posting_offsets, posting_items, allowed):  # type: ignore[no-untyped-def]
    """The bits of the nodes with an allowed item under them, uint64 words: one pass over all items.

    `allowed` uint64: one bit a catalogue row, for the rows of all items.
    """
    first_leaf = len(children) - 1
    words = np.zeros((children[first_leaf] >> _WORD) + 1, np.uint64)
    for leaf in range(len(posting_offsets) - 1):
        for place in range(posting_offsets[leaf], posting_offsets[leaf + 1]):
            if is_set(allowed, np.int64(posting_items[place])):
                set_bit(words, first_leaf + leaf)
                break
    _mark_inner(children, words, first_leaf - 1)
    return words


@numba.njit(cache=True, nogil=True)
def parent_of(children, node):  # type: ignore[no-untyped-def]
    """The parent of a node that is not the root."""
    low, high = 0, len(children) - 1
    while high - low > 1:
        middle = (low + high) // 2
        if children[middle] <= node:
            low = middle
        else:
            high = middle
    return low


@numba.njit(cache=True, nogil=True)
def alive_by_climbing(children, leaves):  # type: ignore[no-untyped-def]
    """The bits of the given leaves (numbered from 0; −1 stands for none) and of all nodes above them, uint64 words."""
    first_leaf = len(children) - 1
    words = np.zeros((children[first_leaf] >> _WORD) + 1, np.uint64)
    for leaf in leaves:
        if leaf < 0:
            continue
        node = np.int64(first_leaf + leaf)
        while not is_set(words, node):
            set_bit(words, node)
            if node > 0:
                node = np.int64(parent_of(children, node))
    return words


@numba.njit(cache=True, nogil=True)
def without_dead(children, posting_offsets, posting_items, words, allowed, leaves):  # type: ignore[no-untyped-def]
    """Clear, in place, the bits of those of the given leaves that have no allowed item, and of what dies above them."""
    first_leaf = len(children) - 1
    for leaf in leaves:
        lives = False
        for place in range(posting_offsets[leaf], posting_offsets[leaf + 1]):
            lives |= allowed[posting_items[place]]
        node = np.int64(first_leaf + leaf)
        while not lives and is_set(words, node):
            words[node >> _WORD] &= ~(np.uint64(1) << np.uint64(node & _BIT))
            if node > 0:
                node = np.int64(parent_of(children, node))
                end = np.int64(children[node + 1])
                lives = next_set(words, np.int64(children[node]), end) < end


@numba.njit(cache=True, nogil=True)
def merged_sets(first_offsets, first, second_offsets, second):  # type: ignore[no-untyped-def]
    """The union of two ascending sets a state: offsets and tokens as `children_of` gives them."""
    states = len(first_offsets) - 1
    offsets = np.zeros(states + 1, np.int64)
    tokens = np.empty(len(first) + len(second), np.int32)
    total = 0
    for state in range(states):
        left, left_end = first_offsets[state], first_offsets[state + 1]
        right, right_end = second_offsets[state], second_offsets[state + 1]
        while left < left_end or right < right_end:
            if right >= right_end or (left < left_end and first[left] <= second[right]):
                token = first[left]
                if right < right_end and second[right] == token:
                    right += 1
                left += 1
            else:
                token = second[right]
                right += 1
            tokens[total] = token
            total += 1
        offsets[state + 1] = total
    return offsets, tokens[:total]
