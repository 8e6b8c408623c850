"""Which number type training should compute in on this processor."""

from __future__ import annotations

_FASTER = ("amx_bf16", "bf16")
"""The names that torch gives to bfloat16 arithmetic that beats float32: matrix tiles on x86, and ARM's.

Not `avx512_bf16`: where a processor has it without the tiles, a training step takes longer than in float32.
"""


def bfloat16_is_faster() -> bool:
    """Whether training steps of this processor are faster in bfloat16 than in float32."""
    import torch

    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in _FASTER)
