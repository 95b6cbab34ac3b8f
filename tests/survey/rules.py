"""Differences that are meant: each rule says why a film may differ from what FFmpeg's command-line tool decodes."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial

import av
import numpy as np
import oracle
from compare import CHECKS, LEVEL, Difference, Film, differing

from tessera.core.errors import Failed
from tessera.imaging.containers import CONTAINERS
from tessera.imaging.video import demux, open_video

RULES: dict[str, Callable[[Film, Difference], bool]] = {}
STORED = oracle.Way(source=("-noautorotate",))


def rule(reason: str, *kinds: str) -> Callable[[Callable[[Film, Difference], bool]], Callable[[Film, Difference], bool]]:
    """Decorate a function that says whether `reason` explains a difference of one of `kinds`."""

    def add(holds: Callable[[Film, Difference], bool]) -> Callable[[Film, Difference], bool]:
        RULES[reason] = lambda film, difference: difference.kind in kinds and holds(film, difference)
        return holds

    return add


def explained(film: Film, difference: Difference) -> str | None:
    """Return the reason for which `film` may have this `difference`, or None if it is unexplained."""
    return next((reason for reason, holds in RULES.items() if holds(film, difference)), None)


@rule("the container is not among those that are admitted", "frames", "refused")
def _is_foreign(film: Film, difference: Difference) -> bool:
    container = oracle.described(film.path).partition("Input #0, ")[2].partition(", from")[0].split(",")
    return "not a media file" in difference.detail and not set(container) & set(CONTAINERS.split(","))


@rule("PyAV has no decoder for the codec, and the film is refused with this reason", "frames", "refused")
def _is_unknown(film: Film, difference: Difference) -> bool:
    return all(isinstance(each, Failed) and each.reason == "unknown codec" for each in film.admitted.values())


@rule("PyAV cannot convert the colours, or gives wrong ones, and the film is refused with this reason", "frames", "refused")
def _is_unsupported(film: Film, difference: Difference) -> bool:
    if not all(isinstance(each, Failed) and each.reason == "unsupported colours" for each in film.admitted.values()):
        return False
    with av.open(str(film.path)) as container:
        try:
            picture = next(container.decode(video=0))
        except (av.error.FFmpegError, StopIteration):
            return False
        with suppress(OSError):
            converted = picture.reformat(format="rgb24").to_ndarray()
            return film.theirs.digests[:1] != [oracle.digest(converted)]
    return True


@rule("the film is damaged, as FFmpeg finds too when it is told to look, and is refused", "refused")
def _is_damaged(film: Film, difference: Difference) -> bool:
    return oracle.is_damaged(film.path)


@rule("the film is damaged and refused by every check", "frames", "lost", "times", "duration", "colours", "access")
def _is_refused(film: Film, difference: Difference) -> bool:
    return all(film.is_refused(check) for check in CHECKS) and oracle.is_damaged(film.path)


@rule("the film is damaged: a frame that cannot be decoded keeps its place, without a picture", "lost")
def _is_lost(film: Film, difference: Difference) -> bool:
    return bool(film.theirs.errors) and film.is_refused("all")


@rule("frames that refer to others before the cut have no picture; FFmpeg leaves them out", "lost")
def _is_cut(film: Film, difference: Difference) -> bool:
    count = len(difference.frames)
    assert film.packets is not None
    return difference.frames == tuple(range(count)) and bool(film.packets.keyframe[count])


@rule("the size of the pictures changes: the decoder loses the frame before that, and FFmpeg leaves it out", "lost")
def _is_resized(film: Film, difference: Difference) -> bool:
    return len(difference.frames) < len(set(film.theirs.sizes))


@rule("the film is damaged: the pictures depend on where decoding begins", "access")
def _depends(film: Film, difference: Difference) -> bool:
    return film.is_refused("all") and oracle.is_damaged(film.path)


@rule("FFmpeg decodes the film differently each time", "colours", "access")
def _is_random(film: Film, difference: Difference) -> bool:
    return film.is_random


@rule("FFmpeg's tool takes the largest track if none is marked as default, Tessera the first, as players do", "frames")
def _is_first(film: Film, difference: Difference) -> bool:
    return oracle.decode(film.path, oracle.Way(output=("-map", "0:V:0"))).digests == film.digests


@rule("joined Theora: with several threads, FFmpeg does not read the headers of the second part", "frames")
def _has_headers(film: Film, difference: Difference) -> bool:
    alone = oracle.decode(film.path, oracle.Way(source=("-threads", "1")))
    return alone.digests == [digest for digest in film.digests if digest is not None]


@rule("stamps repeat or go back: FFmpeg passes them on, Tessera interpolates them", "times")
def _repeats(film: Film, difference: Difference) -> bool:
    stated = [stamp for stamp in _stated(film) if stamp is not None]
    return bool((np.diff(film.theirs.time) <= 0).any()) or len(set(stated)) < len(stated)


@rule("stamps are missing: Tessera lets frames follow each other evenly, FFmpeg by their stated durations", "times")
def _is_missing(film: Film, difference: Difference) -> bool:
    return None in _stated(film) and difference.extent < film.gap


@rule("recordings were joined: FFmpeg and Tessera differ by less than a frame in where the next part begins", "times")
def _is_joined(film: Film, difference: Difference) -> bool:
    return film.packets is not None and bool(film.packets.shifts) and difference.extent < film.gap


@rule("the container does not say how long the last frame lasts: Tessera takes the usual time", "duration")
def _is_last(film: Film, difference: Difference) -> bool:
    return difference.extent <= film.gap + 0.001


@rule("chroma lies where the stream says; FFmpeg's filter `scale` needs to be told", "colours")
def _is_sited(film: Film, difference: Difference) -> bool:
    ways = [oracle.Way(scale=f"{oracle.USUAL.scale}:in_chroma_loc={place}") for place in ("left", "topleft")]
    return any(_is_equal(differing(film, way)) for way in ways)


@rule("FFmpeg turns before it converts, so that the chroma of a turned film is enlarged in the other direction", "colours")
def _is_turned(film: Film, difference: Difference) -> bool:
    ways = [partial(_oriented, turns=turns, is_mirrored=mirrored) for turns in range(4) for mirrored in (False, True)]
    return any(_is_equal(differing(film, STORED, way)) for way in ways)


@rule("the container asks to cut off margins of the pictures, which PyAV does not pass on", "frames", "colours", "admitted")
def _is_cropped(film: Film, difference: Difference) -> bool:
    # Only what the codec asks to cut off.
    uncut = oracle.decode(film.path, oracle.Way(source=("-apply_cropping", "codec")))
    return uncut.digests == film.digests and "Frame Cropping" in oracle.described(film.path)


@rule("a film is only turned by right angles", "colours")
def _is_oblique(film: Film, difference: Difference) -> bool:
    turned = oracle.described(film.path).partition("displaymatrix: rotation of ")[2].split(" ")[0]
    return bool(turned) and float(turned) % 90 != 0 and _is_equal(differing(film, STORED))


def _oriented(image: np.ndarray, turns: int, is_mirrored: bool) -> np.ndarray:
    return np.rot90(image[:, ::-1] if is_mirrored else image, turns)


def _is_equal(levels: dict[int, float]) -> bool:
    return max(levels.values(), default=0) <= LEVEL


def _stated(film: Film) -> list[int | None]:
    """Return the presentation time stamps that the container states, in decoding order."""
    with open_video(film.path) as (container, stream):
        return [packet.pts for packet in demux(container, stream)]
