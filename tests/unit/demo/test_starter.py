"""The footage of the starter models: pictures out of packages that may be damaged, and videos that are rendered from them."""

import hashlib
import io
import tarfile
from collections import Counter
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from tessera.core.errors import TesseraError
from tessera.demo import packages, starter
from tessera.demo.packages import Picture, fetch_pictures, read_pictures
from tessera.demo.patterns import PATTERNS, draw_pattern
from tessera.demo.starter import render_starter_video

KINDS = ("photograph", "drawing", "pattern", "cut-out")


def picture(content: bytes, file: str = "usr/share/a.png", package: str = "walls=1:2-1", **values: str) -> Picture:
    sha256 = hashlib.sha256(content).hexdigest()
    row = {"kind": "photograph", "split": "train", "licence": "CC0-1.0", "author": "", **values}
    return Picture.model_validate({**row, "package": package, "file": file, "sha256": sha256})


def package(folder: Path, files: dict[str, bytes], member: str = "data.tar.xz", name: str = "walls_1%3a2-1_all.deb") -> None:
    """Write a package of Debian as dpkg-deb does: an `ar` archive of a version, control files and the files."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz") as tar:
        for file, content in files.items():
            entry = tarfile.TarInfo(f"./{file}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    folder.mkdir(exist_ok=True)
    with (folder / name).open("wb") as archive:
        archive.write(b"!<arch>\n")
        for title, content in {"debian-binary": b"2.0\n", "control.tar.xz": b"odd", member: data.getvalue()}.items():
            archive.write(f"{title:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode() + content)
            archive.write(b"\n" * (len(content) % 2))


def test_the_table_names_free_pictures_for_every_split() -> None:
    pictures = read_pictures()
    assert all(each.licence for each in pictures)
    assert len({each.sha256 for each in pictures}) == len(pictures)
    count = Counter((each.kind, each.split) for each in pictures)
    assert all(count[kind, split] for kind in KINDS for split in ("train", "val", "test"))


def test_a_package_gives_the_pictures_that_the_table_names_and_no_other(tmp_path: Path) -> None:
    package(tmp_path / "debs", {"usr/share/a.png": b"one", "usr/share/b.png": b"two", "etc/x": b"three"})
    wanted = [picture(b"two", "usr/share/b.png"), picture(b"one")]
    fetch_pictures(wanted, tmp_path / "debs", tmp_path / "out")
    found = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert found == {wanted[0].name: b"two", wanted[1].name: b"one"}


@pytest.mark.parametrize(
    ("files", "member", "message"),
    [
        ({"usr/share/a.png": b"changed"}, "data.tar.xz", "has the sha256"),
        ({"usr/share/b.png": b"one"}, "data.tar.xz", "usr/share/a.png is not in it"),
        ({"usr/share/a.png": b"one"}, "data.tar.zst", "it has no data.tar.xz"),
    ],
)
def test_a_package_with_another_content_is_refused(files: dict[str, bytes], member: str, message: str, tmp_path: Path) -> None:
    package(tmp_path, files, member)
    with pytest.raises(TesseraError, match=message):
        fetch_pictures([picture(b"one")], tmp_path, tmp_path / "out")


def test_a_damaged_or_endless_package_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path, {"usr/share/b.png": b"0" * 100_000, "usr/share/a.png": b"one"})
    path = tmp_path / "walls_1%3a2-1_all.deb"
    whole = path.read_bytes()
    for damaged in (b"", b"<html>", whole[:200], whole[:-60], whole[:68] + b"?" * 60 + whole[128:]):
        path.write_bytes(damaged)
        with pytest.raises(TesseraError, match=r"no package of Debian, or damaged|usr.share.a.png is not in it"):
            fetch_pictures([picture(b"one")], tmp_path, tmp_path / "out")
    path.write_bytes(whole)
    monkeypatch.setattr(packages, "UNPACKED", 50_000)
    with pytest.raises(TesseraError, match="more than 50000 bytes unpacked"):
        fetch_pictures([picture(b"one")], tmp_path, tmp_path / "out")


def test_without_apt_the_message_names_the_file_to_put_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TesseraError, match=r"put walls_1%3a2-1_\*.deb of Debian 12 into"):
        fetch_pictures([picture(b"one")], tmp_path / "debs", tmp_path / "out")


def test_packages_of_the_environment_are_read_where_they_are(tmp_path: Path) -> None:
    wanted = [each for each in read_pictures() if each.package.startswith("scikit")]
    assert wanted
    fetch_pictures(wanted, tmp_path / "debs", tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {each.name for each in wanted}


@pytest.fixture
def pictures(tmp_path: Path) -> list[Picture]:
    """Make pictures of each kind for train alone: those of other splits are listed, but not there."""
    made = []
    random = np.random.default_rng(0)
    (tmp_path / "pictures").mkdir()
    for kind in KINDS:
        noise = random.integers(0, 256, (4, 6, 4 if kind == "cut-out" else 3), np.uint8)
        file = io.BytesIO()
        Image.fromarray(noise).resize((300, 200)).save(file, "PNG")
        made.append(picture(file.getvalue(), kind=kind))
        made += [picture(f"{kind} {split}".encode(), kind=kind, split=split) for split in ("val", "test")]
        (tmp_path / "pictures" / made[-3].name).write_bytes(file.getvalue())
    return made


def test_a_video_is_rendered_from_the_pictures_of_its_split_and_equal_seeds_give_equal_bytes(
    pictures: list[Picture], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starter, "SIZES", ((160, 90),) * 5)
    monkeypatch.setattr(starter, "SECONDS", (0.3, 0.5))

    def render(name: str, seed: int = 0) -> bytes:
        path = tmp_path / "video.mp4"
        render_starter_video(path, name, "train", pictures, tmp_path / "pictures", seed)
        return path.read_bytes()

    first = render("train-1")
    assert render("train-1") == first
    assert render("train-2") != first != render("train-1", seed=1)
    with av.open(str(tmp_path / "video.mp4")) as container:
        frames = [frame.to_ndarray(format="rgb24").astype(float) for frame in container.decode(video=0)]
        rate = container.streams.video[0].average_rate
    assert rate in (24, 25, Fraction(30000, 1001))
    assert 12 * 0.3 * 24 <= len(frames) <= 12 * 0.5 * 30
    changes = [np.abs(later - frame).mean() for frame, later in pairwise(frames)]
    # It moves, and has a cut between each two of its twelve shots.
    assert np.median(changes) > 0.2
    assert sorted(changes)[-11] > 2 * np.median(changes)


def test_every_pattern_fills_its_picture_with_contrast() -> None:
    for pattern in PATTERNS:
        for seed in range(5):
            drawn = pattern(np.random.default_rng(seed)).astype(float)
            assert drawn.shape == (1000, 1600, 3)
            assert np.ptp(drawn, axis=(0, 1)).max() > 20
    assert draw_pattern(np.random.default_rng(0)).dtype == np.uint8
