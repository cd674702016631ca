"""One decorator for every compiled row loop, so that all share the same options and keep their types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compile ``function`` on first use: no GIL, cached on disk (``NUMBA_CACHE_DIR`` is honoured).

    No fast-math: NaN means *missing* everywhere here, and results must not depend on the machine's vector width.
    """
    return cast("Function", numba.njit(cache=True, nogil=True)(function))
