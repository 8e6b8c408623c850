"""A shelf with a ranker: trained on a log, asked after fusion, told in the evidence; refused where it cannot be."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shelfwalk import Shelf
from shelfwalk.channels.channel import Hits, Request
from shelfwalk.channels.names import FUSED, RANKED
from shelfwalk.channels.pair_features import MATCH_FEATURE, PLAIN_FEATURES
from shelfwalk.data.query_item_pairs import QueryItemPairs
from shelfwalk.data.readers import read_judgements, read_queries
from shelfwalk.data.tables import EVENTS
from shelfwalk.encoders.shopper_tower import ShopperTextEncoder
from shelfwalk.errors import UserError
from shelfwalk.evaluation.relevance import least_step, score_relevance
from shelfwalk.evaluation.shelf_evaluation import evaluate_shelf
from shelfwalk.ranking.query_identifiers import QueryCache
from shelfwalk.recipes.recipe import Recipe, load_recipe
from shelfwalk.shelf import layout, ranker_step
from shelfwalk.shelf.building import build_shelf
from shelfwalk.shelf.pair_step import TrainingPairs
from shelfwalk.shelf.ranker_files import SavedRanker, tokenizer_name
from shelfwalk.shelf.training_tables import TrainingTables
from shelfwalk.tokenizers.cqsid import CQSIDTokenizer
from shelfwalk.tokenizers.saved_tokenizer import open_tokenizer
from small_shop import KINDS, Ran, SmallShop

RANKER: dict[str, Any] = {"hidden_widths": (8,), "epochs": 60, "batch": 16, "depth": 12, "cached_queries": 5}


def shop_log(items: pa.Table, actions: tuple[str, ...] = ("impression", "click")) -> pa.Table:
    """Visits that ask for a kind in a few ways: items of the kind are clicked, one of each other kind is only shown."""
    titles, ids = items["title"].to_pylist(), items["item_id"].to_pylist()
    rows = []
    for number, (kind, words) in enumerate((kind, words) for kind in KINDS for words in ("{}", "good {}", "{} please")):
        wanted = [item for item, title in zip(ids, titles, strict=True) if kind in title]
        others = [item for item, title in zip(ids, titles, strict=True) if kind not in title][number % 7 :: 9]
        shown = [(item, action) for item in (*wanted, *others) for action in actions if action == "impression"]
        clicked = [(item, action) for item in wanted for action in actions if action != "impression"]
        rows += [
            {"timestamp": datetime(2025, 1, 1, tzinfo=UTC) + timedelta(hours=number), "session_id": f"s{number}"}
            | {"query_id": f"v{number}", "user_query": words.format(kind), "client_id": ""}
            | {"action_name": action, "object_id": item}
            for item, action in (*shown, *clicked)
        ]
    return pa.Table.from_pylist(rows, schema=EVENTS)


def ranked_recipe(shop: SmallShop, **ranker: Any) -> Recipe:
    return Recipe.model_validate({**shop.recipe.model_dump(), "ranker": {**RANKER, **ranker}})


@dataclass(frozen=True)
class RankedShop:
    """A shelf with a ranker, which no test may change."""

    shop: SmallShop
    path: Path

    def open(self) -> Shelf:
        return Shelf.open(self.path)


@pytest.fixture(scope="module")
def ranked_shop(small_shop: SmallShop, tmp_path_factory: pytest.TempPathFactory) -> RankedShop:
    folder = tmp_path_factory.mktemp("ranked")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHELFWALK_CACHE", str(small_shop.cache))
        tables = TrainingTables(events=shop_log(small_shop.items()))
        build_shelf(small_shop.items(), ranked_recipe(small_shop), folder / "r.shelf", tables=tables, threads=1)
    return RankedShop(small_shop, folder / "r.shelf")


def test_the_first_fused_items_are_reordered_by_the_model_and_no_others(ranked_shop: RankedShop) -> None:
    shelf = ranked_shop.open()
    ranker = shelf.ranker
    for query in ("usb hub", "Evanta", "something warm to read by"):
        hits = shelf.hits(query, 40)
        fused, ranked = hits[FUSED].rows.tolist(), hits[RANKED].rows.tolist()
        assert sorted(ranked[:12]) == sorted(fused[:12])
        assert ranked[12:] == fused[12:]
        request = Request(query, shelf.encoder.encode([query])[0])
        chances = dict(zip(fused[:12], ranker.probabilities(request, np.array(fused[:12])).tolist(), strict=True))
        expected = sorted(fused[:12], key=lambda row: (-chances[row], fused.index(row)))
        assert ranked[:12] == expected
        scores = hits[RANKED].scores
        assert (np.diff(scores) <= 0).all()
        np.testing.assert_allclose(scores[:12], [chances[row] for row in ranked[:12]], atol=1e-6)
        assert (scores[12:] <= 0).all()


def test_fewer_items_than_the_ranker_reorders_are_the_best_of_all_that_it_does(ranked_shop: RankedShop) -> None:
    shelf = ranked_shop.open()
    assert (
        shelf.hits("usb hub", 3, (RANKED,))[RANKED].rows.tolist() == shelf.hits("usb hub", 40)[RANKED].rows[:3].tolist()
    )
    assert len(shelf.hits("usb hub", 3, (RANKED,))[FUSED]) == 3


def test_search_gives_the_ranked_list_and_says_why(ranked_shop: RankedShop, run_command: Callable[..., Ran]) -> None:
    shelf = ranked_shop.open()
    answer = shelf.search("usb hub", 15)
    assert answer.channel == RANKED
    assert shelf.channels[-1] == RANKED
    first, last = answer.results[0].evidence[-1], answer.results[-1].evidence[-1]
    assert (first.channel, first.rank) == (RANKED, 1)
    assert first.reason.startswith(f"relevance {first.score:.2f}; its identifier agrees with the query's on ")
    assert first.reason.endswith("of 2 levels")
    assert last.reason == "behind the first 12 fused items, which alone are reordered"
    shown = run_command("search", ranked_shop.path, "usb hub", "--explain")
    assert "ranked rank 1: relevance" in shown.out
    assert "ranked, " in shown.out.splitlines()[-1]
    assert "cached queries" in run_command("inspect", ranked_shop.path).out
    assert [item.item_id for item in shelf.search("usb hub", 15, FUSED).results] != []


def test_the_model_has_learnt_what_the_log_clicked(ranked_shop: RankedShop) -> None:
    shelf = ranked_shop.open()
    facts = shelf.recorded["ranker"]
    assert (facts["queries"], facts["held_out"]) == (24, False)
    assert shelf.ranker.model.features == (*PLAIN_FEATURES, MATCH_FEATURE)
    titles = np.array(shelf.items["title"].to_pylist())
    for kind in KINDS:
        chances = shelf.ranker.probabilities(Request(kind, shelf.encoder.encode([kind])[0]), np.arange(len(titles)))
        right = np.array([kind in title for title in titles])
        assert chances[right].mean() > chances[~right].mean()


def test_frequent_queries_are_answered_from_the_cache_as_live(ranked_shop: RankedShop) -> None:
    shelf = ranked_shop.open()
    match = shelf.ranker.features.match
    assert match is not None
    assert isinstance(match.cache, QueryCache)
    assert len(match.cache) == shelf.recorded["ranker"]["cached_queries"] == 5
    kept = pq.read_table(shelf.folder / layout.QUERY_CACHE)["query"].to_pylist()
    for query in kept:
        request = Request(query, shelf.encoder.encode([query])[0])
        (live,) = match.live([request])
        found = match.of_query(request)
        assert (found.codes == live.codes).all()
        np.testing.assert_allclose(found.log_probabilities, live.log_probabilities, atol=1e-4)
    assert match.cache.find("nothing of this shop") is None


def test_the_cache_is_filled_through_the_tower_that_searches_ask(
    small_shop: SmallShop, shop_cache: Path, tmp_path: Path
) -> None:
    """Where the shelf has the tower that knows shoppers: with the pretrained encoder's vectors it would differ."""
    towers = {"steps": 30, "batch": 32, "buckets": 64, "piece_width": 8, "hidden_width": 16, "learning_rate": 0.05}
    parts = {"two_tower": towers, "shopper_tower": {"heads": 2, "history_length": 2}}
    recipe = Recipe.model_validate({**ranked_recipe(small_shop).model_dump(), **parts})
    events = shop_log(small_shop.items())
    place = events.schema.get_field_index("client_id")
    events = events.set_column(place, EVENTS.field("client_id"), pa.array(["one"] * len(events)))
    build_shelf(small_shop.items(), recipe, tmp_path / "own.shelf", tables=TrainingTables(events=events), threads=1)
    shelf = Shelf.open(tmp_path / "own.shelf")
    assert isinstance(shelf.encoder, ShopperTextEncoder)
    match = shelf.ranker.features.match
    assert match is not None
    assert match.cache is not None
    kept = pq.read_table(shelf.folder / layout.QUERY_CACHE)["query"].to_pylist()
    assert len(kept) == 5
    for query in kept:
        found, (live,) = match.cache.find(query), match.live([shelf.request(query)])
        assert found is not None
        np.testing.assert_array_equal(found.codes, live.codes)
        np.testing.assert_allclose(found.log_probabilities, live.log_probabilities, atol=1e-4)


