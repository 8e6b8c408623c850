"""What a saved tokeniser tells of its training: the names that shelves on disk have, and back to the same settings."""

from __future__ import annotations

import json

import pytest

from shelfwalk.tokenizers.settings import CqSidSettings, RqVaeSettings
from shelfwalk.tokenizers.tokenizer_files import settings_of
from shelfwalk.tokenizers.training_run import TrainingRun, described, run_of

RUN = {"seed": 3, "threads": 1, "bfloat16": None, "weight_decay": 1e-4, "kmeans_iterations": 20}
SIZES = {"hidden_widths": [512, 256, 128], "latent_width": 32, "learning_rate": 1e-3}
OF_RQVAE = {"level_sizes": [8, 8], "commitment": 0.25, "epochs": 30, "batch": 1_024}
OF_CQSID = {
    "level_sizes": [512, 16, 16], "force_category": True, "category_depth": 2, "contrast": 0.001,
    "contrast_before_quantisation": False, "temperature": 0.1, "contrast_batch": 128, "category_contrast": 0.0,
    "commitment": 1.0, "query_commitment": None, "decay": 0.99, "restart_below": 1.0, "epochs": 10, "warm_up_epochs": 1,
    "batch": 256,
}  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "on_disk"),
    [(RqVaeSettings(level_sizes=(8, 8)), OF_RQVAE), (CqSidSettings(category_depth=2), OF_CQSID)],
)
def test_shelves_that_are_there_still_open(settings: RqVaeSettings | CqSidSettings, on_disk: dict[str, object]) -> None:
    told = json.loads(json.dumps(described(settings, TrainingRun(3))))
    assert told == {**on_disk, **SIZES, **RUN}
    assert (settings_of(type(settings), told), run_of(told)) == (settings, TrainingRun(3))


def test_what_a_build_does_with_a_tokeniser_is_not_told_of_its_training() -> None:
    """Or else clusters of another size would ask for another training."""
    plain, capped = (CqSidSettings(cluster_cap=cap, most_groups=cap + 1) for cap in (0, 9))
    assert described(plain, TrainingRun()) == described(capped, TrainingRun())
