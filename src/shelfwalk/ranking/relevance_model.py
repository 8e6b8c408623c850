"""The relevance model: a small perceptron from the features of a query and an item to the probability of relevance.

In: features, float32 [pairs, features], and to learn from labels of 0 and 1. Out: probabilities, float32 [pairs]. DSIRM
(arXiv 2606.04374) adds its match feature to the inputs of a perceptron that the shop has already; this is that
perceptron. scikit-learn trains it; what was learnt lies on disk as safetensors and JSON, with the standardisation of
the inputs, and runs in numpy, so that searching needs neither.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from shelfwalk.errors import UserError
from shelfwalk.files import write_whole
from shelfwalk.ranking.ranker_settings import RankerSettings

WEIGHTS = "weights.safetensors"
DESCRIPTION = "relevance_model.json"
_FORMAT = 1

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class RelevanceModel:
    """A trained perceptron over the features of these names.

    `mean` and `scale` float32 [features] standardise the inputs; `weights` float32 [inputs, outputs] and `biases`
    float32 [outputs] are the layers, the last of one output.
    """

    features: tuple[str, ...]
    mean: FloatArray
    scale: FloatArray
    weights: tuple[FloatArray, ...]
    biases: tuple[FloatArray, ...]

    def probabilities(self, features: FloatArray) -> FloatArray:
        """The probability that each pair is relevant: float32 [pairs]; raises ValueError for other features."""
        if features.ndim != 2 or features.shape[1] != len(self.features):
            raise ValueError(f"the model reads [pairs, {len(self.features)}] features, not {list(features.shape)}")
        values: FloatArray = (features - self.mean) / self.scale
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            values = (np.maximum(values, 0) if layer else values) @ weight + bias
        # As a tanh, which no large value overflows.
        probabilities: FloatArray = (0.5 * (1 + np.tanh(0.5 * values[:, 0]))).astype(np.float32)
        return probabilities

    def save(self, folder: Path) -> None:
        """Write the weights, and last the JSON that says what they are of, into `folder`, made if missing."""
        from safetensors.numpy import save

        arrays = {"mean": self.mean, "scale": self.scale}
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            arrays |= {f"weight_{layer}": weight, f"bias_{layer}": bias}
        write_whole(folder / WEIGHTS, save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))
        content = {"format": _FORMAT, "features": self.features, "layers": len(self.weights)}
        write_whole(folder / DESCRIPTION, json.dumps(content, indent=1) + "\n")

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read what `save` wrote; raises UserError if a file is missing, damaged or of another format."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            content: dict[str, Any] = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
            if content["format"] != _FORMAT:
                raise UserError(f"{folder / DESCRIPTION} was written by another version: build the shelf again.")
            arrays, layers = load_file(folder / WEIGHTS), range(content["layers"])
            weights = tuple(arrays[f"weight_{layer}"] for layer in layers)
            biases = tuple(arrays[f"bias_{layer}"] for layer in layers)
            return cls(tuple(content["features"]), arrays["mean"], arrays["scale"], weights, biases)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError):
            raise UserError(f"The relevance model in {folder} is missing or damaged: build the shelf again.") from None


def train_relevance_model(
    names: Sequence[str], features: FloatArray, labels: npt.NDArray[np.bool_], settings: RankerSettings, seed: int
) -> RelevanceModel:
    """Train on `features` [pairs, features], named by `names`, and `labels` bool [pairs]; deterministic by `seed`.

    Raises UserError if all labels are the same, ValueError for features that are not finite or do not fit.
    """
    if features.shape != (len(labels), len(names)) or not np.isfinite(features).all():
        raise ValueError(f"features must be finite, [{len(labels)}, {len(names)}], not {list(features.shape)}")
    refuse_one_class(labels)
    from sklearn.neural_network import MLPClassifier  # type: ignore[import-untyped]

    mean, scale = _standardisation(features)
    classifier = MLPClassifier(
        settings.hidden_widths,
        alpha=settings.weight_decay,
        batch_size=min(settings.batch, len(labels)),
        learning_rate_init=settings.learning_rate,
        max_iter=settings.epochs,
        # All epochs are run: stopping at a plateau would warn, and make the figure of epochs mean nothing.
        n_iter_no_change=settings.epochs + 1,
        random_state=seed,
    )
    _fit(classifier, (features - mean) / scale, labels)
    weights = tuple(np.asarray(weight, np.float32) for weight in classifier.coefs_)
    biases = tuple(np.asarray(bias, np.float32) for bias in classifier.intercepts_)
    return RelevanceModel(tuple(names), mean, scale, weights, biases)


def refuse_one_class(labels: npt.NDArray[np.bool_]) -> None:
    """Raise UserError if no pair is relevant, or all are: there is nothing to tell apart then."""
    relevant = int(labels.sum())
    if relevant in (0, len(labels)):
        word = "relevant" if relevant else "irrelevant"
        raise UserError(
            f"All {len(labels):,} pairs for the relevance model are {word}: give a log with items that were shown and"
            " clicked and others that were not, or judgements of both kinds."
        )


def _standardisation(features: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and scale of each feature; a feature that never changes is only centred."""
    mean, deviation = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
    return mean.astype(np.float32), np.where(deviation > 0, deviation, 1).astype(np.float32)


def _fit(classifier: Any, features: FloatArray, labels: npt.NDArray[np.bool_]) -> None:
    import warnings

    with warnings.catch_warnings():
        # That the loss was still falling after the last epoch is what was asked for.
        warnings.simplefilter("ignore")
        classifier.fit(features, labels)
