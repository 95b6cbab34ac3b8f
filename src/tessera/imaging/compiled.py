"""Functions that numba compiles."""

from collections.abc import Callable
from typing import Any


def compiled(signature: Any, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator that compiles a function for `signature`, unless an earlier process has stored the compiled code.

    It is stored beside the source or in the cache folder of the user. If neither is writable, every process compiles it.
    `options`: of `numba.njit`.
    """

    def compile_or_load(function: Callable[..., Any]) -> Any:
        from numba import njit

        try:
            return njit(signature, cache=True, nogil=True, **options)(function)
        except RuntimeError:
            return njit(signature, nogil=True, **options)(function)

    return compile_or_load
