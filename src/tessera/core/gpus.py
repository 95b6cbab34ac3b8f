"""The GPUs that a job uses, of those of its machine."""

import fcntl
import os
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tessera.core.log import tell

VISIBLE = "CUDA_VISIBLE_DEVICES"
_held = ExitStack()  # the locks, until the process ends


def take_gpus(count: int) -> None:
    """Let this process and those that it starts see `count` GPUs that no other job has taken. Wait until there are so many.

    It sets CUDA_VISIBLE_DEVICES, and must run before a library uses a GPU. If the process sees no more than `count`, as on a
    Slurm cluster, nothing changes.
    """
    seen = visible_gpus()
    if len(seen) <= count:
        return
    taken = _lock(seen, count)
    while len(taken) < count:
        time.sleep(1)
        taken = _lock(seen, count)
    os.environ[VISIBLE] = ",".join(taken)
    if not count:
        tell("computing on the CPU, because the run has `gpu=0`")


def visible_gpus() -> list[str]:
    """Return the names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES has them."""
    if VISIBLE in os.environ:
        return [name for name in os.environ[VISIBLE].split(",") if name]
    return [str(number) for number in range(len(list(Path("/dev").glob("nvidia[0-9]*"))))]


def _lock(names: list[str], count: int) -> list[str]:
    """Return `count` of `names` that no other process holds, and hold them. Return fewer, and hold none, if there are fewer."""
    with ExitStack() as locks:
        free: list[str] = []
        for name in names:
            if len(free) == count:
                break
            # A folder that several users share may keep a user from opening the file of another.
            path = Path(tempfile.gettempdir()) / f"tessera-{os.getuid()}-gpu-{name}.lock"
            file = locks.enter_context(path.open("w"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            free.append(name)
        if len(free) == count:
            _held.push(locks.pop_all())
        return free
