"""Opens whatever generator a folder holds.

In: a folder that a backbone's export wrote. Out: a `Generator`. Only one that has no export to ONNX needs torch.
"""

from __future__ import annotations

import json
from pathlib import Path

from shelfwalk.errors import UserError
from shelfwalk.generators.generator import Generator
from shelfwalk.generators.prompts import Prompts


def open_generator(folder: Path, threads: int = 1) -> Generator[Prompts]:
    """Open the generator in `folder`; raises UserError if it is of a kind that this version does not know."""
    kind = json.loads((folder / "generator.json").read_text(encoding="utf-8")).get("kind", "decoder")
    if kind == "decoder":
        from shelfwalk.generators.onnx_generator import OnnxGenerator

        # In int8 where a build found that to agree: it leaves the file only then.
        return OnnxGenerator(folder, threads, int8=True)
    if kind == "seq2seq":
        from shelfwalk.generators.seq2seq_generator import Seq2SeqGenerator

        return Seq2SeqGenerator.open(folder, threads)
    if kind == "causal":
        from shelfwalk.generators.causal_generator import CausalGenerator

        return CausalGenerator.open(folder, threads)
    raise UserError(f'The generator in {folder} is a "{kind}", which this version does not know: update shelfwalk.')
