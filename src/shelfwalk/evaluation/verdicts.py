"""Judges published claims by the results at hand.

In: `Claims`, `Evidence`, and the hash of the data by its name. Out: for each claim a `ClaimVerdict`: *holds* where the
whole interval of ours (claim_figures.py) and the figure of every seed lie in the claim's band, *does not hold* where
the interval and every seed lie outside, *cannot tell* (and why) where the interval lies across an end of the band, a
seed is on another side, seeds are too few or results are missing, *not built* where a recipe does not exist.

The interval is over queries, of means over the seeds: without the seeds' own figures a verdict would be about these
trainings and no others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from shelfwalk.errors import UserError
from shelfwalk.evaluation.claim_figures import CannotTellError, ClaimFigures, Measured
from shelfwalk.evaluation.claims import Claim, Claims, MeasuredClaim, RatioOfRatiosClaim, StructuralClaim
from shelfwalk.evaluation.evidence import Evidence
from shelfwalk.evaluation.significance import RESAMPLES
from shelfwalk.recipes.recipe import recipe_names

Verdict = Literal["holds", "does not hold", "cannot tell", "not built"]
VERDICTS: tuple[Verdict, ...] = ("holds", "does not hold", "cannot tell", "not built")
_PLACES: dict[Verdict, str] = {"holds": "inside", "does not hold": "outside", "cannot tell": "across an end of"}


@dataclass(frozen=True)
class ClaimVerdict:
    """What became of one claim; `ours`, `low` and `high` are None where nothing was measured, `seeds` is how many.

    `high` is infinite where the interval has no end: a beam that some resamples never find.
    """

    id: str
    claim: str
    source: str
    published: float | str
    ours: float | None
    low: float | None
    high: float | None
    seeds: int
    verdict: Verdict
    why: str

    def to_json(self) -> dict[str, Any]:
        """All but the id as plain values for `json.dumps`; an infinite `high`, which JSON has no word for, is None."""
        values = {name: value for name, value in vars(self).items() if name != "id"}
        return values | {"high": None} if self.high == math.inf else values


def judge(
    claims: Claims, evidence: Evidence, hashes: Mapping[str, str], *, resamples: int = RESAMPLES
) -> tuple[ClaimVerdict, ...]:
    """Judge every claim of a file; `hashes` names the content of each data by its name, where it is known."""
    figures = ClaimFigures(claims, evidence, hashes, resamples)
    return tuple(_verdict(claim, figures) for claim in claims.claims)


def _verdict(claim: Claim, figures: ClaimFigures) -> ClaimVerdict:
    unknown = [name for name in figures.claims.recipes(claim) if name not in recipe_names()]
    if unknown:
        return _unmeasured(claim, "not built", f"no recipe is called {' or '.join(unknown)} yet")
    if isinstance(claim, StructuralClaim):
        if not claim.checked_by:
            return _unmeasured(claim, "cannot tell", "no test checks it yet")
        return _unmeasured(claim, "holds", f"a test asserts it: {', '.join(claim.checked_by)}")
    try:
        measured = figures.measure(claim)
    except (CannotTellError, UserError) as error:
        return _unmeasured(claim, "cannot tell", str(error).removesuffix("."))
    return _judged(claim, measured, _seeds_needed(claim, figures.claims))


def _seeds_needed(claim: MeasuredClaim, claims: Claims) -> int:
    if isinstance(claim, RatioOfRatiosClaim):
        return max(claims.ratio(ratio).seeds for ratio in claim.ratios)
    return claim.seeds


def _unmeasured(claim: Claim, verdict: Verdict, why: str) -> ClaimVerdict:
    return ClaimVerdict(claim.id, claim.claim, claim.source, claim.published, None, None, None, 0, verdict, why)


def _judged(claim: MeasuredClaim, measured: Measured, needed: int) -> ClaimVerdict:
    verdict = _place(claim, measured.low, measured.high)
    why = f"the interval is {_PLACES[verdict]} the band, {claim.band}"
    of_seeds = sorted(measured.of_seeds.values())
    if len(of_seeds) < needed:
        verdict, why = "cannot tell", f"{len(of_seeds)} of the {needed} seeds that a verdict needs"
    elif verdict != "cannot tell" and any(_place(claim, value, value) != verdict for value in of_seeds):
        verdict, why = "cannot tell", f"{why}, but seeds are from {_number(of_seeds[0])} to {_number(of_seeds[-1])}"
    why = "; ".join((why, *measured.remarks))
    figures = (measured.ours, measured.low, measured.high, len(of_seeds))
    return ClaimVerdict(claim.id, claim.claim, claim.source, claim.published, *figures, verdict, why)


def _place(claim: MeasuredClaim, low: float, high: float) -> Verdict:
    """What an interval would say by itself: it lies inside the band, outside of it, or across one of its ends."""
    floor = -math.inf if claim.above is None else claim.above
    ceiling = math.inf if claim.below is None else claim.below
    if floor < low and high < ceiling:
        return "holds"
    return "does not hold" if high <= floor or low >= ceiling else "cannot tell"


def _number(figure: float) -> str:
    return "never" if figure == math.inf else f"{figure:.3f}"


def counts(verdicts: Sequence[ClaimVerdict]) -> dict[Verdict, int]:
    """How many claims came to each verdict."""
    return {verdict: sum(found.verdict == verdict for found in verdicts) for verdict in VERDICTS}
