"""The claims file: published claims, each with its source and with what would show that it holds here.

In: a TOML file of `[data.NAME]` and `[[claims]]` tables. Out: `Claims`, or one sentence that names every mistake. Seven
kinds of claims:

    ratio             mean of a metric over the treatment arms, summed, divided by that over the control arms
    ratio of ratios   the ratio of one such claim divided by that of another
    lost share        how much of the whole gain over a control an arm without one part loses
    smallest beam     how small a beam of the treatment reaches the best hit rate of the control, as a share
    best hit rate     the best hit rate of the treatment over all beams divided by that of the control
    figure            a figure of a shelf's identifiers, or one such figure divided by another
    test              something structural that a test of this project checks

An arm is RECIPE/CHANNEL. A claim holds where the whole interval of ours, and the figure of every seed, lies above
`above` and below `below` (verdicts.py).
"""

from __future__ import annotations

import tomllib
from collections import Counter
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from shelfwalk.errors import UserError
from shelfwalk.settings import Settings

SEEDS = 3
"""The least number of seeds that a verdict needs."""
_KINDS = ("ratio", "ratio of ratios", "lost share", "smallest beam", "best hit rate", "figure", "test")

Arm = Annotated[str, Field(pattern=r"^[^/\s]+/[^/\s]+$")]
Arms = Annotated[tuple[Arm, ...], Field(min_length=1)]


class ClaimedData(Settings):
    """What claims are tested on; `hash` names its content, "" where it is not fixed yet.

    `visits`: so many visits of a simulated market with their shoppers' histories are asked, in place of its queries.
    """

    title: str = Field(min_length=1)
    hash: str = Field(default="", pattern=r"^([0-9a-f]{16})?$")
    visits: int | None = Field(default=None, ge=1)


class _Claim(Settings):
    """What every claim has: its sentence, where it was published, and the figure or the direction published."""

    id: str = Field(pattern=r"^[a-z0-9-]+$")
    claim: str = Field(min_length=1)
    source: str = Field(min_length=1)
    published: float | str


class _Measured(_Claim):
    """A claim with a figure of ours, and the band in which that must lie."""

    above: float | None = None
    below: float | None = None

    @model_validator(mode="after")
    def _has_a_band(self) -> Self:
        if self.above is None and self.below is None:
            raise PydanticCustomError("band", "neither above nor below is given: say when the claim holds")
        if self.above is not None and self.below is not None and self.above >= self.below:
            raise PydanticCustomError("band", "above is not smaller than below: nothing lies between them")
        return self

    @property
    def band(self) -> str:
        """The band in words."""
        parts = [("above", self.above), ("below", self.below)]
        return " and ".join(f"{word} {end:g}" for word, end in parts if end is not None)


class RatioClaim(_Measured):
    """A ratio of means over queries, paired, after averaging over seeds."""

    kind: Literal["ratio"]
    data: str
    metric: str
    stratum: str = "all"
    treatment: Arms
    control: Arms
    seeds: int = Field(default=SEEDS, ge=1)

    @property
    def recipes(self) -> tuple[str, ...]:
        """The recipes of all arms."""
        return tuple(dict.fromkeys(arm.partition("/")[0] for arm in (*self.treatment, *self.control)))


class RatioOfRatiosClaim(_Measured):
    """How much larger the ratio of one claim is than that of another; `ratios` are their ids."""

    kind: Literal["ratio of ratios"]
    ratios: tuple[str, str]


class LostShareClaim(_Measured):
    """The share of a whole gain that is lost: (whole − treatment) / (whole − control), of means over queries, paired.

    `whole` has every part, `treatment` lacks one, `control` has none; a metric may rise or fall with the gain.
    """

    kind: Literal["lost share"]
    data: str
    metric: str
    stratum: str = "all"
    whole: Arm
    treatment: Arm
    control: Arm
    seeds: int = Field(default=SEEDS, ge=1)

    @property
    def recipes(self) -> tuple[str, ...]:
        """The recipes of the three arms."""
        return tuple(dict.fromkeys(arm.partition("/")[0] for arm in (self.whole, self.treatment, self.control)))


class BeamsClaim(_Measured):
    """Two systems at the beams that suit them, by hit rates of the most efficient items up to a budget.

    `smallest beam`: how small a beam of the treatment reaches the best hit rate of the control, as a share of the
    control's beam; `best hit rate`: the best of the treatment divided by that (efficiency_budget.py, best_beams.py).
    """

    kind: Literal["smallest beam", "best hit rate"]
    data: str
    treatment: Arm
    control: Arm
    seeds: int = Field(default=SEEDS, ge=1)

    @property
    def recipes(self) -> tuple[str, ...]:
        """The recipes of both arms."""
        return tuple(dict.fromkeys(arm.partition("/")[0] for arm in (self.treatment, self.control)))


