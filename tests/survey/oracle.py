"""What FFmpeg decodes from a file: the oracle of the survey. Nothing of Tessera is used here."""

import subprocess
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from imageio_ffmpeg import get_ffmpeg_exe

THREADS = "4"  # of the decoder, as in Tessera: the pictures decoded from a damaged stream depend on it
# FFmpeg's own choice of the track, its own times and its own conversion to RGB. `interl=-1`: the chroma of interlaced frames is
# taken from their own field. `bilinear`: how subsampled chroma is enlarged, where FFmpeg has several ways.
DECODE = ["-an", "-sn", "-dn", "-fps_mode", "passthrough", "-noautoscale"]
TIMEOUT = 300  # seconds


@dataclass(frozen=True)
class Decoded:
    """The frames in the order in which FFmpeg shows them.

    `time` and `until`: seconds at which each begins and ends, since the start of the first. `digests`: of its RGB values.
    `sizes`: how many RGB values it has. `errors`: what FFmpeg complained about.
    """

    time: np.ndarray
    until: np.ndarray
    digests: list[int]
    sizes: list[int]
    errors: str


@dataclass(frozen=True)
class Way:
    """How to decode: options of the input and of the output, and the filter that converts."""

    source: tuple[str, ...] = ()
    output: tuple[str, ...] = ()
    scale: str = "scale=interl=-1:flags=bilinear"


USUAL = Way()


def _command(path: Path, way: Way, *output: str) -> list[str]:
    binary = [get_ffmpeg_exe(), "-nostdin", "-hide_banner", "-v", "error", "-threads", THREADS, *way.source]
    return [*binary, "-i", f"file:{path}", *DECODE, *way.output, "-vf", f"{way.scale},format=rgb24", *output, "-"]


def digest(values: np.ndarray) -> int:
    """Return the checksum that FFmpeg's muxer `framecrc` writes: Adler-32, which begins with 0 there."""
    return zlib.adler32(values.tobytes(), 0)


def decode(path: Path, way: Way = USUAL) -> Decoded:
    """Decode the file `path`. A file that cannot be decoded has no frames."""
    command = _command(path, way, "-enc_time_base", "1:1000000", "-f", "framecrc")
    done = subprocess.run(command, capture_output=True, timeout=TIMEOUT)
    lines = done.stdout.decode().splitlines()
    base = next((Fraction(line.split(":")[1].strip()) for line in lines if line.startswith("#tb")), Fraction(1))
    rows = [line.split(",") for line in lines if not line.startswith("#")]
    ticks = np.array([[int(row[2]), int(row[3])] for row in rows], np.int64).reshape(-1, 2)
    ticks[:, 0] -= ticks[:1, 0].sum()
    return Decoded(
        time=ticks[:, 0] * float(base),
        until=ticks.sum(1) * float(base),
        digests=[int(row[5], 16) for row in rows],
        sizes=[int(row[4]) for row in rows],
        errors=done.stderr.decode(errors="replace"),
    )


def pictures(path: Path, decoded: Decoded, way: Way = USUAL) -> Iterator[np.ndarray]:
    """Yield the RGB values of each frame of `decoded`: uint8 (N,)."""
    command = _command(path, way, "-f", "rawvideo")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        for size in decoded.sizes:
            yield np.frombuffer(process.stdout.read(size), np.uint8)


def described(path: Path) -> str:
    """Return what FFmpeg says about the file `path` before it decodes it."""
    done = subprocess.run([get_ffmpeg_exe(), "-hide_banner", "-i", f"file:{path}"], capture_output=True, timeout=TIMEOUT)
    return done.stderr.decode(errors="replace")


def is_damaged(path: Path) -> bool:
    """Return whether FFmpeg finds damage when it is told to look for it."""
    command = [get_ffmpeg_exe(), "-nostdin", "-hide_banner", "-v", "warning", "-xerror", "-err_detect", "explode"]
    done = subprocess.run([*command, "-i", f"file:{path}", *DECODE, "-f", "null", "-"], capture_output=True, timeout=TIMEOUT)
    return done.returncode != 0 or any(
        word in done.stderr.lower() for word in (b"corrupt", b"truncat", b"prematurely", b"partial")
    )
