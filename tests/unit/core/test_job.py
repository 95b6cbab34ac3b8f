"""However a job ends, its outputs are complete or absent, its error is reported, and nothing else is left."""

import errno
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tessera.core.job import _explain

CODE = """
import os, sys, tempfile
from pathlib import Path
from types import SimpleNamespace
from tessera.core.job import job
from tessera.core.log import tell

snakemake = SimpleNamespace(rule="cut", wildcards=[sys.argv[1]], log=[sys.argv[2]], threads=1, input={{}}, params={{}})
snakemake.resources = {{}}
snakemake.output = {{"table": "out/table.txt"}}
with job(snakemake) as (inputs, outputs, params):
    tempfile.mkdtemp()
    outputs.table.write_text("whole")
    {body}
"""


def run(
    folder: Path, body: str, shard: str = "a", log: str = "cut.log", code: str = CODE
) -> "subprocess.CompletedProcess[str]":
    """Run a job with `body` in `folder`, with temporary files in `folder/temporary`."""
    (folder / "temporary").mkdir(exist_ok=True)
    environment = {**os.environ, "TMPDIR": str(folder / "temporary")}
    command = [sys.executable, "-c", code.format(body=body), shard, log]
    return subprocess.run(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True, check=False)


def left(folder: Path) -> list[str]:
    """Return the files in `folder`."""
    places = [folder / "temporary", folder / "out"]
    return sorted(entry.name for place in places if place.exists() for entry in place.iterdir())


@pytest.mark.parametrize(
    ("body", "files"),
    [("pass", ["table.txt"]), ("raise OSError(28, 'full')", []), ("raise SystemExit(1)", []), ("os.kill(os.getpid(), 2)", [])],
)
def test_no_temporary_file_is_left_however_a_job_ends(tmp_path: Path, body: str, files: list[str]) -> None:
    assert (run(tmp_path, body).returncode == 0) == bool(files)
    assert left(tmp_path) == files


@pytest.mark.parametrize("body", ["pass", "raise KeyError"])
def test_lists_of_outputs_are_complete_or_absent(tmp_path: Path, body: str) -> None:
    work = f"[path.write_text('whole') for path in outputs.tables]; {body}"
    code = CODE.replace('{{"table": "out/table.txt"}}', '{{"table": "out/table.txt", "tables": ["out/a.txt", "out/b.txt"]}}')
    ran = run(tmp_path, work, code=code)
    assert left(tmp_path) == ([] if ran.returncode else ["a.txt", "b.txt", "table.txt"])
    assert (ran.returncode == 0) == (body == "pass")
    assert "out/b.txt" in run(tmp_path, "outputs.tables[0].touch()", code=code).stderr, "what is not written is named"


def test_a_library_that_crashes_at_exit_cannot_undo_a_job(tmp_path: Path) -> None:
    assert run(tmp_path, "import atexit; atexit.register(os.abort)").returncode == 0
    assert left(tmp_path) == ["table.txt"]


INSIDE_A_LIBRARY = """import ctypes
    held = ctypes.CFUNCTYPE(None)(lambda: os.kill(os.getpid(), 2))
    held()"""


@pytest.mark.parametrize("body", ["os.kill(os.getpid(), 2)", "os.kill(os.getpid(), 15)", INSIDE_A_LIBRARY])
def test_an_interrupted_job_says_in_one_line_that_it_can_be_resumed(tmp_path: Path, body: str) -> None:
    ran = run(tmp_path, body)
    said = "cut a: interrupted; run again to resume\n"
    assert (ran.returncode, ran.stderr, (tmp_path / "cut.log").read_text()) == (130, said, said)


def test_a_fork_of_a_job_that_is_stopped_leaves_its_outputs_alone(tmp_path: Path) -> None:
    ran = run(tmp_path, "os.fork() or os.kill(os.getpid(), 15); os.wait()")
    assert (ran.returncode, ran.stderr, left(tmp_path)) == (0, "", ["table.txt"])


def test_a_script_that_is_interrupted_while_it_imports_says_so_in_one_line(tmp_path: Path) -> None:
    code = """
import os
from types import SimpleNamespace
snakemake = SimpleNamespace(rule="cut", wildcards=["a"])
import tessera.core.job
{body}
"""
    ran = run(tmp_path, "os.kill(os.getpid(), 2)", code=code)
    assert (ran.returncode, ran.stderr) == (130, "cut a: interrupted; run again to resume\n")


