"""Restoration reads all clips of a dataset, and invalid files are named."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from restoration_clips import texture, write_clip, write_moving_clip
from tessera.core.errors import TesseraError
from tessera.records.lada.clips import METADATA, read_clips


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written")
    write_moving_clip(folder, "b.film-0000000-000", count=6)
    frame = texture(50, 70)
    write_clip(folder, "a-0000003-001", [frame] * 2, [frame[..., 0]] * 2, [(4, 2, 70, 44), (0, 0, 60, 48)])
    return folder


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "train"))


def change(folder: Path, key: str = "a-0000003-001", **values: Any) -> None:
    path = folder / METADATA / f"{key}.json"
    found = json.loads(path.read_text()) | values
    path.write_text(json.dumps({name: value for name, value in found.items() if value != "remove"}))


def test_clips_are_read_by_key_with_their_metadata(folder: Path) -> None:
    first, second = read_clips(folder)
    assert (first.key, second.key) == ("a-0000003-001", "b.film-0000000-000")
    assert (first.frames, first.rate, first.shape, first.frame) == (2, 30.0, (48, 66), (50, 70))
    assert first.pads.tolist() == [[3, 3, 0, 0], [0, 0, 3, 3]]
    assert first.corners is not None
    assert first.corners.tolist() == [[4, 2], [0, 0]]
    assert first.images.is_file()
    assert first.masks.name == "a-0000003-001.mkv"


def test_clips_of_lada_have_no_crops(folder: Path) -> None:
    change(folder, crops="remove", mosaic=None, video_quality={"overall": 0.5})
    assert read_clips(folder)[0].corners is None


def test_a_split_without_clips_has_none(tmp_path: Path) -> None:
    assert read_clips(tmp_path) == []


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(TesseraError, match="nowhere: there is no such folder"):
        read_clips(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"version": 1}, "version: Input should be 2"),
        ({"fps": float("nan")}, "fps: "),
        ({"frames_count": 0}, "frames_count: "),
        ({"frames_count": 3}, "`pad` has 2 items for 3 frames"),
        ({"pad": "remove"}, "pad: is missing"),
        ({"pad": [[0, 0, 0]] * 2}, "pad.0.3: "),
        ({"pad": [[-1, 0, 0, 0]] * 2}, "pad.0.0: "),
        ({"pad": [[3, 3, 0, 0], [48, 0, 3, 3]]}, "`pad` leaves nothing of frame 1"),
        ({"crops": [[4, 2, 70, 44]]}, "`crops` has 1 item for 2 frames"),
        ({"crops": [[4, 2, 70, 44], [0, 0, 60, 47]]}, "`crops` and `pad` differ in frame 1"),
        ({"crops": [[5, 2, 71, 44], [0, 0, 60, 48]]}, "in frame 0, or it lies outside `orig_shape`"),
        ({"scene_shape": [10**9, 66]}, "scene_shape.0: "),
        ({"relative_nsfw_video_path": "../../other/crop_unscaled_img/x.mp4"}, "lies outside the dataset"),
        ({"relative_nsfw_video_path": "/etc/hostname"}, "'/etc/hostname' lies outside the dataset"),
        ({"relative_mask_video_path": "../crop_unscaled_mask"}, "'../crop_unscaled_mask' is missing"),
        ({"relative_mask_video_path": "a\0b"}, "a-0000003-001.json: "),
    ],
)
def test_invalid_metadata_is_named_with_its_fault(folder: Path, values: dict[str, Any], fault: str) -> None:
    change(folder, **values)
    with pytest.raises(TesseraError) as error:
        read_clips(folder)
    assert f"{folder / METADATA / 'a-0000003-001.json'}: " in str(error.value)
    assert fault in str(error.value)
    assert "b.film" not in str(error.value)


@pytest.mark.parametrize("text", [b"", b"{", b"[" * 100_000, b"[]", b"\xff", b'{"version": 2'])
def test_a_file_that_is_not_metadata_is_named(folder: Path, text: bytes) -> None:
    (folder / METADATA / "a-0000003-001.json").write_bytes(text)
    with pytest.raises(TesseraError, match=r"1 clip of .*\n.*a-0000003-001\.json: "):
        read_clips(folder)


@pytest.mark.parametrize("remove", [lambda file: file.unlink(), lambda file: (file.unlink(), file.mkdir())])
def test_a_missing_file_is_named_with_the_fix(folder: Path, remove: Callable[[Path], object]) -> None:
    remove(read_clips(folder)[0].masks)
    with pytest.raises(TesseraError, match=r"json: '\.\./crop_unscaled_mask/a-0000003-001\.mkv' is missing\nrestore the files"):
        read_clips(folder)


def test_all_faults_are_counted_and_ten_are_listed(folder: Path) -> None:
    for number in range(13):
        shutil.copy(folder / METADATA / "a-0000003-001.json", folder / METADATA / f"c{number}.json")
        change(folder, f"c{number}", version=3)
    with pytest.raises(TesseraError, match=r"13 clips of (.|\n)*and 3 more") as error:
        read_clips(folder)
    assert len(str(error.value).splitlines()) == 13
