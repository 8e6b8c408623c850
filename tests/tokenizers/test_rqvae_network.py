"""The RQ-VAE's network and loss against the equations, written out slowly, and its straight-through gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from shelfwalk.tokenizers.number_type import bfloat16_is_faster
from shelfwalk.tokenizers.rqvae_encoder import latents_of
from shelfwalk.tokenizers.rqvae_network import RQVAENetwork, layers_of, nearest, straight_through


@pytest.fixture
def network() -> RQVAENetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        made = RQVAENetwork([6, 10, 4])
        # Codes far apart, so that a small step does not change which is nearest.
        made.codebooks.extend(nn.Parameter(scale * torch.randn(5, 4)) for scale in (1.0, 0.3))
    return made


@pytest.fixture
def vectors() -> Tensor:
    return torch.randn(7, 6, generator=torch.Generator().manual_seed(2))


@torch.no_grad()
def test_losses_and_codes_follow_the_equations(network: RQVAENetwork, vectors: Tensor) -> None:
    result = network(vectors)
    reconstruction = codebook_loss = 0.0
    for row, x in enumerate(vectors):
        z = network.encoder(x)
        residual, quantised = z, torch.zeros(4)
        for level, codebook in enumerate(network.codebooks):
            code = min(range(5), key=lambda j: float((residual - codebook[j]).square().sum()))
            assert result.codes[level][row] == code
            assert torch.allclose(result.residuals[level][row], residual, atol=1e-6)
            codebook_loss += float((residual - codebook[code]).square().sum()) / len(vectors)
            residual, quantised = residual - codebook[code], quantised + codebook[code]
        reconstruction += float((x - network.decoder(quantised)).square().sum()) / len(vectors)
    assert float(result.reconstruction) == pytest.approx(reconstruction, rel=1e-4)
    assert float(result.codebook) == pytest.approx(codebook_loss, rel=1e-4)
    assert float(result.commitment) == pytest.approx(codebook_loss, rel=1e-4)


def test_the_gradient_passes_the_quantiser_unchanged() -> None:
    latents = torch.tensor([[1.0, -2.0]], requires_grad=True)
    quantised = torch.tensor([[0.5, 3.0]], requires_grad=True)
    passed = straight_through(latents, quantised)
    assert torch.allclose(passed, quantised)
    (passed * torch.tensor([[3.0, 7.0]])).sum().backward()
    assert latents.grad is not None
    assert latents.grad.tolist() == [[3.0, 7.0]]
    assert quantised.grad is None


def test_the_reconstruction_reaches_the_encoder(network: RQVAENetwork, vectors: Tensor) -> None:
    """The last bias of the encoder gets what the decoder's input gets, summed over the batch."""
    inputs = []

    def keep(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        arguments[0].retain_grad()
        inputs.append(arguments[0])

    network.decoder.register_forward_pre_hook(keep)
    network(vectors).reconstruction.backward()
    bias = network.encoder[-1].bias.grad
    assert bias is not None
    assert bias.abs().max() > 1e-3
    assert torch.allclose(bias, inputs[0].grad.sum(dim=0), atol=1e-6)
    assert all(codebook.grad is None for codebook in network.codebooks)


def test_each_loss_moves_its_own_side(network: RQVAENetwork, vectors: Tensor) -> None:
    """The codebook loss draws codes to residuals, the commitment loss the encoder to its codes."""
    result = network(vectors)
    (codes,) = torch.autograd.grad(result.codebook, [network.codebooks[1]], retain_graph=True)
    expected = torch.zeros(5, 4)
    for code, residual in zip(result.codes[1], result.residuals[1], strict=True):
        expected[code] += 2 * (network.codebooks[1][code].detach() - residual) / len(vectors)
    assert torch.allclose(codes, expected, atol=1e-5)
    assert torch.autograd.grad(result.codebook, [network.encoder[0].weight], allow_unused=True, retain_graph=True) == (
        None,
    )
    (encoder,) = torch.autograd.grad(result.commitment, [network.encoder[-1].bias])
    assert encoder.abs().max() > 1e-3


def test_nearest_is_exhaustive_search() -> None:
    generator = torch.Generator().manual_seed(4)
    points, codebook = torch.randn(50, 8, generator=generator), torch.randn(20, 8, generator=generator)
    assert torch.equal(nearest(points, codebook), torch.cdist(points, codebook).argmin(dim=1))


def test_latents_in_numpy_are_those_of_the_network(network: RQVAENetwork, vectors: Tensor) -> None:
    expected = network.double().encoder(vectors.double()).detach().numpy().astype(np.float32)
    layers = tuple((weight.astype(np.float32), bias.astype(np.float32)) for weight, bias in layers_of(network.encoder))
    assert np.array_equal(latents_of(vectors.numpy(), layers), expected)


@torch.no_grad()
def test_bfloat16_changes_the_perceptrons_but_little(network: RQVAENetwork, vectors: Tensor) -> None:
    plain, short = network(vectors), network(vectors, bfloat16=True)
    assert short.reconstruction.dtype == torch.float32
    assert float(short.reconstruction) != float(plain.reconstruction)
    assert float(short.reconstruction) == pytest.approx(float(plain.reconstruction), rel=0.05)


@pytest.mark.parametrize(
    ("capabilities", "faster"),
    [
        ({}, False),
        ({"avx512_f": True, "avx512_bf16": False}, False),
        ({"avx512_bf16": True}, False),
        ({"avx512_bf16": True, "amx_bf16": True}, True),
        ({"bf16": 1}, True),
    ],
)
def test_bfloat16_is_for_processors_that_gain_by_it(
    capabilities: dict[str, bool], faster: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert bfloat16_is_faster() == faster