def test_the_match_feature_is_of_the_predicted_identifiers(ranked_shop: RankedShop) -> None:
    """It is the last column, 1 for the items that carry a predicted identifier, and nothing else reads identifiers."""
    shelf = ranked_shop.open()
    features, trie = shelf.ranker.features, shelf.generative.trie
    request = Request("usb hub", shelf.encoder.encode(["usb hub"])[0])
    rows = np.arange(len(shelf.items))
    found = features.of(request, rows)
    assert features.match is not None
    predicted = {tuple(codes) for codes in features.match.of_query(request).codes.tolist()}
    whole = np.array([tuple(codes) in predicted for codes in trie.codes_of(rows).tolist()])
    assert whole.any()
    assert ((found[:, -1] == 1) == whole).all()
    assert set(found[:, -1].tolist()) <= {0.0, 0.5, 1.0}
    np.testing.assert_array_equal(found[:, :-1], features.plain.of(request, rows))
    assert np.isfinite(found).all()


def test_the_plain_features_against_slow_ones(ranked_shop: RankedShop) -> None:
    shelf = ranked_shop.open()
    request = Request("usb hub", shelf.encoder.encode(["usb hub"])[0])
    rows = np.array([5, 0, 77])
    columns = dict(zip(PLAIN_FEATURES, shelf.ranker.features.plain.of(request, rows).T.tolist(), strict=True))
    words, near = shelf.bm25.search(request, 200), shelf.dense.search(request, 50)
    scores = dict(zip(words.rows.tolist(), words.scores.tolist(), strict=True))
    cosines = shelf.vectors @ request.vector
    items = shelf.items.to_pylist()
    for place, row in enumerate(rows.tolist()):
        roots = [items[other]["category"][0] for other in near.rows.tolist()]
        paths = [items[other]["category"] for other in near.rows.tolist()]
        assert columns["bm25"][place] == pytest.approx(scores.get(row, 0.0))
        assert columns["bm25 of the best"][place] == pytest.approx(scores.get(row, 0.0) / words.scores[0])
        assert columns["cosine"][place] == pytest.approx(cosines[row], abs=1e-6)
        assert columns["cosine below the best"][place] == pytest.approx(cosines[row] - cosines.max(), abs=1e-6)
        assert columns["words of the query"][place] == 2
        assert columns["price"][place] == pytest.approx(np.log1p(items[row]["price"]), abs=1e-6)
        assert columns["category share"][place] == pytest.approx(paths.count(items[row]["category"]) / 50)
        assert columns["top category share"][place] == pytest.approx(roots.count(items[row]["category"][0]) / 50)


