"""Compare what Tessera reads from a video with what FFmpeg decodes."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import oracle

from tessera.core.errors import Failed
from tessera.imaging.frame import VideoFrame
from tessera.imaging.probe import Check, Media, probe_video
from tessera.imaging.video import Packets, read_frames, read_packets

CHECKS: tuple[Check, ...] = get_args(Check)
TIME = 0.001  # seconds
LEVEL = 1
SOME = 50  # frames of a film whose colours are compared level by level


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

    @cached_property
    def is_random(self) -> bool:
        """Whether FFmpeg decodes other pictures when it is asked again."""
        return any(oracle.decode(self.path).digests != self.theirs.digests for _ in range(10))

    @property
    def gap(self) -> float:
        """The usual seconds from one frame to the next."""
        return float(np.median(np.diff(self.theirs.time))) if len(self.theirs.time) > 1 else 0.0

    def is_refused(self, check: Check) -> bool:
        return isinstance(self.admitted[check], Failed)


@dataclass(frozen=True)
class Difference:
    """One way in which a film differs. `frames`: those it is about. `extent`: the largest difference, in seconds or levels."""

    kind: Literal["frames", "lost", "times", "duration", "colours", "access", "refused", "admitted"]
    detail: str
    frames: tuple[int, ...] = ()
    extent: float = 0.0


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
    if lost and len(film.theirs.time):
        found.append(Difference("lost", f"without picture: {_few(lost)}", tuple(lost)))
    return found


def _times(film: Film) -> list[Difference]:
    if film.packets is None or not film.pairs:
        return []
    ours, theirs = np.array(film.pairs).T
    one, other = film.packets.time[ours], film.theirs.time[theirs]
    error = np.abs((one - one[0]) - (other - other[0]))
    (wrong,) = np.nonzero(error > TIME + 1e-6)
    found = []
    if len(wrong):
        text = f"frames {_few(ours[wrong].tolist())} differ by up to {error.max() * 1000:.1f} ms"
        found.append(Difference("times", text, tuple(ours[wrong].tolist()), error.max()))
    lasts = film.packets.duration - film.packets.time[-1]
    there = film.theirs.until[-1] - film.theirs.time[-1]
    is_last = film.pairs[-1] == (len(film.packets) - 1, len(film.theirs.time) - 1)
    if is_last and abs(lasts - there) > TIME + 1e-6:
        found.append(
            Difference("duration", f"the last frame lasts {lasts:.3f} s, FFmpeg {there:.3f} s", (), abs(lasts - there))
        )
    return found


def _colours(film: Film) -> list[Difference]:
    levels = differing(film)
    wrong = {index: level for index, level in levels.items() if level > LEVEL}
    if not wrong:
        return []
    text = f"frames {_few([*wrong])} differ by up to {max(wrong.values()):.0f}"
    return [Difference("colours", text, tuple(wrong), max(wrong.values()))]


def differing(
    film: Film, way: oracle.Way = oracle.USUAL, change: Callable[[np.ndarray], np.ndarray] = np.asarray
) -> dict[int, float]:
    """Return the largest difference of the RGB values of frames that differ, the first ones if they are many.

    `way`: how FFmpeg decodes. `change` is applied to the pictures that Tessera reads, uint8 (H, W, 3).
    """
    theirs = film.theirs if way == oracle.USUAL else oracle.decode(film.path, way)
    doubtful = {other: one for one, other in film.pairs if film.digests[one] != film.theirs.digests[other]}
    if not doubtful or film.packets is None or len(theirs.digests) != len(film.theirs.digests):
        return dict.fromkeys(doubtful.values(), np.inf)
    frames = islice(read_frames(film.path, film.packets, doubtful.values()), SOME)
    ours = {frame.index: change(frame.image()).ravel() for frame in frames if frame.picture is not None}
    worst: dict[int, float] = {}
    for number, picture in enumerate(oracle.pictures(film.path, theirs, way)):
        if (index := doubtful.get(number)) in ours:
            values = ours[index]
            worst[index] = np.abs(values.astype(int) - picture).max() if len(values) == len(picture) else np.inf
    return worst


def _access(film: Film) -> list[Difference]:
    if film.packets is None or film.failed:
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
    decodes = bool(len(film.theirs.time))
    refused = {str(media): check for check, media in film.admitted.items() if isinstance(media, Failed) and decodes}
    for media, check in refused.items():
        found.append(Difference("refused", f"{check}: {media}"))
    for check, media in film.admitted.items():
        if isinstance(media, Failed):
            continue
        if film.packets is None or not decodes:
            found.append(Difference("admitted", f"{check}: admitted, but {film.failed or 'FFmpeg decodes no frame'}"))
        elif media.frames != len(film.packets):
            found.append(Difference("admitted", f"{check}: {media.frames} frames, but {len(film.packets)} are read"))
        elif abs((media.duration or 0) - film.packets.duration) > TIME:
            found.append(Difference("admitted", f"{check}: {media.duration} s, but {film.packets.duration} s are read"))
    return found


def _few(numbers: list[int]) -> str:
    """Return `numbers` as text, the first ones if they are many."""
    return f"{', '.join(map(str, numbers[:4])) or 'none'}{f' and {len(numbers) - 4} more' if len(numbers) > 4 else ''}"


def summary(reasons: list[str]) -> list[tuple[str, int]]:
    """Return each of `reasons` and how often it occurs, most frequent first."""
    return Counter(reasons).most_common()
