"""Exports a trained decoder to ONNX, so that searching needs no torch.

In: an `IdentifierDecoder`. Out: a folder with `memory.onnx` (once a query), `step.onnx` (once a level), and
`generator.json` (the decoder's sizes).
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from shelfwalk.encoders.export import quiet_export
from shelfwalk.generators.decoder import IdentifierDecoder


class _MemoryGraph(nn.Module):
    def __init__(self, decoder: IdentifierDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, query_vectors: Tensor) -> Tensor:
        return self.decoder.memory(query_vectors)


class _StepGraph(nn.Module):
    def __init__(self, decoder: IdentifierDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(
        self, query_vectors: Tensor, memory: Tensor, cache: Tensor, rows: Tensor, level: Tensor
    ) -> tuple[Tensor, Tensor]:
        return self.decoder.step(query_vectors, memory, cache, rows, level)


def export_generator(decoder: IdentifierDecoder, folder: Path) -> None:
    """Write the ONNX files and sizes of a decoder into `folder`, made if missing."""
    folder.mkdir(parents=True, exist_ok=True)
    decoder.eval()
    shape = decoder.shape
    # Distinct example sizes, all above one: the exporter takes sizes that it sees to be equal, or one, for constants.
    batch, beams, codes = 2, 5, 3
    vectors = torch.randn(batch, shape.query_dimensions)
    memory = decoder.memory(vectors).detach()
    cache = torch.randn(batch, beams, shape.layers, 2 * shape.heads, codes, shape.width // shape.heads)
    rows = torch.zeros(batch, beams, dtype=torch.int64)
    dynamic = torch.export.Dim.DYNAMIC
    quiet_export(
        _MemoryGraph(decoder),
        (vectors,),
        folder / "memory.onnx",
        input_names=["query_vectors"],
        output_names=["memory"],
        dynamic_shapes={"query_vectors": {0: dynamic}},
    )
    quiet_export(
        _StepGraph(decoder),
        (vectors, memory, cache, rows, torch.tensor(1)),
        folder / "step.onnx",
        input_names=["query_vectors", "memory", "cache", "rows", "level"],
        output_names=["log_probabilities", "grown_cache"],
        dynamic_shapes={
            "query_vectors": {0: dynamic},
            "memory": {0: dynamic},
            "cache": {0: dynamic, 1: dynamic, 4: dynamic},
            "rows": {0: dynamic, 1: dynamic},
            "level": {},
        },
    )
    (folder / "generator.json").write_text(json.dumps(asdict(shape), indent=1) + "\n", encoding="utf-8")