class FigureClaim(_Measured):
    """A figure of the tokeniser's diagnosis, as `distinct_share` or `levels.2.gini`.

    `over` divides it by another figure, `over_recipe` by that of another recipe with the same seed.
    """

    kind: Literal["figure"]
    data: str
    recipe: str
    figure: str
    over: str | None = None
    over_recipe: str | None = None
    seeds: int = Field(default=SEEDS, ge=1)

    @property
    def recipes(self) -> tuple[str, ...]:
        """The recipe, and the other one where there is one."""
        return (self.recipe,) if self.over_recipe is None else (self.recipe, self.over_recipe)


class StructuralClaim(_Claim):
    """Something structural about recipes; `checked_by` names the tests, as file::test, empty until there are any."""

    kind: Literal["test"]
    recipes: Annotated[tuple[str, ...], Field(min_length=1)]
    checked_by: tuple[str, ...] = ()


ClaimOnData = RatioClaim | LostShareClaim | BeamsClaim | FigureClaim
"""Claims that name their data and recipes themselves."""
MeasuredClaim = ClaimOnData | RatioOfRatiosClaim
Claim = MeasuredClaim | StructuralClaim


class Claims(Settings):
    """A claims file."""

    data: dict[str, ClaimedData]
    claims: tuple[Annotated[Claim, Field(discriminator="kind")], ...]

    @model_validator(mode="after")
    def _refers_to_what_is_there(self) -> Self:
        ratios = {claim.id for claim in self.claims if isinstance(claim, RatioClaim)}
        for claim_id, count in Counter(claim.id for claim in self.claims).items():
            if count > 1:
                raise PydanticCustomError("twice", f"two claims have the id {claim_id}")
        for claim in self.claims:
            if isinstance(claim, ClaimOnData) and claim.data not in self.data:
                raise PydanticCustomError("data", f"the claim {claim.id} is about data {claim.data}, not in the file")
            if isinstance(claim, RatioOfRatiosClaim) and not ratios.issuperset(claim.ratios):
                raise PydanticCustomError("ratios", f"the claim {claim.id} divides claims that are no ratios here")
        return self

    def ratio(self, claim_id: str) -> RatioClaim:
        """The ratio claim of that id."""
        return next(claim for claim in self.claims if isinstance(claim, RatioClaim) and claim.id == claim_id)

    def recipes(self, claim: Claim) -> tuple[str, ...]:
        """The recipes that a claim is about."""
        if isinstance(claim, RatioOfRatiosClaim):
            return tuple(dict.fromkeys(name for ratio in claim.ratios for name in self.ratio(ratio).recipes))
        return claim.recipes


def read_claims(path: Path | None = None) -> Claims:
    """Read a claims file, by default the one that comes with shelfwalk; raises UserError that names every mistake."""
    if path is None:
        source = files("shelfwalk.evaluation") / "claims.toml"
        return _parse(source.read_text(encoding="utf-8"), "claims.toml of shelfwalk")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The claims file {path} cannot be read ({type(error).__name__}): check the path.") from None
    return _parse(text, str(path))


def _parse(text: str, source: str) -> Claims:
    try:
        plain: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"The claims file {source} is no valid TOML: {error}.") from None
    try:
        return Claims.model_validate(plain)
    except ValidationError as error:
        mistakes = "; ".join(_mistake(plain, mistake) for mistake in error.errors())
        raise UserError(f"The claims file {source} is not valid: {mistakes}.") from None


def _mistake(plain: dict[str, Any], mistake: Any) -> str:
    """One mistake with the claim's id, where it has one, in place of its number."""
    place = [str(part) for part in mistake["loc"] if part not in _KINDS]
    if len(place) > 1 and place[0] == "claims" and place[1].isdigit():
        claim = plain["claims"][int(place[1])]
        place[1] = str(claim.get("id", f"number {int(place[1]) + 1}")) if isinstance(claim, dict) else place[1]
    message = "there is no such setting" if mistake["type"] == "extra_forbidden" else mistake["msg"]
    told = message.removeprefix("Value error, ")
    return f"{'.'.join(place)}: {told[0].lower()}{told[1:]}" if place else told
