"""Exports a sentence-transformers encoder to ONNX once, and says whether its int8 form is as good as the float one.

In: a folder of weights and sample texts of the catalogue with queries made from them. Out: a folder that
`OnnxTextEncoder` opens, cached by the sha256 of the encoder, and an `ExportCheck`, made anew for another sample.

Int8 is used where it is faster at equal quality: mean cosine to the float vectors at least `COSINE_FLOOR`, and recall
at 100 of the sampled items by their own queries at most `RECALL_TOLERANCE` below the float model's. Otherwise queries
run the float ONNX model and the catalogue is encoded by torch.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sentence_transformers import SentenceTransformer
from torch import nn
from transformers.utils import logging as transformers_logging

from shelfwalk.encoders.onnx import EncoderCard, OnnxTextEncoder, write_card
from shelfwalk.encoders.weights import cache_folder, encoder_sha256, require_weights
from shelfwalk.errors import UserError
from shelfwalk.files import sync_tree, write_whole

COSINE_FLOOR = 0.98
RECALL_TOLERANCE = 0.005
RECALL_CUT = 100
EXPORT_FORMAT = 1
"""Raised when the exported files change in kind, so that older cached exports are made anew."""


@dataclass(frozen=True)
class ExportCheck:
    """How the int8 encoder compares with the float one on a sample of the catalogue."""

    mean_cosine: float
    recall_float: float
    recall_int8: float
    speed_ratio: float
    """Texts a second, int8 over torch float32 on the same threads."""
    int8: bool
    sample_sha256: str
    """Of the texts and queries that were compared."""


class _Exported(nn.Module):
    """Token ids and mask in, one unit vector a text out: the form that is exported."""

    def __init__(self, model: SentenceTransformer) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        vectors = self.model({"input_ids": input_ids, "attention_mask": attention_mask})["sentence_embedding"]
        return nn.functional.normalize(vectors, dim=-1)


def load_encoder(weights: Path) -> SentenceTransformer:
    """Load a sentence-transformers folder on the CPU, offline; raises UserError if it is no such folder."""
    require_weights(weights)
    transformers_logging.disable_progress_bar()
    try:
        model = SentenceTransformer(str(weights), device="cpu", local_files_only=True).eval()
    except Exception as error:  # Three libraries read the folder, each with errors of its own for a damaged one.
        raise UserError(
            f"{weights} could not be loaded as a sentence-transformers folder: {error}".split("\n")[0]
        ) from error
    # The exported model knows no prompts, and both must be the same function.
    model.default_prompt_name = None
    return model


def export_encoder(weights: Path, name: str, threads: int, texts: Sequence[str], queries: Sequence[str]) -> Path:
    """Export an encoder, or find it exported, and return the folder of the precision to use.

    `queries[i]` was made from `texts[i]`, at least one of each: they decide between int8 and float (`check.json` beside
    the two models says how).
    """
    digest = encoder_sha256(weights)
    home = cache_folder() / "exported" / f"{digest[:16]}-{EXPORT_FORMAT}"
    check = read_check(home) if (home / "check.json").is_file() else None
    if check is None or check.sample_sha256 != _sample_sha256(texts, queries):
        model = load_encoder(weights)
        if not home.is_dir():
            _export_whole(home, model, name, digest)
        int8 = OnnxTextEncoder(home / "int8", threads)
        check = compare_encoders(lambda sample: torch_encode(model, sample), int8.encode, texts, queries)
        write_whole(home / "check.json", json.dumps(asdict(check), indent=1) + "\n")
    return home / ("int8" if check.int8 else "float32")


def read_check(home: Path) -> ExportCheck:
    """Read the comparison that `export_encoder` left in `home`, beside its two models."""
    return ExportCheck(**json.loads((home / "check.json").read_text(encoding="utf-8")))


def torch_encode(model: SentenceTransformer, texts: Sequence[str]) -> npt.NDArray[np.float32]:
    """Encode with torch in float32: unit vectors [len(texts), dimensions]."""
    return np.asarray(
        model.encode(list(texts), batch_size=32, normalize_embeddings=True, show_progress_bar=False), np.float32
    )


def export_onnx(model: SentenceTransformer, folder: Path, card: EncoderCard) -> None:
    """Write `model` as float32 ONNX with its tokenizer and card into the new folder `folder`."""
    folder.mkdir(parents=True)
    example = (torch.ones((2, 7), dtype=torch.int64), torch.ones((2, 7), dtype=torch.int64))
    sizes: dict[int, Any] = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    quiet_export(
        _Exported(model),
        example,
        folder / "model.onnx",
        input_names=["input_ids", "attention_mask"],
        output_names=["vectors"],
        dynamic_shapes={"input_ids": sizes, "attention_mask": sizes},
    )
    model.tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    write_card(folder, card)


def quiet_export(module: nn.Module, example: tuple[torch.Tensor, ...], path: Path, **settings: Any) -> None:
    """`torch.onnx.export` in evaluation mode, one file, without its chatter on the terminal."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(), example, str(path), dynamo=True, external_data=False, verbose=False, **settings
        )


