"""Decorators for compiled row loops, so that all share the same options and keep their types.

No fast-math: NaN means *missing* everywhere here, and results must not depend on the machine's vector width. Machine
code is cached on disk (``NUMBA_CACHE_DIR`` is honoured).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compile ``function`` on first use, callable from Python and from other kernels; releases the GIL."""
    return cast("Function", numba.njit(cache=True, nogil=True, no_cfunc_wrapper=True)(function))


def inner(function: Function) -> Function:
    """The same for functions that only kernels call: without the wrapper for Python, compilation is much shorter."""
    compiled = numba.njit(cache=True, nogil=True, no_cfunc_wrapper=True, no_cpython_wrapper=True)(function)
    return cast("Function", compiled)


def folded(function: Function) -> Function:
    """Like ``inner``, copied into the loop that calls it: for what a loop does a hundred million times."""
    return cast("Function", numba.njit(nogil=True, inline="always")(function))


@intrinsic  # type: ignore[untyped-decorator]
def prefetch(_context: Any, array: Any, index: Any) -> Any:
    """``prefetch(array, index)`` in a kernel: ask for the cache line of a record that will be written soon."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        data = target.make_array(kind)(target, builder, arguments[0])
        shape, strides = (cgutils.unpack_tuple(builder, each, 1) for each in (data.shape, data.strides))
        place = cgutils.get_item_pointer2(target, builder, data.data, shape, strides, kind.layout, [arguments[1]])
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        declared = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, declared, "llvm.prefetch.p0i8")
        to_write, keep, of_data = number(1), number(3), number(1)
        builder.call(function, [builder.bitcast(place, byte), to_write, keep, of_data])
        return target.get_dummy_value()

    return numba.types.void(array, index), generate
