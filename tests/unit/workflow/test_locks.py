"""A locked project is explained: by a run that goes on, that was killed, or that cannot be seen from here."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tessera.workflow import locks


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that is locked."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / locks.LOCKS).mkdir(parents=True)
    return tmp_path


def change(**values: object) -> None:
    """Change the record of this process."""
    (file,) = locks.LOCKS.glob("*.json")
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def test_a_run_that_goes_on_is_named_with_its_process(folder: Path) -> None:
    locks.record_run()
    message = locks.explain_lock("unlock")
    assert message.startswith(f"another run is at work in {folder} since 20")
    assert message.endswith(f", process {os.getpid()}; wait for its end")


def test_a_run_that_was_killed_holds_no_lock(folder: Path) -> None:
    code = "import os, signal; from tessera.workflow import locks; locks.record_run(); os.kill(os.getpid(), signal.SIGKILL)"
    subprocess.run([sys.executable, "-c", code], check=False)
    expected = (
        f"a run in {folder} was killed, and no process holds its lock any more; run this once, and then try again: unlock"
    )
    assert locks.explain_lock("unlock") == expected
    # A second run, that asks for other files, goes on.
    locks.record_run()
    assert f"process {os.getpid()}; wait for its end" in locks.explain_lock("unlock")


@pytest.mark.parametrize("values", [{"started": 1e9}, {"machine": [locks._machine()[0], "earlier", locks._machine()[2]]}])
def test_the_number_of_a_process_may_belong_to_another_one(values: dict[str, object]) -> None:
    locks.record_run()
    change(**values)
    assert "was killed, and no process holds its lock" in locks.explain_lock("unlock")


@pytest.mark.parametrize("machine", [["elsewhere", "", ""], [*locks._machine()[:2], "another container"]])
def test_of_a_run_that_cannot_be_seen_from_here_the_machine_is_named(machine: list[str]) -> None:
    locks.record_run()
    change(machine=machine)
    message = locks.explain_lock("unlock")
    assert f"(on {machine[0]}, process {os.getpid()}); wait for its end. If it was killed, run this once" in message


@pytest.mark.parametrize("content", [None, "", "[1"])
def test_without_a_record_that_can_be_read_nothing_is_claimed(folder: Path, content: str | None) -> None:
    if content is not None:
        (locks.LOCKS / "1.json").write_text(content)
    assert locks.explain_lock("unlock").startswith(f"another run is at work in {folder}; wait for its end. If it was killed")
