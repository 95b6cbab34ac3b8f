"""Pictures of videos are shown upright and in the colours that FFmpeg gives them, whatever the video states."""

import io
import subprocess
from pathlib import Path

import numpy as np
import pytest
from imageio_ffmpeg import get_ffmpeg_exe
from PIL import Image, ImageOps

from tessera.imaging.video import read_frames, read_packets


def ffmpeg(*arguments: object, data: bytes = b"") -> bytes:
    """Run FFmpeg, which is not the one that the library has, and return what it writes."""
    command = [get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y", *map(str, arguments)]
    return subprocess.run(command, input=data, check=True, capture_output=True).stdout


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_with_side_data_of_an_unknown_type_are_shown_upright(orientation: int, tmp_path: Path) -> None:
    # FFmpeg passes EXIF on with each picture, as side data of a type that PyAV 18.1 does not know.
    blocks = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    exif, file, path = Image.Exif(), io.BytesIO(), tmp_path / "a.avi"
    exif[0x010F], exif[0x0112] = "Maker", orientation
    Image.fromarray(blocks).save(file, "JPEG", exif=exif, quality=95, subsampling=0)
    ffmpeg("-f", "image2pipe", "-c:v", "mjpeg", "-i", "-", "-c", "copy", path, data=3 * file.getvalue())
    shown = np.asarray(ImageOps.exif_transpose(Image.open(file)))
    images = [frame.image() for frame in read_frames(path, read_packets(path))]
    assert len(images) == 3
    assert all(image.shape == shown.shape and np.abs(image.astype(int) - shown).max() <= 1 for image in images)
