"""Exports a trained encoder-decoder to ONNX, so that searching needs no torch.

In: a `Seq2SeqWalk` and the reader of its prompts. Out: a folder with `memory.onnx` (once a query: the input, and the
first level), `step.onnx` (once a level), `tokenizer.json`, and `generator.json`, written last.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from shelfwalk.encoders.export import quiet_export
from shelfwalk.generators.prompt_tokens import PromptReader
from shelfwalk.generators.seq2seq_generator import FOLDED, MEMORY, STEP, by_layer
from shelfwalk.generators.seq2seq_walk import Seq2SeqWalk


class _MemoryGraph(nn.Module):
    def __init__(self, walk: Seq2SeqWalk) -> None:
        super().__init__()
        self.walk = walk

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        return self.walk.memory(ids, mask)


class _StepGraph(nn.Module):
    def __init__(self, walk: Seq2SeqWalk) -> None:
        super().__init__()
        self.walk = walk

    def forward(
        self, rows: Tensor, level: Tensor, ancestors: Tensor, past: Tensor, memory: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        return self.walk.step(rows, level, ancestors, past, memory)


def export_seq2seq(walk: Seq2SeqWalk, reader: PromptReader, folder: Path) -> None:
    """Write what searching needs into `folder`, made if missing."""
    folder.mkdir(parents=True, exist_ok=True)
    walk.eval()
    dynamic: Any = torch.export.Dim.DYNAMIC
    # Distinct example sizes, all above one: the exporter takes sizes that it sees to be equal, or one, for constants.
    ids, mask = torch.zeros(2, 7, dtype=torch.int64), torch.zeros(2, 7)
    quiet_export(
        _MemoryGraph(walk),
        (ids, mask),
        folder / MEMORY,
        input_names=["ids", "mask"],
        output_names=["first", *FOLDED],
        dynamic_shapes={"ids": {0: dynamic, 1: dynamic}, "mask": {0: dynamic, 1: dynamic}},
    )
    with torch.no_grad():
        _, *folded = walk.memory(ids, mask)
    memory = by_layer(folded)
    # Of the input's tensors one more size is free: as many as it has tokens and heads.
    free = {"input_keys": 1, "input_values": 1, "input_added": 2}
    sizes = [{0: dynamic} | {free[name]: dynamic for name in free if key.startswith(name)} for key in memory]
    beams, codes = 5, 3
    example = (
        torch.zeros(2, beams, dtype=torch.int64),
        torch.tensor(1),
        torch.zeros(2, beams, codes, dtype=torch.int64),
        torch.zeros(11, 2 * len(walk.layers), walk.inner),
        [part.contiguous() for part in memory.values()],
    )
    quiet_export(
        _StepGraph(walk),
        example,
        folder / STEP,
        input_names=["rows", "level", "ancestors", "past", *memory],
        output_names=["log_probabilities", "kept"],
        dynamic_shapes={
            "rows": {0: dynamic, 1: dynamic},
            "level": {},
            "ancestors": {0: dynamic, 1: dynamic, 2: dynamic},
            "past": {0: dynamic},
            "memory": sizes,
        },
    )
    reader.tokenizer.save(str(folder / "tokenizer.json"))
    card = {
        "kind": "seq2seq",
        "level_sizes": list(walk.level_sizes),
        "words": reader.vocabulary.words,
        "prompt_tokens": reader.limit,
        "most_tokens": reader.most,
        "history_length": reader.history_length,
        "layers": len(walk.layers),
        "inner": walk.inner,
    }
    (folder / "generator.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
