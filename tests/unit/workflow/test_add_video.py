"""A video to restore is added to the manifest once, with what was stated, or not at all."""

import csv
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from other_user import holds_without_permissions

from tessera.core.errors import TesseraError
from tessera.workflow.add_video import add_video, main

HEADER = "source\tpath\tcontent\trights\tconsent\tadults_verified\tuse\n"
GENERAL = {"content": "general", "rights": "my own", "consent": "", "adults_verified": ""}
ADULT = {"content": "adult", "rights": "my own", "consent": "release 1", "adults_verified": "yes"}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A project with an empty manifest and a video in it."""
    before = Path.cwd()
    folder = tmp_path / "my 'project' $HOME"
    (folder / "config").mkdir(parents=True)
    (folder / "config/sources.tsv").write_text(HEADER)
    (folder / "film.mp4").touch()
    yield folder
    os.chdir(before)


def listed(folder: Path) -> list[dict[str, str]]:
    with (folder / "config/sources.tsv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_a_video_is_added_once_with_what_was_stated(folder: Path) -> None:
    assert add_video(folder, folder / "film.mp4", ADULT)
    row = {"source": "film", "path": "film.mp4", "use": "restore", **ADULT}
    assert listed(folder) == [row]
    assert not add_video(folder, Path("film.mp4"), ADULT)
    assert listed(folder) == [row]


@pytest.mark.parametrize("name", ['it\'s 100 % $HOME `x` "y".mp4', "Мой фильм.final.mkv", "no suffix", "-rf.mp4", "a\tb.mp4"])
def test_any_name_of_a_file_is_added_and_read_again(name: str, folder: Path, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    assert add_video(folder, tmp_path / name, GENERAL)
    (row,) = listed(folder)
    assert (row["source"], row["path"]) == (Path(name).stem, str(tmp_path / name))
    assert not add_video(folder, tmp_path / name, GENERAL)


@pytest.mark.parametrize(
    ("path", "stated", "source", "message"),
    [
        ("film.mp4", {**GENERAL, "rights": "CC0"}, "", "a source 'film' with another rights; change its row, or .* SOURCE="),
        ("film.mkv", GENERAL, "", "a source 'film' with another path; change"),
        ("FILM.mp4", GENERAL, "", "a source 'film' with another path; change"),
        ("film.mp4", GENERAL, "other", r"film.mp4 is the source 'film' already; write `restore` into the column `use`"),
        ("link.mp4", GENERAL, "", r"link.mp4 is the source 'film' already"),
        ("adult.mp4", {**ADULT, "consent": ""}, "", "'adult' is refused: no consent: adult content needs the reference"),
        ("adult.mp4", {**ADULT, "adults_verified": "no"}, "", "'adult' is refused: adults not verified: "),
        ("film.mkv", {**GENERAL, "content": "safe"}, "f", "CONTENT: Input should be 'general' or 'adult'; given: 'safe'"),
        ("film.mkv", {**GENERAL, "adults_verified": "ja"}, "f", "ADULTS_VERIFIED: .*; given: 'ja'"),
        ("gone.mp4", GENERAL, "", r"VIDEO: .*gone\.mp4. does not exist in .*; correct the path"),
        ("*.mp4", GENERAL, "", r"correct the path \(list each video by its name"),
        ("results/restored/film/videos/film.mp4", GENERAL, "again", "is a result of this project; name the original"),
        ("config", GENERAL, "", r"VIDEO: .*config. is a folder; name one video in it"),
        (b"\xff.mp4", GENERAL, "", "VIDEO: the name of .* is not UTF-8; rename the file"),
    ],
)
def test_what_cannot_be_added_changes_nothing_and_is_one_line(
    path: str | bytes, stated: dict[str, str], source: str, message: str, folder: Path
) -> None:
    add_video(folder, folder / "film.mp4", GENERAL)
    before = listed(folder)
    for name in ("film.mkv", "FILM.mp4", "adult.mp4", os.fsdecode(b"\xff.mp4")):
        (folder / name).touch()
    (folder / "link.mp4").symlink_to("film.mp4")
    (folder / "results/restored/film/videos").mkdir(parents=True)
    (folder / "results/restored/film/videos/film.mp4").touch()
    with pytest.raises(TesseraError, match=message) as error:
        add_video(folder, folder / os.fsdecode(path), stated, source)
    assert len(str(error.value).splitlines()) == 1
    assert listed(folder) == before


def test_a_row_of_the_same_name_that_is_used_otherwise_is_not_changed(folder: Path) -> None:
    (folder / "config/sources.tsv").write_text(f"{HEADER}film\tfilm.mp4\tgeneral\tmy own\t\t\tmosaic_detection\n")
    with pytest.raises(TesseraError, match="a source 'film' with another use; change its row"):
        add_video(folder, folder / "film.mp4", GENERAL)


def test_a_manifest_that_cannot_be_written_is_one_line(folder: Path) -> None:
    (folder / "config/sources.tsv").chmod(0o444)

    def is_refused() -> bool:
        with pytest.raises(TesseraError, match=r"config/sources\.tsv: the row cannot be written \(Permission denied\); free"):
            add_video(folder, folder / "film.mp4", GENERAL)
        return True

    assert holds_without_permissions(folder.parent, is_refused)


def test_the_manifest_is_that_of_the_settings(folder: Path) -> None:
    (folder / "config/config.yaml").write_text("manifest: mine.tsv\n")
    (folder / "config/sources.tsv").rename(folder / "mine.tsv")
    assert add_video(folder, folder / "film.mp4", GENERAL)
    assert "film.mp4" in (folder / "mine.tsv").read_text()


@pytest.mark.parametrize(("missing", "text"), [("content", "CONTENT"), ("rights", "RIGHTS"), ("video", "VIDEO")])
def test_nothing_that_must_be_stated_has_a_default(missing: str, text: str, folder: Path) -> None:
    given = {"video": str(folder / "film.mp4"), "content": "general", "rights": "CC0", missing: " "}
    with pytest.raises(SystemExit, match=rf"^{text} is missing: write, for example, make restore VIDEO="):
        main([f"--project={folder}", *(f"--{name}={value}" for name, value in given.items())])
    assert not listed(folder)


def test_another_folder_than_that_of_a_project_is_an_error(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(TesseraError, match=r"PROJECT: '.*gone' is no folder; name that of your project"):
        add_video(tmp_path / "gone", folder / "film.mp4", GENERAL)
