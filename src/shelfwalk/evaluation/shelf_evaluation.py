"""Evaluates a shelf: asks it every query, measures every channel, and leaves the results as files.

In: a shelf, queries (with their shoppers' histories where they have them: what a recipe without shoppers does not look
at), judgements. Out: an `Evaluation`, and in a folder: `results.jsonl` (a line appended) with the
values per query beside it, one TREC run a channel, `report.html`. Queries that the shelf was trained on from a log or
judgements are refused, unless the queries tell themselves which of them the log holds (column `seen`): then these are a
part of their own, and only a query wrongly called unseen is refused. Pseudo-queries that happen to be an evaluation
query are counted, and the figures are made once more without those queries.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from shelfwalk.channels.channel import Hits
from shelfwalk.channels.names import RANKED
from shelfwalk.data.hashing import content_hash
from shelfwalk.data.leaks import Coincidence, check_no_leak, coinciding, leaking_queries
from shelfwalk.data.tables import QUERIES
from shelfwalk.errors import UserError
from shelfwalk.evaluation.beams import BEAM_WIDTHS, BeamHits
from shelfwalk.evaluation.efficiency_budget import ClusterItems
from shelfwalk.evaluation.evaluate import Evaluation, evaluate
from shelfwalk.evaluation.exposures import exposed_items
from shelfwalk.evaluation.judgements import grade_queries, refuse_unknown_queries
from shelfwalk.evaluation.query_histories import query_histories
from shelfwalk.evaluation.rankings import Rankings, write_trec_run
from shelfwalk.evaluation.relevance import WRONG_ORDER, RelevanceScores, least_step, score_relevance
from shelfwalk.evaluation.report import ReportInput, SampleAnswer, write_report
from shelfwalk.evaluation.results import Result, append_evaluation, result_of
from shelfwalk.evaluation.unconstrained import invalid_share
from shelfwalk.generators.beam_search import Beams
from shelfwalk.shelf import layout
from shelfwalk.shelf.shelf import Shelf

DEPTH = 1_000
"""Items ranked a query and channel: deeper than any cut-off, so that judged-only measures see judged items."""
DEPTH_OF_MANY = 300
"""The same for more than `MANY` queries, where all these lists would take gigabytes: the deepest cut-off."""
MANY = 500
LATENCY_BEAM = 50
"""A search is timed at this beam and at the recipe's."""
_SAMPLES = 3
_SAMPLE_ITEMS = 5


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one `Shelf.search`, one query after the other, one thread."""

    beam: int | None
    """None for a shelf without a generative channel."""
    median: float
    p99: float
    queries: int


@dataclass(frozen=True)
class ShelfEvaluation:
    """The figures of a shelf, the pseudo-queries that coincide with evaluation queries, and the figures without.

    `result` is what a results file keeps of it.
    """

    evaluation: Evaluation
    coincidence: Coincidence
    without_coinciding: Evaluation | None
    latencies: tuple[Latency, ...]
    result: Result

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values for `json.dumps`."""
        without = self.without_coinciding
        return {
            **self.evaluation.to_json(),
            "coinciding_queries": self.coincidence.evaluation_queries,
            "coinciding_pseudo_queries": self.coincidence.pseudo_queries,
            "without_coinciding": without.to_json() if without is not None else None,
            "latencies": [asdict(latency) for latency in self.latencies],
        }


