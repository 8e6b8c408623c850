"""The network of TIGER's RQ-VAE (arXiv 2305.05065, section 3.1) in torch, and its loss.

In: vectors, float32 [batch, dimensions]. Out: the loss in parts, and per level the residuals and the codes chosen.

    z = E(x) ;  r_1 = z ;  c_l = argmin_j || r_l − e_l,j ||² ;  r_l+1 = r_l − e_l,c_l ;  ẑ = Σ_l e_l,c_l
    L = || x − D(z + sg[ẑ − z]) ||²  +  Σ_l || sg[r_l] − e_l,c_l ||²  +  β Σ_l || r_l − sg[e_l,c_l] ||²

Squares are added up over dimensions and averaged over items; the caller applies β.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from shelfwalk.tokenizers.rqvae_encoder import Layer


@dataclass(frozen=True)
class RQVAEPass:
    """What one pass over a batch gives: scalar losses, and per level residuals [batch, d] and codes int64 [batch]."""

    reconstruction: Tensor
    codebook: Tensor
    commitment: Tensor
    residuals: tuple[Tensor, ...]
    codes: tuple[Tensor, ...]


class RQVAENetwork(nn.Module):
    """Encoder, decoder and codebooks; `widths` are the layers from the vector to the latent, both included.

    The codebooks, one [codes, latent width] a level, are added by whoever starts or restores the network.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.encoder = perceptron(widths)
        self.decoder = perceptron(widths[::-1])
        self.codebooks = nn.ParameterList()

    def forward(self, vectors: Tensor, *, bfloat16: bool = False) -> RQVAEPass:
        """One pass; only the perceptrons run in bfloat16, since distances to codes need float32."""
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            latents = self.encoder(vectors).float()
        residual, residuals, codes, chosen = latents, [], [], []
        for codebook in self.codebooks:
            residuals.append(residual)
            codes.append(nearest(residual.detach(), codebook.detach()))
            # Not codebook[codes]: the gradient of that adds up in an order that varies with several threads.
            chosen.append(functional.embedding(codes[-1], codebook))
            residual = residual - chosen[-1]
        quantised = straight_through(latents, torch.stack(chosen).sum(dim=0))
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            decoded = self.decoder(quantised).float()
        return RQVAEPass(
            reconstruction=squared_distance(vectors, decoded),
            codebook=sum_over_levels([each.detach() for each in residuals], chosen),
            commitment=sum_over_levels(residuals, [each.detach() for each in chosen]),
            residuals=tuple(each.detach() for each in residuals),
            codes=tuple(codes),
        )


def nearest(points: Tensor, codebook: Tensor) -> Tensor:
    """The nearest code of each point [n, d]: int64 [n]; near ties fall as float32 rounds them."""
    return (codebook.square().sum(dim=1) - 2 * points @ codebook.T).argmin(dim=1)


def straight_through(latents: Tensor, quantised: Tensor) -> Tensor:
    """The value of `quantised` with the gradient of `latents`."""
    return latents + (quantised - latents).detach()


def layers_of(network: nn.Module) -> tuple[Layer, ...]:
    """The weights of an encoder or decoder as numpy arrays of their own."""
    linear = [layer for layer in network.children() if isinstance(layer, nn.Linear)]
    return tuple((layer.weight.detach().numpy().copy(), layer.bias.detach().numpy().copy()) for layer in linear)


def perceptron(widths: Sequence[int]) -> nn.Sequential:
    """Linear layers of these widths, ReLU between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def sum_over_levels(first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
    """The squared distance of each level, added up."""
    return torch.stack([squared_distance(*pair) for pair in zip(first, second, strict=True)]).sum()


def squared_distance(first: Tensor, second: Tensor) -> Tensor:
    """Squares of the differences added up over dimensions, averaged over rows."""
    return (first - second).square().sum(dim=1).mean()
