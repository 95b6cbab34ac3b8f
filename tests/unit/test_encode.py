import os
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tessera.media.encode import write_video

FLAT = [(200, 40, 40), (40, 200, 40), (40, 40, 200), (128, 128, 128)]


def flat_frames(width: int = 64, height: int = 48) -> Iterator[np.ndarray]:
    for colour in FLAT:
        yield np.full((height, width, 3), colour, dtype=np.uint8)


def test_frames_come_back_in_order_and_colour(tmp_path: Path) -> None:
    assert write_video(tmp_path / "video.mp4", flat_frames(), 24, quality=10) == len(FLAT)
    with av.open(tmp_path / "video.mp4") as container:
        images = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    for image, colour in zip(images, FLAT, strict=True):
        assert image.shape == (48, 64, 3)
        assert np.abs(image.mean(axis=(0, 1)) - colour).max() < 4


@pytest.mark.parametrize("rate", [Fraction(30000, 1001), 30000 / 1001])
def test_the_rate_is_exact_and_the_colours_are_named(tmp_path: Path, rate: Fraction | float) -> None:
    write_video(tmp_path / "video.mp4", flat_frames(), rate)
    with av.open(tmp_path / "video.mp4") as container:
        stream = container.streams.video[0]
        assert stream.average_rate == Fraction(30000, 1001)
        assert [packet.pts for packet in container.demux(stream) if packet.pts is not None][:1] == [0]
        codec = stream.codec_context
        assert (codec.pix_fmt, codec.colorspace, codec.color_primaries, codec.color_trc, codec.color_range) == (
            "yuv420p",
            1,
            1,
            1,
            1,
        )


def test_an_odd_side_grows_by_its_last_row_or_column(tmp_path: Path) -> None:
    image = np.zeros((33, 65, 3), dtype=np.uint8)
    image[-1] = image[:, -1] = 255
    write_video(tmp_path / "video.mp4", [image], 24, quality=1)
    with av.open(tmp_path / "video.mp4") as container:
        decoded = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert decoded.shape == (34, 66, 3)
    assert decoded[-1].min() > 200
    assert decoded[:, -1].min() > 200
    assert decoded[:30, :60].max() < 50


def test_equal_frames_give_equal_bytes_whatever_memory_held_before(tmp_path: Path) -> None:
    code = """
import sys
import numpy as np
from pathlib import Path
from tessera.media.encode import write_video
random = np.random.default_rng(0)
texture = random.integers(0, 256, (30, 40, 3)).repeat(8, axis=0).repeat(8, axis=1).astype(np.uint8)
write_video(Path(sys.argv[1]), (np.roll(texture, 3 * i, axis=1) for i in range(24)), 24)
"""
    files = []
    for filling in ("1", "77"):
        files.append(tmp_path / f"{filling}.mp4")
        # glibc fills new memory with it; elsewhere it means nothing.
        subprocess.run([sys.executable, "-c", code, files[-1]], env={**os.environ, "MALLOC_PERTURB_": filling}, check=True)
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("name", ["-dash.mp4", "http:colon.mp4", "per%03dcent.mp4", "new\nline.mp4", "ünï 'quote\".mkv"])
def test_any_file_name_is_only_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(Path(name), flat_frames(), 24)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_no_frames_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no frames"):
        write_video(tmp_path / "video.mp4", [], 24)


@pytest.mark.parametrize(
    "odd", [np.zeros((48, 66, 3), np.uint8), np.zeros((48, 64), np.uint8), np.zeros((48, 64, 3), np.float32)]
)
def test_a_frame_unlike_the_first_is_an_error(tmp_path: Path, odd: np.ndarray) -> None:
    with pytest.raises(ValueError, match="frame 4 is"):
        write_video(tmp_path / "video.mp4", [*flat_frames(), odd], 24)
