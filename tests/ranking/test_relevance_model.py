"""The relevance model: learns what is there, the same every time, runs in numpy as scikit-learn does, survives disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from shelfwalk.errors import UserError
from shelfwalk.ranking.ranker_settings import RankerSettings
from shelfwalk.ranking.relevance_model import DESCRIPTION, WEIGHTS, RelevanceModel, train_relevance_model

NAMES = ("cosine", "price", "always one")
SETTINGS = RankerSettings(hidden_widths=(8, 4), epochs=12, batch=32)


def pairs(count: int = 600, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Relevance that follows the first feature, on inputs of very different size, one of which never changes."""
    random = np.random.default_rng(seed)
    cosine, price = random.uniform(size=count), 1000 + 500 * random.normal(size=count)
    features = np.stack((cosine, price, np.ones(count)), axis=1).astype(np.float32)
    return features, cosine + 0.1 * random.normal(size=count) > 0.6


@pytest.fixture(scope="module")
def model() -> RelevanceModel:
    return train_relevance_model(NAMES, *pairs(), SETTINGS, seed=3)


def test_it_learns_what_makes_a_pair_relevant(model: RelevanceModel) -> None:
    features, relevant = pairs(seed=1)
    probabilities = model.probabilities(features)
    assert ((probabilities > 0.5) == relevant).mean() > 0.85
    assert probabilities.dtype == np.float32
    assert ((probabilities >= 0) & (probabilities <= 1)).all()


def test_numpy_gives_what_scikit_learn_gives() -> None:
    features, relevant = pairs()
    trained = train_relevance_model(NAMES, features, relevant, SETTINGS, seed=3)
    own = MLPClassifier((8, 4), alpha=1e-3, batch_size=32, max_iter=12, n_iter_no_change=13, random_state=3)
    standardised = (features - trained.mean) / trained.scale
    with pytest.warns(ConvergenceWarning):
        own.fit(standardised, relevant)
    expected = own.predict_proba(standardised)[:, 1]
    np.testing.assert_allclose(trained.probabilities(features), expected, atol=1e-5)


def test_the_same_seed_gives_the_same_model_and_another_one_another(model: RelevanceModel) -> None:
    features, relevant = pairs()
    again = train_relevance_model(NAMES, features, relevant, SETTINGS, seed=3)
    other = train_relevance_model(NAMES, features, relevant, SETTINGS, seed=4)
    assert (again.probabilities(features) == model.probabilities(features)).all()
    assert (other.probabilities(features) != model.probabilities(features)).any()


def test_a_pair_has_the_same_probability_whatever_its_scale_is_among(model: RelevanceModel) -> None:
    features, _ = pairs(50)
    np.testing.assert_allclose(model.probabilities(features[7:8]), model.probabilities(features)[7:8], atol=1e-6)
    assert np.isfinite(model.probabilities(np.array([[1e9, -1e9, 1e9]], np.float32))).all()


def test_what_is_saved_is_what_is_opened_without_scikit_learn_and_torch(model: RelevanceModel, tmp_path: Path) -> None:
    model.save(tmp_path / "ranker")
    assert {path.name for path in (tmp_path / "ranker").iterdir()} == {WEIGHTS, DESCRIPTION}
    features, _ = pairs(40)
    assert (RelevanceModel.open(tmp_path / "ranker").probabilities(features) == model.probabilities(features)).all()
    script = (
        "import sys, numpy as np\nfrom pathlib import Path\n"
        "from shelfwalk.ranking.relevance_model import RelevanceModel\n"
        f"RelevanceModel.open(Path({str(tmp_path / 'ranker')!r})).probabilities(np.ones((2, 3), np.float32))\n"
        "print([name for name in ('sklearn', 'torch', 'scipy') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize("damage", ["cut weights", "no weights", "no JSON", "a layer less"])
def test_a_damaged_model_is_one_sentence(model: RelevanceModel, tmp_path: Path, damage: str) -> None:
    model.save(tmp_path)
    if damage == "cut weights":
        (tmp_path / WEIGHTS).write_bytes((tmp_path / WEIGHTS).read_bytes()[:50])
    elif damage == "no weights":
        (tmp_path / WEIGHTS).unlink()
    elif damage == "no JSON":
        (tmp_path / DESCRIPTION).write_text("{")
    else:
        text = (tmp_path / DESCRIPTION).read_text()
        (tmp_path / DESCRIPTION).write_text(text.replace('"layers": 3', '"layers": 4'))
    with pytest.raises(UserError, match=r"missing or damaged: build the shelf again\.$"):
        RelevanceModel.open(tmp_path)


def test_one_class_only_is_one_sentence() -> None:
    features, _ = pairs(20)
    with pytest.raises(UserError, match="All 20 pairs for the relevance model are irrelevant"):
        train_relevance_model(NAMES, features, np.zeros(20, bool), SETTINGS, 0)
    with pytest.raises(UserError, match="All 20 pairs for the relevance model are relevant"):
        train_relevance_model(NAMES, features, np.ones(20, bool), SETTINGS, 0)


def test_features_that_do_not_fit_are_refused(model: RelevanceModel) -> None:
    features, relevant = pairs(20)
    with pytest.raises(ValueError, match="features must be finite"):
        train_relevance_model(NAMES[:2], features, relevant, SETTINGS, 0)
    features[3, 1] = np.nan
    with pytest.raises(ValueError, match="features must be finite"):
        train_relevance_model(NAMES, features, relevant, SETTINGS, 0)
    with pytest.raises(ValueError, match="reads"):
        model.probabilities(features[:, :2])
