"""Functions that numba compiles."""

from collections.abc import Callable
from typing import Any


def compiled(signature: Any) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator that compiles a function for `signature`, unless an earlier process has stored the compiled code.

    It is stored beside the source or in the cache folder of the user. If neither is writable, every process compiles it.
    """

    def compile_or_load(function: Callable[..., Any]) -> Any:
        from numba import njit

        try:
            return njit(signature, cache=True, nogil=True)(function)
        except RuntimeError:
            return njit(signature, nogil=True)(function)

    return compile_or_load