def quantise(float_model: Path, int8_model: Path, operations: Sequence[str] | None = None) -> None:
    """Quantise the weights of an ONNX model to int8, a scale for each channel; `operations`: only of these."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quietened = logging.getLogger()
    quietened.addFilter(_is_no_quantisation_advice)
    try:
        quantize_dynamic(
            str(float_model),
            str(int8_model),
            op_types_to_quantize=operations,
            per_channel=True,
            weight_type=QuantType.QInt8,
        )
    finally:
        quietened.removeFilter(_is_no_quantisation_advice)


def _is_no_quantisation_advice(record: logging.LogRecord) -> bool:
    # The advice is a pre-processing step that changes nothing for these models.
    return "pre-processing before quantization" not in record.getMessage()


def _export_whole(home: Path, model: SentenceTransformer, name: str, digest: str) -> None:
    """Make `home` with both precisions in it, or, where another process was quicker, leave that one's."""
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent) as folder:
        staged = Path(folder) / "export"
        _export_into(staged, model, name, digest)
        sync_tree(staged)
        try:
            staged.rename(home)
        except OSError:
            if not home.is_dir():
                raise


def _export_into(home: Path, model: SentenceTransformer, name: str, digest: str) -> None:
    dimensions = model.encode(["a"], show_progress_bar=False).shape[1]
    limit = int(model.max_seq_length or 256)
    card = EncoderCard(name, digest, int(dimensions), limit, "float32")
    export_onnx(model, home / "float32", card)
    int8 = home / "int8"
    int8.mkdir()
    quantise(home / "float32" / "model.onnx", int8 / "model.onnx")
    shutil.copy(home / "float32" / "tokenizer.json", int8)
    write_card(int8, EncoderCard(name, digest, int(dimensions), limit, "int8"))


def compare_encoders(
    reference: Callable[[Sequence[str]], npt.NDArray[np.float32]],
    candidate: Callable[[Sequence[str]], npt.NDArray[np.float32]],
    texts: Sequence[str],
    queries: Sequence[str],
) -> ExportCheck:
    """Compare a candidate encoder with the reference: cosine, recall of each text by its query, and speed."""
    reference(texts[:8])
    candidate(texts[:8])
    started = time.perf_counter()
    reference_texts = reference(texts)
    reference_seconds = time.perf_counter() - started
    started = time.perf_counter()
    candidate_texts = candidate(texts)
    candidate_seconds = time.perf_counter() - started
    cosine = float(np.mean(np.sum(reference_texts * candidate_texts, axis=1)))
    recall_float = _recall(reference(queries), reference_texts)
    recall_int8 = _recall(candidate(queries), candidate_texts)
    ratio = reference_seconds / max(candidate_seconds, 1e-9)
    equal = cosine >= COSINE_FLOOR and recall_int8 >= recall_float - RECALL_TOLERANCE
    sample = _sample_sha256(texts, queries)
    return ExportCheck(cosine, recall_float, recall_int8, ratio, equal and ratio > 1.0, sample)


def _sample_sha256(texts: Sequence[str], queries: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps([list(texts), list(queries)]).encode()).hexdigest()


def _recall(queries: npt.NDArray[np.float32], texts: npt.NDArray[np.float32]) -> float:
    """Share of rows i where text i is among the `RECALL_CUT` nearest texts of query i."""
    similarity = queries @ texts.T
    own = np.diagonal(similarity)[:, None]
    return float(np.mean(np.sum(similarity > own, axis=1) < RECALL_CUT))