def test_no_word_no_price_and_no_category_are_features_too(small_shop: SmallShop, ranked_shop: RankedShop) -> None:
    features = ranked_shop.open().ranker.features.plain
    bare = features.items.set_column(6, "price", pa.array([None] * 120, pa.float64()))
    bare = bare.set_column(4, "category", pa.array([[]] * 120, pa.list_(pa.string())))
    own = type(features)(bare, features.vectors, features.bm25, features.dense)
    found = own.of(Request("zzz", features.vectors[0]), np.arange(120))
    assert np.isfinite(found).all()
    for name in ("bm25", "bm25 of the best", "price", "price known", "category share", "top category share"):
        assert not found[:, PLAIN_FEATURES.index(name)].any(), name


def test_an_empty_list_stays_empty(ranked_shop: RankedShop) -> None:
    shelf = ranked_shop.open()
    nothing = Hits(np.empty(0, np.int64), np.empty(0, np.float32), lambda position: pytest.fail("no item"))
    assert len(shelf.ranker.reordered(Request("usb", shelf.encoder.encode(["usb"])[0]), nothing, 10)) == 0


def test_a_ranker_of_another_tokeniser_is_refused(ranked_shop: RankedShop, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(ranked_shop.path, tmp_path / "own.shelf"))
    (generation,) = (copied / "generations").iterdir()
    name = tokenizer_name(generation / layout.TOKENIZER)
    saved = SavedRanker.open(generation / layout.RANKER, name)
    SavedRanker(saved.model, saved.settings, "0" * 16, saved.queries).save(generation / layout.RANKER)
    shelf = Shelf.open(copied, verify=False)
    with pytest.raises(
        UserError, match=r"reads the identifiers of another tokeniser than this shelf's: build the shelf"
    ):
        shelf.search("usb hub")
    assert len(shelf.search("usb hub", channel=FUSED).results) == 10
    (generation / layout.RANKER / "ranker.json").write_text("{}")
    with pytest.raises(UserError, match="missing or damaged"):
        Shelf.open(copied, verify=False).search("usb hub")


