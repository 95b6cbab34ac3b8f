"""Pictures of blocks of one colour each, so that the way in which chroma is enlarged does not count; and FFmpeg, to film them.

It is not the FFmpeg that the library has.
"""

import subprocess
from pathlib import Path

import numpy as np
from imageio_ffmpeg import get_ffmpeg_exe

from tessera.imaging.frame import VideoFrame
from tessera.imaging.video import read_frames, read_packets

BLOCKS = np.random.default_rng(0).integers(0, 65536, (4, 6, 3), np.uint16)
BLOCKS[0] = 65535 * np.array([[0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 1]])
HEIGHT, WIDTH = 64, 96
PICTURE = BLOCKS.repeat(16, 0).repeat(16, 1)


def ffmpeg(*arguments: object, data: bytes = b"") -> bytes:
    """Run FFmpeg and return what it writes."""
    command = [get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y", *map(str, arguments)]
    return subprocess.run(command, input=data, check=True, capture_output=True).stdout


def film_of_blocks(path: Path, codec: str, *arguments: object) -> Path:
    """Write a film of one picture, `PICTURE`, to `path`."""
    raw = "-f", "rawvideo", "-pix_fmt", "rgb48le", "-video_size", f"{WIDTH}x{HEIGHT}", "-i", "-"
    ffmpeg(*raw, *arguments, "-c:v", codec, path, data=PICTURE.tobytes())
    return path


def decode_with_ffmpeg(path: Path, flags: str = "bilinear") -> np.ndarray:
    """Return the frames of the video `path` as FFmpeg converts them: int (T, H, W, 3), RGB. `flags`: of the filter `scale`."""
    packets = read_packets(path)
    width, height = next(read_frames(path, packets)).size
    options = "-vf", f"scale=flags={flags},format=rgb24", "-fps_mode", "passthrough", "-f", "rawvideo"
    return np.frombuffer(ffmpeg("-i", path, *options, "-"), np.uint8).reshape(-1, height, width, 3).astype(int)


def decoded(path: Path) -> VideoFrame:
    """Return the first frame of the video `path`."""
    return next(read_frames(path, read_packets(path)))


def middles(image: np.ndarray) -> np.ndarray:
    """Return the colours in the middle of the blocks of `image`."""
    return image[8::16, 8::16].astype(int)
