"""Import large libraries."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def many_imports() -> Iterator[None]:
    """Import large libraries, such as PyTorch, inside this block: in four fifths of the time.

    Modules are never garbage. But the garbage collector would go through all that are imported so far again and again, and
    once more at each of its later runs. What exists at the end of the block is never collected, so make nothing large in it.
    """
    was_enabled = gc.isenabled()
    gc.collect(1)  # what was made lately; all would take as long as the imports of a smaller library
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
