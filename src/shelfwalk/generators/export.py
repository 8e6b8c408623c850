"""Exports a trained decoder to ONNX, so that searching needs no torch.

In: an `IdentifierDecoder`. Out: a folder with `memory.onnx` (once a query), `step.onnx` (once a level), and
`generator.json` (the decoder's sizes). Those of a decoder that reads histories take two more inputs: `histories` the
one, and `masked`, which it makes of them, the other.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

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


class _ShopperMemoryGraph(nn.Module):
    def __init__(self, decoder: IdentifierDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, query_vectors: Tensor, histories: Tensor) -> tuple[Tensor, Tensor]:
        return self.decoder.memory(query_vectors, histories), self.decoder.masked(histories)


class _StepGraph(nn.Module):
    def __init__(self, decoder: IdentifierDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(
        self,
        query_vectors: Tensor,
        memory: Tensor,
        cache: Tensor,
        rows: Tensor,
        level: Tensor,
        masked: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        return self.decoder.step(query_vectors, memory, cache, rows, level, masked)


def export_generator(decoder: IdentifierDecoder, folder: Path) -> None:
    """Write the ONNX files and sizes of a decoder into `folder`, made if missing."""
    folder.mkdir(parents=True, exist_ok=True)
    decoder.eval()
    shape = decoder.shape
    # Distinct example sizes, all above one: the exporter takes sizes that it sees to be equal, or one, for constants.
    batch, beams, codes = 2, 5, 3
    vectors, batches = torch.randn(batch, shape.query_dimensions), {0: torch.export.Dim.DYNAMIC}
    if shape.history_length is None:
        memory, masked = _export_memory(_MemoryGraph(decoder), folder, {"query_vectors": vectors}, ["memory"]), None
    else:
        histories = torch.zeros(batch, shape.history_length, len(shape.level_sizes), dtype=torch.int64)
        inputs = {"query_vectors": vectors, "histories": histories}
        memory, masked = _export_memory(_ShopperMemoryGraph(decoder), folder, inputs, ["memory", "masked"])
    cache = torch.randn(batch, beams, shape.layers, 2 * shape.heads, codes, shape.width // shape.heads)
    rows = torch.zeros(batch, beams, dtype=torch.int64)
    dynamic = torch.export.Dim.DYNAMIC
    shopper = {} if masked is None else {"masked": masked}
    quiet_export(
        _StepGraph(decoder),
        (vectors, memory, cache, rows, torch.tensor(1), *shopper.values()),
        folder / "step.onnx",
        input_names=["query_vectors", "memory", "cache", "rows", "level", *shopper],
        output_names=["log_probabilities", "grown_cache"],
        dynamic_shapes={
            "query_vectors": batches,
            "memory": batches,
            "cache": {0: dynamic, 1: dynamic, 4: dynamic},
            "rows": {0: dynamic, 1: dynamic},
            "level": {},
            **dict.fromkeys(shopper, batches),
        },
    )
    sizes = {name: size for name, size in asdict(shape).items() if size is not None}
    (folder / "generator.json").write_text(json.dumps(sizes, indent=1) + "\n", encoding="utf-8")


@torch.no_grad()
def _export_memory(graph: nn.Module, folder: Path, inputs: dict[str, Tensor], outputs: list[str]) -> Any:
    """Export the graph of a memory and return what it makes of the inputs."""
    quiet_export(
        graph,
        tuple(inputs.values()),
        folder / "memory.onnx",
        input_names=list(inputs),
        output_names=outputs,
        dynamic_shapes={name: {0: torch.export.Dim.DYNAMIC} for name in inputs},
    )
    return graph(**inputs)