def test_a_shelf_without_a_ranker_answers_as_before(small_shop: SmallShop, run_command: Callable[..., Ran]) -> None:
    shelf = Shelf.open(small_shop.shelf)
    assert shelf.search("usb hub").channel == FUSED
    assert RANKED not in shelf.channels
    run_command("search", small_shop.shelf, "usb hub", "--channel", RANKED).refused('no channel "ranked"')
    with pytest.raises(UserError, match=r"This shelf has no ranker: build it with a recipe that has \[ranker\]"):
        _ = shelf.ranker


def test_an_evaluation_measures_the_ranked_list_and_the_order(ranked_shop: RankedShop, tmp_path: Path) -> None:
    shelf, shop = ranked_shop.open(), ranked_shop.shop
    queries, judgements = read_queries(shop.queries_file).table, read_judgements(shop.judgements_file).table
    queries = queries.filter(pa.compute.not_equal(queries["query"], "usb hub"))
    judgements = judgements.filter(
        pa.compute.is_in(judgements["query_id"], value_set=queries["query_id"].combine_chunks())
    )
    scores = score_relevance(shelf, queries, judgements)
    assert set(scores.query_ids) <= {f"q{number}" for number in range(8)}
    found = evaluate_shelf(shelf, queries, judgements, tmp_path)
    figures = found.evaluation.figures[RANKED]
    assert figures["1-AUC"] == pytest.approx(np.mean(list(scores.wrong_order().values())))
    assert figures["R@100"] == found.evaluation.figures[FUSED]["R@100"]
    assert "1-AUC" not in found.evaluation.figures[FUSED]
    assert (tmp_path / "ranked.run").exists()
    step = found.result.record.identifiers["match"]["least_step"]
    assert step == pytest.approx(least_step(scores.label_rates()))


