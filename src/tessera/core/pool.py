"""The threads and processes of a job."""

import ctypes
import gc
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from tessera.core.log import tell

T = TypeVar("T")
R = TypeVar("R")
SHARED_MEMORY = 1 << 30  # bytes; the minimum for processes that load data
KEPT_MEMORY = 1 << 28  # bytes that a process keeps of what it freed
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, MOST_MMAP_THRESHOLD = -1, -3, 1 << 25  # of the C library of GNU


def limit_threads(threads: int) -> None:
    """Limit libraries to the threads of the rule. By default, they use all cores."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"):
        os.environ[variable] = str(threads)
    # By default, waiting threads keep a core busy. If there are more processes than cores, most of the processor time would go
    # into waiting.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def keep_freed_memory() -> None:
    """Let this process keep `KEPT_MEMORY` of what it frees, for what it allocates next. Only with the GNU C library.

    By default, the memory of each large picture is returned to the system at once. To take it again for the next picture can
    cost as much as to decode it, above all in threads.
    """
    with suppress(AttributeError, OSError, TypeError):  # another C library; Windows has none
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_TRIM_THRESHOLD, KEPT_MEMORY)
        mallopt(M_MMAP_THRESHOLD, MOST_MMAP_THRESHOLD)


def loaders(threads: int) -> int:
    """Return the number of additional processes that load data; 0 if the shared memory that they need is too small."""
    shared = Path("/dev/shm")
    if shared.is_dir() and shutil.disk_usage(shared).free < SHARED_MEMORY:
        tell(f"less than 1 GiB is free in {shared}: this process loads the data alone; give the container more shared memory")
        return 0
    return max(threads - 1, 0)


def keep_inherited(_: int) -> None:
    """Let a process that loads data keep all objects of its parent; for `worker_init_fn` of PyTorch.

    A fork that collects a tensor of the GPU is aborted.
    """
    gc.freeze()


def attempt(work: Callable[[T], R], item: T) -> R | Exception:
    """Return what `work(item)` returns or raises, so that an item that cannot be used does not take its batch with it."""
    try:
        return work(item)
    except Exception as error:
        return error


def in_batches(
    pool: ThreadPoolExecutor, work: Callable[[Sequence[T]], Iterable[R]], items: Sequence[T], size: int, count: int
) -> Iterator[tuple[T, R]]:
    """Yield each of `items` with its result of `work`, which gets `size` of them in one thread; see `ahead`."""
    batches = (items[start : start + size] for start in range(0, len(items), size))
    for batch, results in ahead(pool, work, batches, count):
        yield from zip(batch, results.result(), strict=True)


def ahead(pool: ThreadPoolExecutor, work: Callable[[T], R], items: Iterable[T], count: int) -> Iterator[tuple[T, "Future[R]"]]:
    """Yield each of `items` with the future of `work(item)`, in order, while `pool` works on the next `count` items."""
    waiting: deque[tuple[T, Future[R]]] = deque()
    for item in items:
        waiting.append((item, pool.submit(work, item)))
        if len(waiting) > count:
            yield waiting.popleft()
    yield from waiting
