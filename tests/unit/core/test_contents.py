"""The content of a file changes with any byte that is read, and with nothing else."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tessera.core import contents
from tessera.core.contents import BLOCK, BLOCKS, WHOLE, content_of, contents_of, save_contents

LARGE = WHOLE + 3 * BLOCK


def wait_until_settled() -> None:
    time.sleep(contents.SETTLED / 1e9 + 0.05)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working folder, with nothing known about its files."""
    monkeypatch.chdir(tmp_path)
    contents._known.cache_clear()
    yield tmp_path
    contents._known.cache_clear()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(one=st.binary(max_size=40), other=st.binary(max_size=40))
def test_files_are_the_same_if_their_bytes_are(project: Path, one: bytes, other: bytes) -> None:
    (project / "one").write_bytes(one)
    (project / "other").write_bytes(other)
    os.utime(project / "other", (1, 1))
    assert (content_of("one") == content_of("other")) == (one == other)
    assert content_of("one") != ""


@pytest.mark.parametrize("position", [0, BLOCK - 1, (LARGE - BLOCK) // (BLOCKS - 1), LARGE - BLOCK, LARGE - 1])
def test_the_blocks_of_a_large_file_count(project: Path, position: int) -> None:
    bytes_ = bytearray(LARGE)
    (project / "one").write_bytes(bytes_)
    bytes_[position] = 1
    (project / "other").write_bytes(bytes_)
    (project / "longer").write_bytes(bytes(LARGE + 1))
    assert len({content_of(name) for name in ("one", "other", "longer")}) == 3


def test_names_in_a_folder_count_and_its_place_does_not(project: Path) -> None:
    (project / "one" / "below").mkdir(parents=True)
    (project / "one" / "below" / "a").write_bytes(b"a")
    (project / "one" / "loop").symlink_to("..")
    (project / "one" / ".hidden").touch()
    shutil.copytree(project / "one", project / "other", symlinks=True)
    first = content_of("one")
    assert content_of("other") == first != contents_of([])
    (project / "other" / ".hidden").write_text("x")
    assert content_of("other") == first
    (project / "other" / "below" / "a").rename(project / "other" / "below" / "b")
    assert content_of("other") != first


def test_what_is_not_there_or_no_file_has_no_content(project: Path) -> None:
    os.mkfifo(project / "pipe")
    (project / "link").symlink_to("nowhere")
    assert [content_of(name) for name in ("pipe", "link", "nowhere", "\0", "pipe/below")] == [""] * 5


def test_a_file_that_was_replaced_by_one_of_its_size_and_time_is_read_again(project: Path) -> None:
    for name in ("one", "other"):
        (project / name).write_text(name[:3])
        os.utime(project / name, (1, 1))
    wait_until_settled()
    before = content_of("one")
    (project / "other").replace(project / "one")
    assert content_of("one") != before
    now = content_of("one")
    (project / "one").write_text("two")
    os.utime(project / "one", (1, 1))
    assert content_of("one") not in {before, now}


@pytest.mark.parametrize("damage", ["", "[]", '{"one": 1}', '{"one": [1, 2, 3]}', "\0"])
def test_what_was_read_is_known_to_the_next_run_unless_the_file_of_it_is_damaged(project: Path, damage: str) -> None:
    (project / "one").write_text("1")
    wait_until_settled()
    content = content_of("one")
    save_contents()
    contents._known.cache_clear()
    assert contents._known(Path.cwd())["one"][1] == content
    contents._known.cache_clear()
    (project / contents.CACHE).write_text(damage)
    assert content_of("one") == content


def test_files_that_are_gone_are_forgotten_and_a_disk_that_cannot_be_written_is_no_fault(project: Path) -> None:
    for name in ("one", "other"):
        (project / name).touch()
    wait_until_settled()
    for name in ("one", "other"):
        content_of(name)
    (project / "one").unlink()
    save_contents()
    contents._known.cache_clear()
    assert list(contents._known(Path.cwd())) == ["other"]
    shutil.rmtree(project / ".snakemake")
    (project / ".snakemake").touch()
    save_contents()