def test_a_process_that_is_no_job_keeps_its_own_interrupt(tmp_path: Path) -> None:
    ran = run(tmp_path, "", code="import os, tessera.core.job\nos.kill(os.getpid(), 2)")
    assert "KeyboardInterrupt" in ran.stderr


def test_files_that_a_killed_job_left_are_removed_when_it_runs_again(tmp_path: Path) -> None:
    for shard in "ab":
        run(tmp_path, "os.kill(os.getpid(), 9)", shard)
    assert len(left(tmp_path)) == 3
    run(tmp_path, "pass", "a")
    table, temporary = left(tmp_path)
    assert table == "table.txt" and temporary.startswith("tessera-"), "that of the other job is its own"


@pytest.mark.parametrize(("given", "policy"), [({}, "passive"), ({"OMP_WAIT_POLICY": "active"}, "active")])
def test_libraries_use_the_threads_of_the_rule_and_wait_passively(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], policy: str
) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    for name, value in {"OMP_NUM_THREADS": "7", **given}.items():
        monkeypatch.setenv(name, value)
    body = f"assert [os.environ[f'OMP_{{name}}'] for name in ('NUM_THREADS', 'WAIT_POLICY')] == ['1', {policy!r}]"
    assert run(tmp_path, body).returncode == 0


def test_processes_can_meet_in_the_temporary_folder(tmp_path: Path) -> None:
    # The path of a socket has 104 bytes on macOS, and its temporary folder 49.
    name = "'/' + 49 * 'x' + '/' + Path(tempfile.gettempdir()).name + '/pymp-12345678/listener-12345678'"
    assert run(tmp_path, f"assert len({name}) < 104").returncode == 0


def test_an_error_is_reported_even_if_the_log_is_full(tmp_path: Path) -> None:
    (tmp_path / "cut.log").symlink_to("/dev/full")
    ran = run(tmp_path, "raise OSError(28, 'No space left on device')")
    assert ran.returncode == 1 and left(tmp_path) == []
    assert ran.stderr.startswith("cut a: error: No space left on device") and ran.stderr.endswith(" (log: cut.log)\n")


def test_an_unwritable_log_does_not_fail_a_job(tmp_path: Path) -> None:
    (tmp_path / "cut.log").symlink_to("/dev/full")
    ran = run(tmp_path, "tell('half'), print('to the log'), tell('done')")
    assert (ran.returncode, ran.stderr) == (0, "cut a: half\ncut a: done\n")
    assert left(tmp_path) == ["table.txt"]


def test_what_a_job_wrote_is_recorded_beside_its_log_unless_it_failed(tmp_path: Path) -> None:
    assert run(tmp_path, "pass").returncode == 0
    assert json.loads((tmp_path / "cut.json").read_text()) == {"out/table.txt": {".": hashlib.sha256(b"whole").hexdigest()}}
    assert run(tmp_path, "raise SystemExit(1)", log="other.log").returncode == 1
    assert not (tmp_path / "other.json").exists()


def test_a_record_that_cannot_be_written_does_not_fail_a_job(tmp_path: Path) -> None:
    (tmp_path / "cut.json").symlink_to("/dev/full")
    assert run(tmp_path, "pass").returncode == 0
    assert left(tmp_path) == ["table.txt"] and not (tmp_path / "cut.json").is_symlink()


def test_a_full_disk_is_reported_with_the_written_file(tmp_path: Path) -> None:
    partial = tmp_path / f".{os.getpid()}.partial.images" / "a.png"
    copying = OSError(errno.ENOSPC, "No space left on device", "read.png", None, str(partial))
    assert f"device: '{tmp_path}/images/a.png'; no" in _explain(copying, [])
    assert "directory: 'gone.png'" in _explain(FileNotFoundError(2, "No such file or directory", "gone.png", None, "b"), [])
    encoding = OSError(errno.ENOSPC, "No space left on device", "file:a.mp4")
    assert "device: 'a.mp4'; no" in _explain(encoding, [])
    writing = OSError(errno.ENOSPC, "No space left on device")
    assert f" MB are free in '{tmp_path}'" in _explain(writing, [tmp_path / "images"])
