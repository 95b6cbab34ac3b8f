"""Errors of Snakemake are logged as one line with the fix."""

import logging
import sys
from pathlib import Path

import pytest
from snakemake.exceptions import LockException

from tessera.core.errors import TesseraError
from tessera.workflow.start import check_options, rewrite_log_record


@pytest.mark.parametrize(
    ("program", "start"),
    [("/my tools/snakemake", "'/my tools/snakemake'"), ("/lib/snakemake/__main__.py", f"{sys.executable} -m snakemake")],
)
def test_a_locked_folder_is_one_line_with_the_command_that_unlocks_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, start: str
) -> None:
    folder = tmp_path / "Ada's project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", [program, "--configfile", "my own.yaml"])
    record = logging.LogRecord("snakemake", logging.ERROR, "", 0, str(LockException()), None, None)
    assert rewrite_log_record(record, list)
    assert len(record.msg.splitlines()) == 1
    assert record.msg.startswith(f"another run is at work in {folder}; wait for its end. If it was killed, run this once")
    assert record.msg.endswith(f"{start} --unlock --configfile 'my own.yaml'")


def test_an_option_after_two_dashes_is_no_target() -> None:
    message = "MissingRuleException:\nNo rule to produce -n (if you use input functions make sure that they do not raise)."
    record = logging.LogRecord("snakemake", logging.ERROR, "", 0, message, None, None)
    assert rewrite_log_record(record, lambda: ["frames"])
    assert record.msg == "there is no target '-n'; write options before `--`"


@pytest.mark.parametrize(("status", "is_logged"), [(1, False), (130, False), (137, True)])
def test_the_command_of_a_job_that_has_said_why_it_ended_is_not_logged(status: int, is_logged: bool) -> None:
    message = (
        'RuleException:\nCalledProcessError in file "restore.smk", line 109:\n'
        f"Command 'python .snakemake/scripts/tmp1.py' returned non-zero exit status {status}."
    )
    record = logging.LogRecord("snakemake", logging.ERROR, "", 0, message, None, None)
    assert rewrite_log_record(record, list) is is_logged


TRACE = """Traceback (most recent call last):
  File "snakemake/persistence/file.py", line 255, in _write_locks
    with open(lockfile, "w") as lock:
"""


@pytest.mark.parametrize("trace", [TRACE, "WorkflowError:\nFailed to create output directory results/a.\n"])
def test_a_disk_that_snakemake_cannot_write_to_is_one_line_and_its_own_faults_are_left(trace: str) -> None:
    record = logging.LogRecord("snakemake", logging.ERROR, "", 0, f"{trace}OSError: [Errno 28] No space left\n", None, None)
    assert rewrite_log_record(record, list)
    assert record.msg == "No space left; free disk space, change permissions or restore the folder, and run again"
    for fault in ("OSError: [Errno 5] Input/output error", "ValueError: a fault"):
        record = logging.LogRecord("snakemake", logging.ERROR, "", 0, trace + fault, None, None)
        assert rewrite_log_record(record, list)
        assert record.msg == trace + fault


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["--archive", "x.tar"], "--archive"),
        (["all", "--arch=x.tar"], "--archive"),
        (["--generate-unit-tests"], "--generate-unit-tests"),
    ],
)
def test_an_option_that_cannot_keep_its_promise_is_refused(arguments: list[str], option: str) -> None:
    with pytest.raises(TesseraError, match=f"^{option}: "):
        check_options(arguments)


def test_other_options_and_targets_are_accepted() -> None:
    check_options(["--all-temp", "--cores", "2", "--gui", "-n", "--", "archive"])