def test_queries_that_the_ranker_learnt_from_are_not_asked(ranked_shop: RankedShop) -> None:
    shelf = ranked_shop.open()
    ids = shelf.items["item_id"].to_pylist()
    queries = pa.table({"query_id": ["q1", "q2"], "query": ["Usb hubs", "small dimmable lamp"]})
    rows = [{"query_id": query, "item_id": item, "grade": 1} for query in ("q1", "q2") for item in ids[:60]]
    judgements = pa.Table.from_pylist(rows)
    assert score_relevance(shelf, queries, judgements).query_ids == ("q2",)
    with pytest.raises(UserError, match="that the ranker has not learnt from"):
        score_relevance(shelf, queries.slice(0, 1), judgements.slice(0, 60))


@pytest.mark.parametrize(
    ("actions", "sentence"),
    [
        (None, r"has a ranker, .* there is no log: give one with --events"),
        (("click",), "The log shows no item that was not clicked"),
        (("impression",), "The log has no click, cart or purchase on an item"),
    ],
)
def test_what_a_ranker_cannot_learn_from_is_refused_before_anything_long(
    small_shop: SmallShop, tmp_path: Path, actions: tuple[str, ...] | None, sentence: str
) -> None:
    def refuse_progress(stage: str, done: int, total: int) -> None:
        raise AssertionError(f"{stage} was started")

    events = None if actions is None else shop_log(small_shop.items(), actions)
    out = tmp_path / "own.shelf"
    with pytest.raises(UserError, match=sentence):
        build_shelf(
            small_shop.items(),
            ranked_recipe(small_shop),
            out,
            tables=TrainingTables(events=events),
            progress=refuse_progress,
        )
    assert not out.exists()


def test_judgements_of_both_kinds_will_do(small_shop: SmallShop) -> None:
    queries = read_queries(small_shop.queries_file).table
    judgements = read_judgements(small_shop.judgements_file).table
    pairs = ranker_step.labelled_pairs(small_shop.items(), TrainingTables(queries=queries, judgements=judgements))
    assert 0 < pairs.relevant.mean() < 1
    assert "best usb hub for a Altomar fan" in pairs.queries


