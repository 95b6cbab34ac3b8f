"""Compare what Tessera reads from a video with what FFmpeg decodes."""

from collections import Counter
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import get_args

import numpy as np
import oracle

from tessera.core.errors import Failed
from tessera.imaging.frame import VideoFrame
from tessera.imaging.probe import Check, Media, probe_video
from tessera.imaging.video import Packets, read_frames, read_packets

CHECKS: tuple[Check, ...] = get_args(Check)
TIME = 0.001  # seconds
LEVEL = 1


@dataclass
class Film:
    """One file: what FFmpeg decodes, and what Tessera reads, `digests` being None where a frame has no picture.

    `failed`: why Tessera does not read it, if it does not. `admitted`: by each check, the properties or why it is refused.
    """

    path: Path
    theirs: oracle.Decoded
    packets: Packets | None = None
    digests: list[int | None] = field(default_factory=list)
    damaged: list[bool] = field(default_factory=list)
    failed: str = ""
    admitted: dict[Check, Media | Failed] = field(default_factory=dict)

    @cached_property
    def pairs(self) -> list[tuple[int, int]]:
        """The frames that are the same, as their number here and in `theirs`."""
        shown = [number for number, digest in enumerate(self.digests) if digest is not None]
        if len(shown) == len(self.theirs.digests):
            return list(zip(shown, range(len(shown)), strict=True))
        ours = [self.digests[number] for number in shown]
        blocks = SequenceMatcher(None, ours, self.theirs.digests, autojunk=False).get_matching_blocks()
        return [(shown[block.a + step], block.b + step) for block in blocks for step in range(block.size)]


@dataclass(frozen=True)
class Difference:
    """One way in which a film differs. `kind`: frames, times, colours, access, check. `frames`: those it is about."""

    kind: str
    detail: str
    frames: tuple[int, ...] = ()


def read(path: Path) -> tuple[Film, list[Difference]]:
    """Read the file `path` both ways, and return the differences."""
    film = Film(path, oracle.decode(path))
    for check in CHECKS:
        try:
            film.admitted[check] = probe_video(path, check)
        except Failed as error:
            film.admitted[check] = error
    try:
        film.packets = read_packets(path)
        for frame in read_frames(path, film.packets):
            film.digests.append(_digest(frame))
            film.damaged.append(frame.is_damaged)
    except Failed as error:
        film.failed = str(error)
    return film, [each for compare in (_frames, _times, _colours, _access, _checks) for each in compare(film)]


def _digest(frame: VideoFrame) -> int | None:
    return None if frame.picture is None else oracle.digest(frame.image())


def _frames(film: Film) -> list[Difference]:
    if film.failed:
        return [Difference("frames", f"{film.failed}; FFmpeg: {len(film.theirs.time)}")] if len(film.theirs.time) else []
    ours = {number for number, _ in film.pairs}
    theirs = {number for _, number in film.pairs}
    lost = [number for number, digest in enumerate(film.digests) if digest is None]
    more = [number for number, digest in enumerate(film.digests) if digest is not None and number not in ours]
    less = [number for number in range(len(film.theirs.time)) if number not in theirs]
    found = []
    if more or less:
        text = f"{len(film.digests)} frames, FFmpeg {len(film.theirs.time)}; only here {_few(more)}, only there {_few(less)}"
        found.append(Difference("frames", text, tuple(more)))
    if lost:
        found.append(Difference("frames", f"without picture: {_few(lost)}", tuple(lost)))
    return found


def _times(film: Film) -> list[Difference]:
    if film.packets is None or not film.pairs:
        return []
    ours, theirs = np.array(film.pairs).T
    one, other = film.packets.time[ours], film.theirs.time[theirs]
    error = np.abs((one - one[0]) - (other - other[0]))
    (wrong,) = np.nonzero(error > TIME + 1e-6)
    text = f"frames {_few(ours[wrong].tolist())} differ by up to {error.max() * 1000:.1f} ms"
    return [Difference("times", text, tuple(ours[wrong].tolist()))] if len(wrong) else []


def _colours(film: Film) -> list[Difference]:
    doubtful = {other: one for one, other in film.pairs if film.digests[one] != film.theirs.digests[other]}
    if not doubtful or film.packets is None:
        return []
    ours = {frame.index: frame.image() for frame in islice(read_frames(film.path, film.packets, doubtful.values()), 50)}
    worst: dict[int, float] = {}
    for number, picture in enumerate(oracle.pictures(film.path, film.theirs)):
        if (index := doubtful.get(number)) in ours:
            values = ours[index].ravel()
            worst[index] = np.abs(values.astype(int) - picture).max() if len(values) == len(picture) else np.inf
    wrong = {index: level for index, level in worst.items() if level > LEVEL}
    if not wrong:
        return []
    return [Difference("colours", f"frames {_few([*wrong])} differ by up to {max(wrong.values())}", tuple(wrong))]


def _access(film: Film) -> list[Difference]:
    if film.packets is None:
        return []
    count = len(film.packets)
    found = []
    for indices in ([count - 1], [count // 2], sorted({0, count // 3, max(0, count - 2)})):
        got = {frame.index: _digest(frame) for frame in read_frames(film.path, film.packets, indices)}
        wrong = [index for index in indices if got.get(index, -1) != film.digests[index]]
        if wrong:
            found.append(Difference("access", f"frames {_few(wrong)} differ when {indices} are read alone", tuple(wrong)))
    return found


def _checks(film: Film) -> list[Difference]:
    found = []
    end = film.theirs.until.max(initial=0.0)
    for check, media in film.admitted.items():
        if isinstance(media, Failed):
            if len(film.theirs.time):
                found.append(Difference("check", f"{check}: refused as {media}"))
        elif film.packets is None:
            found.append(Difference("check", f"{check}: admitted, but not read"))
        else:
            if media.frames != len(film.packets):
                found.append(Difference("check", f"{check}: {media.frames} frames, but {len(film.packets)} are read"))
            if abs((media.duration or 0) - end) > TIME + 1e-6:
                found.append(Difference("duration", f"{check}: {media.duration} s, FFmpeg {end:.3f} s"))
    return found


def _few(numbers: list[int]) -> str:
    """Return `numbers` as text, the first ones if they are many."""
    return f"{', '.join(map(str, numbers[:4])) or 'none'}{f' and {len(numbers) - 4} more' if len(numbers) > 4 else ''}"


def summary(reasons: list[str]) -> list[tuple[str, int]]:
    """Return each of `reasons` and how often it occurs, most frequent first."""
    return Counter(reasons).most_common()
