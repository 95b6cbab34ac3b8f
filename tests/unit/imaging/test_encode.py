import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tessera.imaging.encode import PixelFormat, VideoWriter, write_video
from tessera.imaging.video import read_frames, read_packets

FLAT = [(200, 40, 40), (40, 200, 40), (40, 40, 200), (128, 128, 128)]


def flat_frames(width: int = 64, height: int = 48) -> Iterator[np.ndarray]:
    for colour in FLAT:
        yield np.full((height, width, 3), colour, dtype=np.uint8)


def test_frames_are_read_back_in_order_and_colour(tmp_path: Path) -> None:
    assert write_video(tmp_path / "video.mp4", flat_frames(), 24, quality=10) == len(FLAT)
    with av.open(tmp_path / "video.mp4") as container:
        images = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    for image, colour in zip(images, FLAT, strict=True):
        assert image.shape == (48, 64, 3)
        assert np.abs(image.mean(axis=(0, 1)) - colour).max() < 4


def test_planes_are_stored_as_they_are(tmp_path: Path) -> None:
    planes = np.random.default_rng(0).integers(16, 236, (3, 3, 33, 47), np.uint8)
    with VideoWriter(tmp_path / "video.mp4", 24, quality=0, preset="ultrafast", pixel_format="yuv444p") as writer:
        for each in planes:
            writer.write_planes(each)
    with av.open(tmp_path / "video.mp4") as container:
        frames = list(container.decode(video=0))
    assert np.array_equal([frame.to_ndarray() for frame in frames], planes)
    assert (frames[0].colorspace, frames[0].color_range) == (1, 1)


@pytest.mark.parametrize(("pixel_format", "black"), [("yuv444p", (16, 128, 128)), ("gray", (0,))])
def test_planes_get_a_black_border(tmp_path: Path, pixel_format: PixelFormat, black: tuple[int, ...]) -> None:
    planes = np.random.default_rng(0).integers(16, 236, (len(black), 30, 40), np.uint8)
    pads = (3, 0, 5, 2), (0, 3, 0, 7), (2, 1, 3, 4)
    with VideoWriter(tmp_path / "video.mkv", 24, quality=0, preset="ultrafast", pixel_format=pixel_format) as writer:
        for pad in pads:
            writer.write_planes(planes, pad)
    with av.open(tmp_path / "video.mkv") as container:
        frames = [frame.to_ndarray().reshape(-1, 33, 47) for frame in container.decode(video=0)]
    for frame, (top, bottom, left, right) in zip(frames, pads, strict=True):
        each = zip(planes, black, strict=True)
        whole = [np.pad(plane, ((top, bottom), (left, right)), constant_values=level) for plane, level in each]
        assert np.array_equal(frame, whole)


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


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv444p", "gray"])
def test_equal_frames_give_equal_bytes(tmp_path: Path, pixel_format: str) -> None:
    code = """
import sys
import numpy as np
from pathlib import Path
from tessera.imaging.encode import VideoWriter
random = np.random.default_rng(0)
texture = random.integers(0, 256, (30, 40, 3)).repeat(8, axis=0).repeat(8, axis=1).astype(np.uint8)
with VideoWriter(Path(sys.argv[1]), 24, pixel_format=sys.argv[2]) as writer:
    for i in range(24):
        image = np.roll(texture, 3 * i, axis=1)
        writer.write(image[..., 0].copy() if sys.argv[2] == "gray" else image)
"""
    files = []
    for filling in ("1", "77"):
        files.append(tmp_path / f"{filling}.mkv")
        # glibc fills new memory with this value; other systems ignore it.
        environment = {**os.environ, "MALLOC_PERTURB_": filling}
        subprocess.run([sys.executable, "-c", code, files[-1], pixel_format], env=environment, check=True)
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("name", ["-dash.mp4", "http:colon.mp4", "per%03dcent.mp4", "new\nline.mp4", "ünï 'quote\".mkv"])
def test_any_file_name_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(Path(name), flat_frames(), 24)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_video_without_frames_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no frames"):
        write_video(tmp_path / "video.mp4", [], 24)


@pytest.mark.parametrize(
    "odd", [np.zeros((48, 66, 3), np.uint8), np.zeros((48, 64), np.uint8), np.zeros((48, 64, 3), np.float32)]
)
def test_a_frame_of_another_shape_than_the_first_is_an_error(tmp_path: Path, odd: np.ndarray) -> None:
    with pytest.raises(ValueError, match="frame 4 is"):
        write_video(tmp_path / "video.mp4", [*flat_frames(), odd], 24)


