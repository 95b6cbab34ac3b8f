"""`sha256sum` can read the checksums of a folder with any names, and every fault is named."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tessera.core.provenance import publish, verify_checksums, write_checksums

NAMES = ["-leading", "a b.txt", "back\\slash", "sub/new\nline.txt", "ü.png"]


def _write(folder: Path, names: list[str]) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    write_checksums([folder / name for name in reversed(names)], folder, folder / "SHA256SUMS")
    return folder / "SHA256SUMS"


def test_valid_files_have_no_faults(tmp_path: Path) -> None:
    assert verify_checksums(_write(tmp_path, NAMES)) == []


def test_published_files_match_their_checksums(tmp_path: Path) -> None:
    for folder in ("made", "published"):
        (tmp_path / folder).mkdir()
    files = [tmp_path / "made" / name for name in ("a.pt", "card.md")]
    for file in files:
        file.write_text(file.name)
    # Beside their places, as a job gives them.
    copies = [tmp_path / "published" / f".1.partial.{file.name}" for file in files]
    for folder in ("made", "published"):
        (tmp_path / folder / "a-old.pt").touch()
    publish(files, copies, tmp_path / "published" / "SHA256SUMS", ["a-old.pt"])
    assert not list(tmp_path.rglob("a-old.pt"))
    for file, copy in zip(files, copies, strict=True):
        copy.replace(copy.with_name(file.name))
    assert verify_checksums(tmp_path / "published" / "SHA256SUMS") == []


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is not installed")
def test_sha256sum_can_read_the_checksums(tmp_path: Path) -> None:
    _write(tmp_path, NAMES)
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=tmp_path, check=True, capture_output=True)


@given(
    st.lists(st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1, max_size=20), unique=True)
)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_name_is_read_back(tmp_path: Path, names: list[str]) -> None:
    folder = tmp_path / "files"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    names = [name for name in names if name not in {".", "..", "SHA256SUMS"} and len(name.encode()) < 200]
    assert verify_checksums(_write(folder, names)) == []


def test_each_fault_is_named(tmp_path: Path) -> None:
    sums = _write(tmp_path, NAMES)
    (tmp_path / "a b.txt").write_text("changed")
    (tmp_path / "ü.png").unlink()
    (tmp_path.parent / "outside").write_text("")
    for stray in ("stray", ".hidden", "sub/stray"):
        (tmp_path / stray).touch()
    with sums.open("a") as file:
        file.write(f"{'0' * 64}  ../outside\n{'0' * 64}  /etc/hostname\nnonsense\n")
    faults = [fault.removeprefix(f"{sums}:") for fault in verify_checksums(sums)]
    assert faults == [
        "2: 'a b.txt' is not what was written, its sha256 differs",
        "5: 'ü.png' is missing",
        "6: '../outside' lies outside the folder",
        "7: '/etc/hostname' lies outside the folder",
        "8: not a line of sha256sum",
        " 'sub/stray' is not listed",
    ]
