"""Whatever becomes of a job: its outputs are whole or not there, the error is told, and nothing else is left."""

import errno
import os
import subprocess
import sys
from pathlib import Path

from tessera.job import _explain

CODE = """
import os, sys, tempfile
from pathlib import Path
from types import SimpleNamespace
from tessera.job import job, tell

snakemake = SimpleNamespace(rule="cut", wildcards=[sys.argv[1]], log=[sys.argv[2]], threads=1, input={{}}, params={{}})
snakemake.output = {{"table": "out/table.txt"}}
with job(snakemake) as (inputs, outputs, params):
    outputs.table.write_text("whole")
    {body}
"""


def run(folder: Path, body: str, shard: str = "a", log: str = "cut.log") -> "subprocess.CompletedProcess[str]":
    """Run a job that does `body` in `folder`; temporary files belong into `folder/temporary`."""
    (folder / "temporary").mkdir(exist_ok=True)
    environment = {**os.environ, "TMPDIR": str(folder / "temporary")}
    command = [sys.executable, "-c", CODE.format(body=body), shard, log]
    return subprocess.run(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True, check=False)


def left(folder: Path) -> list[str]:
    """Return what lies about in `folder`."""
    places = [folder / "temporary", folder / "out"]
    return sorted(entry.name for place in places if place.exists() for entry in place.iterdir())


def test_an_error_is_told_where_the_log_is_full(tmp_path: Path) -> None:
    (tmp_path / "cut.log").symlink_to("/dev/full")
    ran = run(tmp_path, "raise OSError(28, 'No space left on device')")
    assert ran.returncode == 1 and left(tmp_path) == []
    assert ran.stderr.startswith("cut a: error: No space left on device") and ran.stderr.endswith(" (log: cut.log)\n")


def test_a_log_that_cannot_be_written_fails_no_job(tmp_path: Path) -> None:
    (tmp_path / "cut.log").symlink_to("/dev/full")
    ran = run(tmp_path, "tell('half'), print('to the log'), tell('done')")
    assert (ran.returncode, ran.stderr) == (0, "cut a: half\ncut a: done\n")
    assert left(tmp_path) == ["table.txt"]


def test_a_full_disk_is_blamed_on_what_was_written(tmp_path: Path) -> None:
    partial = tmp_path / f".{os.getpid()}.partial.images" / "a.png"
    copying = OSError(errno.ENOSPC, "No space left on device", "read.png", None, str(partial))
    assert f"device: '{tmp_path}/images/a.png'; nothing" in _explain(copying, [])
    assert "directory: 'gone.png'" in _explain(FileNotFoundError(2, "No such file or directory", "gone.png", None, "b"), [])
    writing = OSError(errno.ENOSPC, "No space left on device")
    assert f" MB are free in '{tmp_path}'" in _explain(writing, [tmp_path / "images"])