def test_it_learns_from_held_out_queries_where_there_are_enough(
    small_shop: SmallShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    labelled = ranker_step.labelled_pairs(small_shop.items(), TrainingTables(events=shop_log(small_shop.items())))
    held_out = QueryItemPairs(labelled.queries, *np.array([[3, 5, 5], [0, 1, 2]], np.int32))
    train = QueryItemPairs(labelled.queries, *np.array([[0, 1, 2], [0, 1, 2]], np.int32))
    read = TrainingPairs(labelled.queries, np.ones(len(labelled.queries), bool), train, held_out)
    monkeypatch.setattr(ranker_step, "ENOUGH_HELD_OUT", 2)
    found, is_held_out = ranker_step._pairs_to_learn_from(labelled, read, 100, 0)
    assert is_held_out
    assert found.queries == (labelled.queries[3], labelled.queries[5])
    monkeypatch.setattr(ranker_step, "ENOUGH_HELD_OUT", 3)
    found, is_held_out = ranker_step._pairs_to_learn_from(labelled, read, 7, 0)
    assert (is_held_out, len(found.queries)) == (False, 7)


def test_without_the_match_feature_no_identifiers_are_needed_and_inputs_can_be_left_out(
    small_shop: SmallShop, shop_cache: Path, tmp_path: Path
) -> None:
    recipe = Recipe.model_validate(
        {
            **small_shop.recipe.model_dump(),
            "tokenizer": None,
            "two_tower": {"steps": 5, "buckets": 64, "piece_width": 8, "hidden_width": 16, "batch": 32},
            "ranker": {**RANKER, "match_feature": False, "left_out": ["price", "category share"]},
        }
    )
    tables = TrainingTables(events=shop_log(small_shop.items()))
    build_shelf(small_shop.items(), recipe, tmp_path / "own.shelf", tables=tables, threads=1)
    shelf = Shelf.open(tmp_path / "own.shelf")
    read = [name for name in PLAIN_FEATURES if name not in ("price", "category share")]
    assert list(shelf.ranker.model.features) == read
    features, request = shelf.ranker.features.plain, Request("usb hub", shelf.encoder.encode(["usb hub"])[0])
    rows = np.arange(9)
    every = replace(features, names=PLAIN_FEATURES).of(request, rows)
    kept = every[:, [PLAIN_FEATURES.index(name) for name in read]]
    np.testing.assert_array_equal(features.of(request, rows), kept)
    answer = shelf.search("usb hub", 5)
    assert answer.channel == RANKED
    assert answer.results[0].evidence[-1].reason == f"relevance {answer.results[0].evidence[-1].score:.2f}"
    assert not (shelf.folder / layout.QUERY_CACHE).exists()


def test_a_filter_narrows_the_list_and_not_what_the_query_means(ranked_shop: RankedShop) -> None:
    shelf = ranked_shop.open()
    only = shelf.filters.matching(brands=("Altomar",))
    assert only is not None
    hits = shelf.hits("usb hub", 20, (RANKED, FUSED), only)
    assert only.passes(hits[RANKED].rows).all()
    assert sorted(hits[RANKED].rows.tolist()) == sorted(hits[FUSED].rows.tolist())
    match = shelf.ranker.features.match
    assert match is not None
    vector = shelf.encoder.encode(["usb hub"])[0]
    plain, filtered = match.live([Request("usb hub", vector), Request("usb hub", vector, only)])
    assert (plain.codes == filtered.codes).all()


def test_the_ranked_list_alone_is_the_one_among_all(ranked_shop: RankedShop) -> None:
    """Whatever else is asked for beside it, and from whichever opening of the shelf."""
    alone = ranked_shop.open().hits("desk lamp", 30, (RANKED,))[RANKED]
    among = ranked_shop.open().hits("desk lamp", 30)[RANKED]
    assert alone.rows.tolist() == among.rows.tolist()
    assert alone.scores.tolist() == among.scores.tolist()
    assert [alone.evidence(place) for place in range(len(alone))] == [
        among.evidence(place) for place in range(len(among))
    ]


def test_items_and_queries_share_dsirms_identifiers(small_shop: SmallShop, shop_cache: Path, tmp_path: Path) -> None:
    """The recipe's tokeniser: level 1 is the top category, and a query is encoded by the same codebooks."""
    tokenizer = load_recipe("dsirm").tokenizer
    assert tokenizer is not None
    small = {"hidden_widths": (16,), "latent_width": 8, "epochs": 3, "batch": 64}
    recipe = ranked_recipe(small_shop).model_copy(update={"tokenizer": tokenizer.model_copy(update=small)})
    events = shop_log(small_shop.items())
    build_shelf(small_shop.items(), recipe, tmp_path / "own.shelf", tables=TrainingTables(events=events), threads=1)
    shelf = Shelf.open(tmp_path / "own.shelf")
    codes = shelf.generative.trie.codes_of(np.arange(120))
    roots = [path[0] for path in shelf.items["category"].to_pylist()]
    assert codes[:, 0].tolist() == [sorted(set(roots)).index(root) for root in roots]
    opened = open_tokenizer(shelf.folder / layout.TOKENIZER)
    assert isinstance(opened, CQSIDTokenizer)
    asked = opened.encode_queries(shelf.encoder.encode(list(KINDS)))
    assert asked.shape == (8, 3)
    assert (asked < np.array(opened.level_sizes)).all()
    reasons = [item.evidence[-1].reason for item in shelf.search("usb hub", 12).results]
    assert all(reason.endswith("of 3 levels") for reason in reasons)
