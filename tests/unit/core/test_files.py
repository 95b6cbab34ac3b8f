"""The listing of a folder of pictures: every file in it is counted once, for what it is."""

import os
from pathlib import Path, PurePosixPath

import pytest
from other_user import holds_without_permissions

from tessera.core.files import IMAGE_SUFFIXES, files_of, list_folder, without_suffix

HIDDEN = ["._a.JPG", ".DS_Store", ".git/a.png", "@eaDir/a.png", "Thumbs.db", "__MACOSX/album/a.jpg", "desktop.ini"]
PICTURES = ["-c.webp", "a.JPG", "b.png", "c.jfif", "d.avif", "e.gif", "f.mpo"]
OTHERS = ["README.md", "clip.mp4", "g.svg", "no suffix"]
SIDECARS = ["_.json", "a.txt", "b.caption", "metadata.jsonl"]
BELOW = ["album/1.jpg", "album/1.txt", "album/deeper/2.jpg", "masks/a.png"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("folder")
    for name in [*HIDDEN, *PICTURES, *OTHERS, *SIDECARS, *BELOW]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_every_file_of_a_folder_is_listed_once_for_what_it_is(folder: Path) -> None:
    found = list_folder(folder, subfolders=False)
    assert list(found.pictures) == PICTURES
    assert list(found.others) == OTHERS
    assert list(found.sidecars) == SIDECARS
    assert list(found.hidden) == sorted(HIDDEN)
    assert list(found.below) == BELOW
    assert [str(file.relative_to(folder)) for file in files_of(folder)] == PICTURES


def test_pictures_in_subfolders_are_listed_by_their_relative_paths_where_they_count(folder: Path) -> None:
    found = list_folder(folder, subfolders=True)
    deep = ["album/1.jpg", "album/deeper/2.jpg", "masks/a.png"]
    assert list(found.pictures) == sorted([*PICTURES, *deep])
    assert list(found.sidecars) == sorted([*SIDECARS, "album/1.txt"])
    assert found.below == ()
    assert [str(file.relative_to(folder)) for file in files_of(folder, subfolders=True)] == list(found.pictures)


def test_what_cannot_be_listed_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    (tmp_path / "elsewhere").symlink_to(tmp_path)
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/b\xff.jpg")).touch()
    shut = tmp_path / "shut"
    shut.mkdir()
    found = list_folder(tmp_path, subfolders=True)
    assert found.pictures == ("a.jpg",)
    assert found.others == {"b\\udcff.jpg": "its name is not UTF-8", "elsewhere": "a folder that is a link, or cannot be read"}
    shut.chmod(0)
    assert holds_without_permissions(tmp_path, lambda: "shut" in list_folder(tmp_path, subfolders=True).others)


def test_planning_searches_no_subfolder_that_is_left_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scanned = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: scanned.append(str(path)) or scandir(path))
    files_of(folder)
    assert scanned == [str(folder)]


def test_every_suffix_of_a_picture_is_in_lower_case_and_has_a_dot() -> None:
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in IMAGE_SUFFIXES)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("p/a.png", "p/a"), ("a.b.png", "a.b"), (".png", ".png"), ("a", "a"), ("p/..png", "p/..png"), ("...png", "..")],
)
def test_a_name_without_its_suffix_is_a_name_in_every_version_of_python(name: str, expected: str) -> None:
    assert without_suffix(PurePosixPath(name)).as_posix() == expected
