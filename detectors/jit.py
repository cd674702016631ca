"""Decorators for compiled row loops, so that all share the same options and keep their types.

No fast-math: NaN means *missing* everywhere here, and results must not depend on the machine's vector width. Machine
code is cached on disk (``NUMBA_CACHE_DIR`` is honoured).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compile ``function`` on first use, callable from Python and from other kernels; releases the GIL."""
    return cast("Function", numba.njit(cache=True, nogil=True, no_cfunc_wrapper=True)(function))


def inner(function: Function) -> Function:
    """The same for functions that only kernels call: without the wrapper for Python, compilation is much shorter."""
    compiled = numba.njit(cache=True, nogil=True, no_cfunc_wrapper=True, no_cpython_wrapper=True)(function)
    return cast("Function", compiled)
