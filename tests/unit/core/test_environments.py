"""Work in another environment behaves like work in this one: its log, its messages, its errors and its end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tessera.core.environments.run import Inside, run_inside
from tessera.core.errors import TesseraError
from tessera.core.settings import Settings

WORK = """
import os, signal, sys, time
from pathlib import Path
from tessera.core.errors import TesseraError
from tessera.core.job import tell

class Odd(Exception): pass
class OddFile(OSError): pass

def write(path, text, settings): path.write_text(f"{text} {type(settings).__name__} {sys.executable}")
def say(): print("for the log"); tell("for the terminal")
def fail(kind):
    if kind == "ours": raise TesseraError("the fix")
    if kind == "file": Path("nowhere").read_text()
    if kind == "odd": raise Odd("why")
    if kind == "odd file": raise OddFile("why")
    if kind == "exit": os._exit(3)
    if kind == "killed": os.kill(os.getpid(), signal.SIGKILL)
def who(count): return os.getpid(), [0] * count
def wait(path): path.write_text(str(os.getpid())); time.sleep(60)
"""
JOB = """
import sys
from pathlib import Path
from types import SimpleNamespace
from tessera.core.environments.run import run_inside
from tessera.core.job import job

snakemake = SimpleNamespace(rule="work", wildcards=[], log=["log"], threads=1, input={}, output={}, params={})
with job(snakemake):
    run_inside(Path("environment"), *sys.argv[1:2], **dict(each.split("=") for each in sys.argv[2:]))
"""


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """An environment of this Python with one additional module."""
    (tmp_path / "work.py").write_text(WORK)
    folder = tmp_path / "environment"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").write_text(f'#!/bin/sh\nPYTHONPATH="{tmp_path}:$PYTHONPATH" exec {sys.executable} "$@"\n')
    (folder / "bin" / "python").chmod(0o755)
    return folder


def test_arguments_arrive_unchanged(environment: Path, tmp_path: Path) -> None:
    text = "x" * 200_000  # more than a pipe holds
    run_inside(environment, "work:write", path=tmp_path / "out", text=text, settings=Settings())
    assert (tmp_path / "out").read_text() == f"{text} Settings {sys.executable}"


@pytest.mark.parametrize(
    ("kind", "expected", "message"),
    [
        ("ours", TesseraError, "^the fix$"),
        ("file", FileNotFoundError, "No such file.*nowhere"),
        ("odd", RuntimeError, "^Odd: why$"),
        ("odd file", RuntimeError, "^OddFile: why$"),
        ("exit", TesseraError, "work:fail ended with the status 3; the log"),
        ("killed", TesseraError, "work:fail was ended by SIGKILL, as where the memory does not suffice"),
    ],
)
def test_an_error_in_the_environment_is_raised_in_the_caller(
    environment: Path, kind: str, expected: type[Exception], message: str
) -> None:
    with pytest.raises(expected, match=message):
        run_inside(environment, "work:fail", kind=kind)


def test_calls_of_one_block_run_in_one_process_and_go_on_after_an_error(environment: Path) -> None:
    with Inside(environment) as call:
        process, zeros = call("work:who", count=100_000)
        with pytest.raises(TesseraError, match="the fix"):
            call("work:fail", kind="ours")
        assert call("work:who", count=0) == (process, [])
    assert zeros == [0] * 100_000
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


class OnlyHere(Settings):
    """A type that the environment does not have."""


def test_an_argument_of_a_type_that_the_environment_lacks_ends_in_an_error(environment: Path) -> None:
    with pytest.raises(TesseraError, match="work:who ended with the status 1; the log may say more"):
        run_inside(environment, "work:who", count=OnlyHere())


def test_a_missing_environment_is_named(tmp_path: Path) -> None:
    with pytest.raises(TesseraError, match=r"none: there is no environment"):
        run_inside(tmp_path / "none", "work:say")


def test_printed_lines_are_in_the_log_and_reported_ones_also_on_the_terminal(environment: Path, tmp_path: Path) -> None:
    ran = subprocess.run([sys.executable, "-c", JOB, "work:say"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert ran.stderr == "work: for the terminal\n" and not ran.stdout
    assert sorted((tmp_path / "log").read_text().splitlines()) == ["for the log", "work: for the terminal"]


def test_an_error_inside_is_one_line(environment: Path, tmp_path: Path) -> None:
    ran = subprocess.run([sys.executable, "-c", JOB, "work:fail", "kind=ours"], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 1 and ran.stderr == "work: error: the fix (log: log)\n"
    assert 'raise TesseraError("the fix")' in (tmp_path / "log").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_process_ends_with_its_caller(environment: Path, number: int, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tessera.core.environments.run import run_inside\n"
        "run_inside(Path('environment'), 'work:wait', path=Path('pid'))"
    )
    asking = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        time.sleep(0.02)
    asking.send_signal(number)
    asking.wait()
    inside = int((tmp_path / "pid").read_text())
    for _ in range(100):
        try:
            os.kill(inside, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    os.kill(inside, signal.SIGKILL)
    pytest.fail("it goes on")
