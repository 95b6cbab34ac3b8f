"""Errors of Snakemake are logged as one line with the fix."""

import logging
from pathlib import Path

import pytest
from snakemake.exceptions import LockException

from tessera.workflow.start import rewrite_log_record


def test_a_locked_folder_is_one_line_with_the_command_that_unlocks_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "Ada's project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", ["/my tools/snakemake", "--cores", "2"])
    record = logging.LogRecord("snakemake", logging.ERROR, "", 0, str(LockException()), None, None)
    assert rewrite_log_record(record, list)
    assert len(record.msg.splitlines()) == 1
    assert record.msg.startswith(f"another run is at work in {folder}; wait for its end. If it was killed, run this once")
    assert record.msg.endswith(f"""'/my tools/snakemake' --directory '{tmp_path}/Ada'"'"'s project' --unlock""")
