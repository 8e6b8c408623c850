"""How the loops of this package are compiled: to machine code, kept beside the source, outside Python's lock.

In: a function on arrays and numbers. Out: the same, compiled on its first call or read from what an earlier run kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np
from numba.core import types
from numba.extending import intrinsic

Function = TypeVar("Function", bound=Callable[..., Any])
Integer = int | np.integer[Any]
"""What a number is inside compiled code, where int and int64 are one."""


def compiled(function: Function) -> Function:
    """Compile `function` for the types of its first call."""
    made: Function = numba.njit(nogil=True, cache=True)(function)
    return made


def inlined(function: Function) -> Function:
    """Compile a small `function` into each compiled one that calls it: a call would count references of every array."""
    made: Function = numba.njit(nogil=True, cache=True, forceinline=True)(function)
    return made


@intrinsic
def _ones_in(_: Any, word: Any) -> Any:

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(word), generate


@intrinsic
def _zeros_below(_: Any, word: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], context.get_constant(types.boolean, False))

    return types.int64(word), generate


ones_in: Callable[[Integer], int] = _ones_in
"""The number of set bits of a uint64, as int64: one instruction."""
zeros_below: Callable[[Integer], int] = _zeros_below
"""How many zeros a uint64 has below its lowest one, as int64: one instruction."""
