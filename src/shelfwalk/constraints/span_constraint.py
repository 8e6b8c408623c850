"""The spans of an index as the paths of a beam search.

In: a span index and the longest span. Out: a `Constraint` whose paths are the spans of 1 up to so many tokens.

Every span may end where it stands, so that `END` (before every token) is offered from the first token on, except at the
longest span, which is complete as it is: a span is found once. The states are those of the index; the length of a span
that has ended is negative.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfwalk.constraints.compiled import compiled
from shelfwalk.constraints.constraint import END, TokenSets
from shelfwalk.constraints.span_corpus import Ints
from shelfwalk.constraints.span_index import HIGH, LENGTH, LOW, SpanIndex, States


@dataclass(frozen=True)
class SpanConstraint:
    """Spans that occur in the documents of `index`, of at most `longest` tokens (GenR-PO: 10)."""

    index: SpanIndex
    longest: int = 10

    def initial(self, batch: int) -> States:
        """The state of the empty span, once for each request: int64 [batch, 3]."""
        return self.index.initial(batch)

    def allowed(self, states: States) -> TokenSets:
        """The tokens that may follow each span of `states` [states, 3]; none after an end or at the longest span."""
        open_states = states
        closed = (states[:, LENGTH] < 0) | (states[:, LENGTH] >= self.longest)
        if np.any(closed):
            open_states = states.copy()
            open_states[closed, HIGH] = open_states[closed, LOW]
        following = self.index.next_tokens(open_states)
        may_end = ~closed & (states[:, LENGTH] > 0) & (states[:, LOW] < states[:, HIGH])
        offsets = following.offsets.copy()
        offsets[1:] += np.cumsum(may_end)
        tokens = np.empty(offsets[-1], np.int32)
        _put_ends(following.offsets, following.tokens, may_end, offsets, tokens)
        return TokenSets(offsets, tokens)

    def advance(self, states: States, tokens: Ints) -> States:
        """`states` [states, 3] after one token each; raises ValueError for a token that is not allowed."""
        ends = tokens == END
        advanced = self.index.extend(states, tokens)
        advanced[ends] = states[ends]
        advanced[ends, LENGTH] *= -1
        lengths = states[:, LENGTH]
        refused = (lengths < 0) | (lengths >= self.longest) | (ends & (lengths == 0))
        if np.any(refused | (advanced[:, LOW] >= advanced[:, HIGH])):
            raise ValueError("a token does not follow its span")
        return advanced

    def complete(self, states: States) -> npt.NDArray[np.bool_]:
        """Which of `states` [states, 3] are whole spans: those that have ended, and those of the longest length."""
        return (states[:, LENGTH] < 0) | (states[:, LENGTH] >= self.longest)

    def occurring(self, states: States) -> States:
        """The states of the index for complete spans, by which it counts and locates them: [states, 3]."""
        plain = states.copy()
        np.abs(plain[:, LENGTH], out=plain[:, LENGTH])
        return plain


@compiled
def _put_ends(
    former: npt.NDArray[np.int64],
    following: Ints,
    may_end: npt.NDArray[np.bool_],
    offsets: npt.NDArray[np.int64],
    tokens: Ints,
) -> None:
    for state in range(len(may_end)):
        at = offsets[state]
        if may_end[state]:
            tokens[at] = END
            at += 1
        for index in range(former[state], former[state + 1]):
            tokens[at] = following[index]
            at += 1
