"""Which number type training should compute in on this processor."""

from __future__ import annotations

_NATIVE = ("avx512_bf16", "amx_bf16", "bf16")
"""The names that torch gives to bfloat16 arithmetic on x86 (the first two) and on ARM."""


def bfloat16_is_native() -> bool:
    """Whether this processor multiplies bfloat16 matrices itself.

    Where it does not, torch emulates bfloat16 and is slower than in float32.
    """
    import torch

    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in _NATIVE)
