"""A small decoder, and the same one exported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from shelfwalk.generators.decoder import IdentifierDecoder


@pytest.fixture(scope="session")
def make_decoder() -> Callable[..., IdentifierDecoder]:
    """Makes decoders whose weights, biases and norms are all drawn at random: none is zero or one by its start."""
    import torch

    from shelfwalk.generators.decoder import DecoderShape, IdentifierDecoder

    def make(level_sizes: tuple[int, ...], seed: int = 0, **sizes: Any) -> IdentifierDecoder:
        shape = DecoderShape(**({"query_dimensions": 10, "width": 24, "heads": 3} | sizes), level_sizes=level_sizes)
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(seed)
            decoder = IdentifierDecoder(shape)
            for parameter in decoder.parameters():
                parameter += 0.3 * torch.randn_like(parameter)
        return decoder.eval()

    return make


@pytest.fixture(scope="session")
def exported(
    make_decoder: Callable[..., IdentifierDecoder], tmp_path_factory: pytest.TempPathFactory
) -> tuple[IdentifierDecoder, Path]:
    """A decoder for three levels of unequal sizes and the folder it was exported into.

    Its layers, heads and memory tokens are as many as the exporter's example has queries and codes: sizes that it could
    take for one and the same.
    """
    from shelfwalk.generators.export import export_generator

    decoder = make_decoder((9, 5, 7), memory_tokens=3, layers=2, heads=3)
    folder = tmp_path_factory.mktemp("generator") / "exported"
    export_generator(decoder, folder)
    return decoder, folder