def test_masks_are_read_back_exactly(tmp_path: Path) -> None:
    masks = [np.where(np.random.default_rng(n).random((47, 63)) > 0.5, 255, 0).astype(np.uint8) for n in range(5)]
    with VideoWriter(tmp_path / "mask.mkv", 24, pixel_format="gray") as writer:
        for mask in masks:
            writer.write(mask)
    with av.open(tmp_path / "mask.mkv") as container:
        assert container.streams.video[0].codec_context.name == "ffv1"
        found = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    assert np.array_equal(found, masks)
    seen = cv2.VideoCapture(str(tmp_path / "mask.mkv"))
    for mask in masks:
        assert np.array_equal(seen.read()[1], np.dstack([mask] * 3)), "as OpenCV reads it, too"


def test_full_chroma_is_kept_if_the_setting_says_so(tmp_path: Path) -> None:
    image = np.zeros((33, 65, 3), np.uint8)
    image[:, ::2] = (200, 40, 40)
    image[:, 1::2] = (40, 40, 200)
    with VideoWriter(tmp_path / "video.mp4", 24, quality=0, pixel_format="yuv444p") as writer:
        writer.write(image)
    with av.open(tmp_path / "video.mp4") as container:
        codec = container.streams.video[0].codec_context
        assert (codec.pix_fmt, codec.colorspace, codec.color_range) == ("yuv444p", 1, 1)
        decoded = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert decoded.shape == image.shape
    assert np.abs(decoded.astype(int) - image).max() < 4


def test_videos_written_in_parallel_do_not_affect_each_other(tmp_path: Path) -> None:
    rolls = {number: [np.roll(image, number) for image in flat_frames()] for number in (0, 1000)}
    for number, frames in rolls.items():
        write_video(tmp_path / f"alone {number}.mp4", frames, 24)
    with VideoWriter(tmp_path / "0.mp4", 24) as first, VideoWriter(tmp_path / "1000.mp4", 24) as second:
        for one, other in zip(*rolls.values(), strict=True):
            first.write(one)
            second.write(other)
    for number in rolls:
        assert (tmp_path / f"{number}.mp4").read_bytes() == (tmp_path / f"alone {number}.mp4").read_bytes()


def test_an_error_inside_the_block_is_the_one_that_is_raised(tmp_path: Path) -> None:
    with pytest.raises(KeyError), VideoWriter(tmp_path / "video.mp4", 24) as writer:
        writer.write(next(flat_frames()))
        raise KeyError
    with pytest.raises(KeyError), VideoWriter(tmp_path / "other.mp4", 24):
        raise KeyError
    assert not (tmp_path / "other.mp4").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk here that is always full")
def test_a_full_disk_is_reported(tmp_path: Path) -> None:
    (tmp_path / "mask.mkv").symlink_to("/dev/full")
    noise = np.random.default_rng(0).integers(0, 256, (256, 256), np.uint8)
    with (
        pytest.raises(OSError, match="No space left") as told,
        VideoWriter(tmp_path / "mask.mkv", 24, pixel_format="gray") as writer,
    ):
        for _ in range(40):
            writer.write(noise)
    assert told.value.errno == errno.ENOSPC


def test_a_video_may_have_one_frame_per_hour(tmp_path: Path) -> None:
    assert write_video(tmp_path / "video.mp4", flat_frames(), 1 / 3600) == len(FLAT)


@pytest.mark.parametrize("pixel_format", ["gray", "yuv444p"])
def test_a_mask_is_read_without_converting_it(tmp_path: Path, pixel_format: PixelFormat) -> None:
    masks = np.random.default_rng(0).integers(0, 256, (3, 37, 50), np.uint8)
    with VideoWriter(tmp_path / "mask.mkv", 24, quality=0, pixel_format=pixel_format) as writer:
        for mask in masks:
            writer.write(mask if pixel_format == "gray" else mask[..., None].repeat(3, axis=2))
    packets = read_packets(tmp_path / "mask.mkv")
    for frame, mask in zip(read_frames(tmp_path / "mask.mkv", packets), masks, strict=True):
        assert np.array_equal(frame.grey(), frame.image()[..., 0])
        if pixel_format == "gray":
            assert np.array_equal(frame.grey(), mask)
