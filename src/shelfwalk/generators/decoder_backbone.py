"""The default backbone: a small decoder of our own over the vectors of a pretrained text encoder.

In: an `IdentifierDecoder`, and the encoder where it learns along. Out: the loss of a batch; once trained, `memory.onnx`
and `step.onnx`. A frozen encoder's vectors come with the prompts, made once; one that learns reads their texts anew.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shelfwalk.generators.backbone import Backbone
from shelfwalk.generators.decoder import IdentifierDecoder, level_loss
from shelfwalk.generators.export import export_generator
from shelfwalk.generators.prompts import Prompts
from shelfwalk.generators.settings import TrainingSettings
from shelfwalk.generators.torch_generator import TorchGenerator


class DecoderBackbone(Backbone):
    """A decoder, and the sentence-transformers encoder that is fine-tuned with it, if one is."""

    def __init__(self, decoder: IdentifierDecoder, encoder: Any | None = None) -> None:
        super().__init__()
        self.decoder = decoder
        self.encoder: Any | None = encoder
        self.reads_texts = encoder is not None

    def forward(self, prompts: Prompts, codes: Tensor) -> Tensor:
        """See `Backbone.forward`."""
        return level_loss(self.decoder(self.vectors(prompts), codes, *self._histories(prompts)), codes)

    def _histories(self, prompts: Prompts) -> tuple[Tensor, ...]:
        """The shoppers' latest identifiers, where the decoder reads those and the prompts can have any."""
        shape = self.decoder.shape
        if shape.history_length is None or not prompts.histories.shape[1]:
            return ()
        latest = prompts.latest(shape.history_length, len(shape.level_sizes))
        return (torch.from_numpy(latest).to(self._device),)

    @property
    def _device(self) -> torch.device:
        return self.decoder.head.device

    def vectors(self, prompts: Prompts) -> Tensor:
        """Unit vectors [prompts, dimensions]; a text that stands in a batch more than once is encoded once."""
        if self.encoder is None:
            return torch.from_numpy(prompts.vectors).to(self._device)
        distinct, place = np.unique(prompts.texts, return_inverse=True)
        features = self.encoder.preprocess(distinct.tolist())
        features = {
            name: part.to(self._device) if isinstance(part, Tensor) else part for name, part in features.items()
        }
        # Its vectors are compared, and so are not made in fewer digits.
        with torch.autocast(self._device.type, enabled=False):
            vectors = nn.functional.normalize(self.encoder(features)["sentence_embedding"].float(), dim=-1)
        return vectors[torch.from_numpy(place).to(self._device)]

    def parameter_groups(self, settings: TrainingSettings) -> list[dict[str, Any]]:
        """See `Backbone.parameter_groups`."""
        groups = [{"params": list(self.decoder.parameters()), "lr": settings.learning_rate}]
        if self.encoder is not None:
            groups.append({"params": list(self.encoder.parameters()), "lr": settings.encoder_learning_rate})
        return groups

    def generator(self) -> TorchGenerator:
        """See `Backbone.generator`."""
        return TorchGenerator(self.decoder)

    def export(self, folder: Path) -> None:
        """See `Backbone.export`; the encoder is not part of it."""
        export_generator(self.decoder, folder)
