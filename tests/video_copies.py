"""Copies of films with their own pictures, and what FFmpeg prints about them, for tests of copies."""

import re
import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from imageio_ffmpeg import get_ffmpeg_exe

from tessera.imaging.spans import Span
from tessera.imaging.tracks import plan_tracks
from tessera.imaging.video import read_frames, read_packets
from tessera.imaging.video_copy import PART, Encoding, PictureWriter, assemble, form_of, moves_of, stamps_of

LOSSLESS = Encoding(quantizer=0)


def ffmpeg(*arguments: Any, is_loud: bool = False) -> bytes:
    """Run FFmpeg, and return what it writes to standard output or, `is_loud`, its messages."""
    command = [get_ffmpeg_exe(), "-nostdin", "-v", "info" if is_loud else "error", "-y", *map(str, arguments)]
    ran = subprocess.run(command, check=True, capture_output=True)
    return ran.stderr if is_loud else ran.stdout


def described(path: Path) -> str:
    """Return what FFmpeg prints about `path`."""
    command = [get_ffmpeg_exe(), "-nostdin", "-hide_banner", "-i", f"file:{path}"]
    return subprocess.run(command, check=False, capture_output=True, text=True, errors="replace").stderr


def packets_of(path: Path, stream: str = "0:V:0") -> list[tuple[float, int, str]]:
    """Return the time in seconds, the size and the checksum of each packet of a stream, in order of time, by FFmpeg."""
    lines = ffmpeg("-copyts", "-i", path, "-map", stream, "-c", "copy", "-f", "framecrc", "-").decode().splitlines()
    base = next(Fraction(line.split(":")[1].strip()) for line in lines if line.startswith("#tb"))
    rows = [line.split(",") for line in lines if not line.startswith("#")]
    return sorted(((float(int(row[2]) * base), int(row[4]), row[5].strip()) for row in rows), key=lambda packet: packet[0])


def streams_of(path: Path) -> list[str]:
    """Return the language and the kind of each stream, in the order of FFmpeg, such as `eng Audio`."""
    streams = re.findall(r"Stream #0:\d+(?:\[\w+\])?(?:\((\w+)\))?: (\w+): (\w+)", described(path))
    return [" ".join(filter(None, (language if language != "und" else "", kind))) for language, kind, _ in streams]


def copied(
    path: Path,
    folder: Path,
    encoding: Encoding = LOSSLESS,
    rate: Fraction | None = None,
    spans: Sequence[Span] = (),
    parts: int = 1,
) -> tuple[Path, list[str]]:
    """Write a copy of the film `path` with its own pictures, in `parts` of similar length; return it and its remarks."""
    packets, tracks = read_packets(path), plan_tracks(path)
    moves = moves_of(path, packets, spans)
    base, stamps = stamps_of(packets, moves, rate)
    frames = [frame for frame in read_frames(path, packets) if frame.picture is not None and len(stamps[frame.index])]
    assert frames[0].picture is not None
    form = form_of(path, packets, frames[0].picture, encoding, base, rate or Fraction(25))
    length = -(-len(frames) // parts)
    files = []
    for number in range(0, len(frames), length):
        files.append(folder / f"{path.name}-{number}{PART}")
        with PictureWriter(files[-1], form, encoding) as writer:
            for frame in frames[number : number + length]:
                for pts in stamps[frame.index]:
                    assert frame.picture is not None
                    writer.write(frame.picture, pts)
    copy = folder / f"copy of {path.stem}{tracks.suffix}"
    return copy, [*tracks.remarks, *assemble(files, form, encoding, path, tracks, moves, copy)]
