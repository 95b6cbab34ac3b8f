"""Jobs that run at a time use different GPUs."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from select import select

import pytest

TAKE = """
import os, sys
from tessera.core.gpus import take_gpus
take_gpus(int(sys.argv[1]))
print(os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
sys.stdin.read()
"""


@contextmanager
def job(folder: Path, count: int, visible: str) -> Iterator["subprocess.Popen[str]"]:
    """Yield a process that took `count` of the `visible` GPUs, or waits for them. Its lines are what it sees."""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": visible, "TMPDIR": str(folder)}
    command = [sys.executable, "-c", TAKE, str(count)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(("count", "visible", "seen"), [(1, "3", "3"), (2, "0,1", "0,1"), (2, "0,1,2", "0,1"), (1, "", "")])
def test_a_job_sees_as_many_gpus_as_it_asks_for(tmp_path: Path, count: int, visible: str, seen: str) -> None:
    with job(tmp_path, count, visible) as process:
        assert process.stdout.readline() == f"{seen}\n"


def test_each_job_has_a_gpu_of_its_own_and_waits_for_one_that_another_leaves(tmp_path: Path) -> None:
    with job(tmp_path, 1, "4,5") as first, job(tmp_path, 1, "4,5") as second:
        taken = {first.stdout.readline(), second.stdout.readline()}
        assert taken == {"4\n", "5\n"}
        with job(tmp_path, 1, "4,5") as third:
            with pytest.raises(subprocess.TimeoutExpired):
                third.wait(1.5)
            assert not select([third.stdout], [], [], 0)[0], "it waits"
            second.kill()
            second.wait()
            assert third.stdout.readline() in taken


def test_without_a_gpu_a_job_computes_on_the_cpu_and_says_so(tmp_path: Path) -> None:
    with job(tmp_path, 0, "0,1") as process:
        assert process.stdout.readline() == "\n"
        process.stdin.close()
        assert "computing on the CPU" in process.stderr.read()
