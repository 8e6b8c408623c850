"""The network of CQ-SID (arXiv 2605.14434) in torch: encoder, decoder, and codes that are moving averages.

In: vectors, float32 [batch, dimensions], and for each the code that level 1 must take, if any. Out: codes and residuals
of every level and the quantised vector with a straight-through gradient.

    r_0 = E(x) ;  k_1 = the category, or the nearest code ;  k_l = argmin_j || r_l−1 − e_l,j ||²
    r_l = r_l−1 − e_l,k_l
    e_l,j ← λ e_l,j + (1 − λ) m_l,j    with m_l,j the batch mean of the r_l−1 that code j was given

A code that no item of a batch has stays where it is. Codes have no gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from shelfwalk.tokenizers.rqvae_network import nearest, perceptron, straight_through, sum_over_levels


@dataclass(frozen=True)
class Quantised:
    """Latents [batch, d] after quantisation: per level residuals [batch, d] (with a gradient) and codes [batch]."""

    residuals: tuple[Tensor, ...]
    codes: tuple[Tensor, ...]
    values: Tensor
    """The sum of the codes with the gradient of the latents, [batch, d]."""
    commitment: Tensor


class CQSIDNetwork(nn.Module):
    """Encoder, decoder and codebooks; `widths` are the layers from the vector to the latent, both included.

    The codebooks [codes, latent width], and with them the moving counts [codes] of the items that each code has had a
    step, are added by whoever starts or restores the network.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.encoder = perceptron(widths)
        self.decoder = perceptron(widths[::-1])
        self.codebooks = nn.ParameterList()
        self.counts = nn.ParameterList()

    def add_level(self, codebook: Tensor, counts: Tensor) -> None:
        """Add a level below those that there are."""
        self.codebooks.append(nn.Parameter(codebook, requires_grad=False))
        self.counts.append(nn.Parameter(counts, requires_grad=False))

    def quantise(self, latents: Tensor, forced: Tensor | None = None) -> Quantised:
        """Quantise latents [batch, d]; `forced` int64 [batch] are codes of level 1, −1 for the nearest.

        Without codebooks the latents are their own values.
        """
        if not self.codebooks:
            return Quantised((), (), latents, latents.new_zeros(()))
        residual, residuals, codes, chosen = latents, [], [], []
        for level, codebook in enumerate(self.codebooks):
            residuals.append(residual)
            code = nearest(residual.detach(), codebook)
            codes.append(code if forced is None or level else torch.where(forced >= 0, forced, code))
            chosen.append(codebook[codes[-1]])
            residual = residual - chosen[-1]
        values = straight_through(latents, torch.stack(chosen).sum(dim=0))
        return Quantised(tuple(residuals), tuple(codes), values, sum_over_levels(residuals, chosen))

    @torch.no_grad()
    def move_codes(self, quantised: Quantised, decay: float) -> None:
        """Move every code towards the mean of what a batch gave it, and its count towards how many that were."""
        for level, codes in enumerate(quantised.codes):
            codebook, counts = self.codebooks[level], self.counts[level]
            found = torch.bincount(codes, minlength=len(codebook))
            sums = torch.zeros_like(codebook).index_add_(0, codes, quantised.residuals[level].detach())
            given = found > 0
            means = sums[given] / found[given, None]
            codebook[given] = decay * codebook[given] + (1 - decay) * means
            counts.mul_(decay).add_(found, alpha=1 - decay)