def evaluate_shelf(
    shelf: Shelf,
    queries: pa.Table,
    judgements: pa.Table,
    out: Path,
    *,
    relevant_grade: int | None = None,
    events: pa.Table | None = None,
    cold_items: Collection[str] | None = None,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> ShelfEvaluation:
    """Measure every channel of `shelf` on `queries` and write the results into `out`.

    `queries` are a `QUERIES`, `EVALUATION_QUERIES` or `PERSONAL_QUERIES` table; `events` tell what was shown for them
    (for pvr), `cold_items` which items came after the log that the shelf was trained on (for ColdR). Raises UserError
    if the shelf was trained on one of the queries, if judgements fit neither queries nor catalogue, if a history lies
    in the future or names an unknown item, or if nothing is relevant.
    """
    texts = queries["query"].to_pylist()
    training = pq.read_table(shelf.folder / layout.TRAINING_QUERIES)
    logged = training.filter(pa.compute.equal(training["source"], "logged"))["query"].to_pylist()
    _refuse_seen_queries(logged, queries)
    _refuse_foreign_judgements(shelf, judgements)
    refuse_unknown_queries(grade_queries(judgements, relevant_grade), queries["query_id"].to_pylist(), "the queries")
    histories = query_histories(queries, shelf.items["item_id"])
    out.mkdir(parents=True, exist_ok=True)
    rankings, beams = _rank(shelf, queries, histories, progress)
    exposures = None if events is None else exposed_items(events, queries)
    relevance = _relevance(shelf, queries, judgements, relevant_grade, progress)
    evaluation = evaluate(
        rankings,
        judgements,
        queries,
        beams,
        relevant_grade=relevant_grade,
        exposures=exposures,
        cold_items=cold_items,
        own_values={} if relevance is None else {RANKED: {WRONG_ORDER: relevance.wrong_order()}},
    )
    pseudo = training.filter(pa.compute.equal(training["source"], "pseudo"))["query"].to_pylist()
    coincidence = coinciding(pseudo, texts)
    without = _without(pseudo, queries, judgements, rankings, beams, evaluation.relevant_grade)
    latencies = _latencies(shelf, texts)
    invented = _invalid_share(shelf, texts, histories)
    kept = _result(evaluation, shelf, queries, judgements, relevance, invented)
    result = ShelfEvaluation(evaluation, coincidence, without, latencies, kept)
    _write(result, shelf, rankings, out)
    return result


def _refuse_seen_queries(logged: Sequence[str], queries: pa.Table) -> None:
    """Refuse queries that the shelf was trained on; those that say themselves that the log holds them may stay.

    Where all queries say so, spellings of one another are none of our business: a log splits by time, not by meaning.
    """
    texts = queries["query"].to_pylist()
    seen = queries["seen"].to_pylist() if "seen" in queries.column_names else [None]
    if any(flag is None for flag in seen):
        check_no_leak(logged, texts)
        return
    trained = set(logged)
    if wrong := [text for text, flag in zip(texts, seen, strict=True) if not flag and text in trained]:
        raise UserError(
            f"{len(wrong)} queries are marked as unseen but are in the log that the shelf was trained on, the first "
            f"{wrong[0]!r}: give the queries that belong to the log before the split."
        )


def _refuse_foreign_judgements(shelf: Shelf, judgements: pa.Table) -> None:
    known = pa.compute.is_in(judgements["item_id"], value_set=shelf.items["item_id"].combine_chunks())
    if not pa.compute.any(known).as_py():
        raise UserError(
            "No judgement names an item of this shelf: check that item_id of the judgements and of the catalogue match."
        )


def _rank(
    shelf: Shelf, queries: pa.Table, histories: Sequence[list[str]], progress: Callable[[str, int, int], None]
) -> tuple[list[Rankings], BeamHits | None]:
    """Every channel's rankings, and what a walk as wide as the widest hit rate reaches: one walk, where it serves both.

    One query at a time: the beams of all queries together would take gigabytes.
    """
    item_ids = np.asarray(shelf.items["item_id"].to_pylist(), dtype=object)
    found: dict[str, list[Hits]] = {name: [] for name in shelf.channels}
    texts = queries["query"].to_pylist()
    depth = DEPTH if len(texts) <= MANY else DEPTH_OF_MANY
    beam = shelf.generative.settings.beam if shelf.is_generative else 0
    width = max(*BEAM_WIDTHS, beam)
    clusters = np.full((len(texts), width), -1, np.int64)
    for number, (text, history) in enumerate(zip(texts, histories, strict=True)):
        beams = None
        if shelf.is_generative:
            beams = shelf.generative.generate([shelf.request(text, shopper=history)], width)
            reached = _clusters(shelf, beams)
            clusters[number, : len(reached)] = reached
        hits = shelf.hits(text, depth, shopper=history, beams=beams if width == beam else None)
        for name, of_channel in found.items():
            of_channel.append(hits[name])
        progress("Asking queries", number + 1, len(texts))
    query_ids = tuple(queries["query_id"].to_pylist())
    rankings = [
        Rankings(
            name,
            query_ids,
            [item_ids[hits.rows].tolist() for hits in of_channel],
            [hits.scores.tolist() for hits in of_channel],
        )
        for name, of_channel in found.items()
    ]
    return rankings, _beam_hits(shelf, query_ids, clusters) if shelf.is_generative else None


def _clusters(shelf: Shelf, beams: Beams) -> npt.NDArray[np.int64]:
    states = beams.states[0, :, 0]
    return np.where(states >= 0, states - shelf.generative.trie.first_leaf, -1)


def _beam_hits(shelf: Shelf, query_ids: tuple[str, ...], clusters: npt.NDArray[np.int64]) -> BeamHits:
    trie = shelf.generative.trie
    leaf_of_item = trie.leaf_of_item.tolist()
    cluster_of_item = dict(zip(shelf.items["item_id"].to_pylist(), leaf_of_item, strict=True))
    return BeamHits(query_ids, clusters, cluster_of_item, trie.all_cluster_sizes(), items=_cluster_items(shelf))


def _cluster_items(shelf: Shelf) -> ClusterItems:
    trie, item_ids = shelf.generative.trie, shelf.items["item_id"].to_pylist()
    return ClusterItems.by_efficiency(trie.posting_offsets, trie.posting_items, item_ids, shelf.efficiency)


def _without(
    pseudo: Sequence[str],
    queries: pa.Table,
    judgements: pa.Table,
    rankings: Sequence[Rankings],
    beams: BeamHits | None,
    relevant_grade: int,
) -> Evaluation | None:
    """The figures of the queries that no pseudo-query coincides with; None if these are all, or have nothing right."""
    coincide = {row for _, row in leaking_queries(pseudo, queries["query"].to_pylist())}
    kept = [row for row in range(queries.num_rows) if row not in coincide]
    ids = set(queries["query_id"].take(pa.array(kept, pa.int64())).to_pylist())
    chosen = pa.compute.is_in(judgements["query_id"], value_set=pa.array(sorted(ids), pa.string()))
    judged = judgements.filter(chosen)
    relevant = grade_queries(judgements, relevant_grade)
    if not coincide or not any(len(relevant.relevant(name)) for name in ids & set(relevant.grades)):
        return None
    parts = [
        Rankings(
            ranking.channel,
            tuple(ranking.query_ids[row] for row in kept),
            [ranking.item_ids[row] for row in kept],
            [ranking.scores[row] for row in kept],
        )
        for ranking in rankings
    ]
    part_beams = beams and replace(
        beams, query_ids=tuple(beams.query_ids[row] for row in kept), clusters=beams.clusters[kept]
    )
    return evaluate(parts, judged, queries.take(pa.array(kept)), part_beams, relevant_grade=relevant_grade)


def _latencies(shelf: Shelf, queries: Sequence[str]) -> tuple[Latency, ...]:
    if not shelf.is_generative:
        return (measure_latency(shelf, queries),)
    beams = dict.fromkeys((LATENCY_BEAM, shelf.generative.settings.beam))
    return tuple(measure_latency(shelf.with_beam(beam), queries) for beam in beams)


def measure_latency(
    shelf: Shelf, queries: Sequence[str], searches: int = 200, *, channel: str | None = None, k: int = 10
) -> Latency:
    """Time `Shelf.search` at least `searches` times after a warm-up of ten, on the queries in turn.

    Of more queries that many are taken, evenly spaced. `channel`: None for the shelf's last list.
    """
    asked = [query for query in queries if query.strip()]
    asked = asked[:: max(len(asked) // searches, 1)]
    for query in asked[:10]:
        shelf.search(query, k, channel)
    times = [shelf.search(query, k, channel).milliseconds for query in asked * -(-searches // len(asked))]
    width = shelf.generative.settings.beam if shelf.is_generative else None
    return Latency(width, float(np.median(times)), float(np.percentile(times, 99)), len(times))


def data_hash(items: pa.Table, queries: pa.Table, judgements: pa.Table) -> str:
    """Name what an evaluation is measured on; beside text and history, what is known of queries has no part in it."""
    told = [*QUERIES.names, *(["history"] if "history" in queries.column_names else [])]
    return content_hash(items, queries.select(told), judgements)


def _relevance(
    shelf: Shelf,
    queries: pa.Table,
    judgements: pa.Table,
    relevant_grade: int | None,
    progress: Callable[[str, int, int], None],
) -> RelevanceScores | None:
    """What the shelf's relevance model says; None without one, or where no query can tell an order."""
    if not shelf.has_ranker:
        return None
    # The other figures count all the same.
    with suppress(UserError):
        return score_relevance(shelf, queries, judgements, relevant_grade, progress)
    return None


def _invalid_share(shelf: Shelf, texts: Sequence[str], histories: Sequence[list[str]]) -> float | None:
    if not shelf.is_generative:
        return None
    asked = zip(texts, histories, strict=True)
    return invalid_share(shelf, (shelf.request(text, shopper=history) for text, history in asked))


def _result(
    evaluation: Evaluation,
    shelf: Shelf,
    queries: pa.Table,
    judgements: pa.Table,
    relevance: RelevanceScores | None,
    invented: float | None,
) -> Result:
    facts = shelf.recorded
    identifiers = dict(facts.get("tokenizer") or {})
    step = None if relevance is None else least_step(relevance.label_rates())
    if step is not None:
        identifiers["match"] = {"least_step": step}
    if invented is not None:
        identifiers["unconstrained"] = {"invalid_share": invented}
    return result_of(
        evaluation,
        data_hash=data_hash(shelf.items, queries, judgements),
        recipe=shelf.recipe["name"],
        recipe_hash=facts["recipe_hash"],
        seed=facts["seed"],
        identifiers=identifiers,
    )


def _write(result: ShelfEvaluation, shelf: Shelf, rankings: Sequence[Rankings], out: Path) -> None:
    for ranking in rankings:
        write_trec_run(ranking, out / f"{ranking.channel}.run")
    append_evaluation(out / "results.jsonl", result.result)
    write_report(out / "report.html", _report(result, shelf))


def _report(result: ShelfEvaluation, shelf: Shelf) -> ReportInput:
    samples = [_sample(shelf, text) for text in result.evaluation.texts[:_SAMPLES]]
    title = f"{shelf.recipe['name']} on {len(shelf.items):,} items"
    content = ReportInput(result.evaluation, title, shelf.facts(), samples=samples)
    if not shelf.is_generative:
        return content
    trie = shelf.generative.trie
    codes = trie.paths()[trie.leaf_of_item]
    use = [
        np.bincount(codes[:, level], minlength=size).astype(np.int64)
        for level, size in enumerate(shelf.recorded["level_sizes"])
    ]
    return replace(content, codebook_use=use, cluster_sizes=trie.all_cluster_sizes())


def _sample(shelf: Shelf, query: str) -> SampleAnswer:
    answer = shelf.search(query, _SAMPLE_ITEMS, explain=True)
    return SampleAnswer(
        query,
        [
            (item.rank, item.title, "; ".join(f"{part.channel}: {part.reason}" for part in item.evidence))
            for item in answer.results
        ],
    )
