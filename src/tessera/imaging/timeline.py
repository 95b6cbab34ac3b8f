"""The order and the times of the frames of a video, from all that its container states.

The rules stand in the table of `docs/videos.md`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from statistics import median
from typing import NamedTuple

import numpy as np

BACK = 0.1  # seconds by which a decoding time stamp goes back at a jump; the tolerance of FFmpeg
WRONG = 32  # wrong stamps in a row that are left out
LIMIT = 2**60  # ticks; greater stamps are taken for wrong, so that differences between stamps fit into 64 bits
# Seconds by which it goes ahead at a jump: where the container allows jumps, and elsewhere. FFmpeg's `dts_delta_threshold` and
# `dts_error_threshold`.
AHEAD, FAR_AHEAD = 10.0, 30 * 3600.0


class Stamps(NamedTuple):
    """What the container states about a packet, in the time base of its stream."""

    pts: int | None
    dts: int | None
    duration: int


@dataclass(frozen=True)
class Timeline:
    """The frames of a video, in presentation order.

    `order`: int64 (N,), the packet of each frame, as its position among the packets. `pts`: int64 (N,), strictly increasing,
    in the time base of the stream. `is_timed`: whether they come from the container, and are not numbers of frames. `gap`: the
    usual ticks from one frame to the next. `jumps`: where the stamps jump; see `close_jumps`.
    """

    order: np.ndarray
    pts: np.ndarray
    is_timed: bool
    gap: int
    jumps: list[tuple[int, int]]


def arrange(
    packets: Sequence[Stamps],
    time_base: Fraction,
    rate: Fraction,
    delay: int,
    decoded: Callable[[], Sequence[tuple[int, int | None]]],
    *,
    may_jump: bool,
) -> Timeline:
    """Return the frames in `packets`, which are in decoding order; see `docs/videos.md`.

    `rate`: frames per second, used where the packets state no times. `delay`: how many frames the decoder holds back to reorder
    them. `decoded` decodes all packets, and returns the position of the packet of each frame, and of the packet that released
    it from the decoder or None if its end did. It is called only if the stamps leave the order open. `may_jump`: whether the
    container allows jumps ahead.
    """
    closed, jumps = close_jumps(packets, time_base, rate, may_jump=may_jump)
    if 0 < delay < len(closed) - 1 and all(packet_stamps.pts == packet_stamps.dts for packet_stamps in closed):
        # The container, such as MXF, has no presentation time stamps, and FFmpeg copies the others.
        closed = [packet_stamps._replace(pts=None) for packet_stamps in closed]
    gap = _gap(closed, time_base, rate)
    pts = [packet_stamps.pts for packet_stamps in closed]
    if None not in (likely := _filled(closed, delay, gap)):
        stamps = np.array(likely, np.int64)
        order = np.argsort(stamps, kind="stable")
        if _is_plausible(stamps[order], order, [packet_stamps.dts for packet_stamps in closed], delay, gap):
            return Timeline(order, stamps[order], True, gap, jumps)
    frames = decoded()
    shown = [
        _sane(closed[release].dts if pts[index] is None and release is not None else pts[index]) for index, release in frames
    ]
    order = np.array([index for index, _ in frames], np.int64)
    if all(stamp is None for stamp in shown):
        return Timeline(order, np.arange(len(order)), False, 1, [])
    return Timeline(order, interpolated(shown, gap), True, gap, jumps)


def close_jumps(
    packets: Sequence[Stamps], time_base: Fraction, rate: Fraction | None, *, may_jump: bool, shifts: Sequence[int] = ()
) -> tuple[list[Stamps], list[tuple[int, int]]]:
    """Return `packets` of one stream, in decoding order, with stamps that do not jump, and the jumps.

    A jump is the position of the packet at which it happens, and the ticks that are added to all stamps from there on. The
    part after a jump follows the one before it. A stamp that is out of line with those before and after it is None. `shifts`:
    those of another stream of the file, which are used if there are as many. For the other arguments see `arrange`.
    """
    frame_ticks = round(1 / rate / time_base) if rate else 0
    back, ahead, far = (seconds / float(time_base) for seconds in (BACK, AHEAD, FAR_AHEAD))
    indices = [index for index, stamps in enumerate(packets) if stamps.dts is not None]
    stated = [stamps.dts for stamps in packets if stamps.dts is not None]
    jumps: list[tuple[int, int]] = []
    wrong: set[int] = set()
    good: list[int] = []  # positions in `stated` of stamps that are in line
    shift = 0
    for number, dts in enumerate(stated):
        if good:
            last = stated[good[-1]]
            after = last + (packets[indices[good[-1]]].duration or frame_ticks)
            goes_back = dts < last - back
            if goes_back and len(good) > 1 and stated[good[-2]] < dts:
                wrong.add(indices[good.pop()])  # the stamp before this one was too high
            elif goes_back or dts - after > ahead:
                following = stated[number + 1 : number + 2]
                if all(last < stamp for stamp in following) if goes_back else any(last < stamp < dts for stamp in following):
                    wrong.add(indices[number])
                    continue
                if goes_back or may_jump or dts - after > far:
                    shift += after - dts
                    jumps.append((indices[number], shift))
                    good.clear()
        good.append(number)
    if len(jumps) == len(shifts):
        jumps = [(index, ticks) for (index, _), ticks in zip(jumps, shifts, strict=True)]
    return _shifted(packets, jumps, wrong) if jumps or wrong else list(packets), jumps


def _shifted(packets: Sequence[Stamps], jumps: list[tuple[int, int]], wrong: set[int]) -> list[Stamps]:
    """Return `packets` with the shifts of the `jumps`, and without the stamps of the packets at the positions `wrong`."""
    starts = dict(jumps)
    shift = 0
    closed = []
    for index, (pts, dts, duration) in enumerate(packets):
        shift = starts.get(index, shift)
        is_wrong = index in wrong
        closed.append(Stamps(None if is_wrong else _sane(pts, shift), None if is_wrong else _sane(dts, shift), duration))
    return closed


def _sane(stamp: int | None, shift: int = 0) -> int | None:
    return stamp + shift if stamp is not None and abs(stamp + shift) < LIMIT else None


def _filled(packets: Sequence[Stamps], delay: int, gap: int) -> list[int | None]:
    """Return the presentation time stamps of `packets`; if a few are missing, with what remains of the decoding time stamps.

    These are the same stamps, sorted, `delay` frames earlier. MPEG-PS has stamps for some frames only.
    """
    pts = [stamps.pts for stamps in packets]
    missing = [index for index, stamp in enumerate(pts) if stamp is None]
    dts = sorted(stamps.dts for stamps in packets if stamps.dts is not None)
    if missing and 2 * len(missing) < len(pts) == len(dts):
        after = (dts[-1] + gap * (number + 1) for number in range(delay))
        left = sorted({*dts[delay:], *after}.difference(pts))
        if len(left) == len(missing):
            for index, stamp in zip(missing, left, strict=True):
                pts[index] = stamp
    return pts


def _is_plausible(pts: np.ndarray, order: np.ndarray, dts: Sequence[int | None], delay: int, gap: int) -> bool:
    """Return whether frames with the ascending stamps `pts`, whose packets are `order`, can be shown in this order.

    Each stamp is used once, no frame is shown before it is decoded, and none waits longer than the decoder's `delay`. Where
    frames are reordered, the decoding time stamps are the presentation time stamps, sorted and earlier: a stamp that is wrong
    by half a `gap` or more disagrees with that.
    """
    if not (pts[1:] > pts[:-1]).all() or (order - np.arange(len(order))).max(initial=0) > delay:
        return False
    if any(stamp is not None and stamp > shown for stamp, shown in zip((dts[index] for index in order), pts, strict=True)):
        return False
    stated = np.array(sorted(stamp for stamp in dts if stamp is not None), np.int64)
    if not delay or not len(stated):
        return True
    # At the beginning, decoding time stamps may be missing.
    late = range(len(stated) - len(pts), min(delay + 1, len(stated)))
    return any(_is_constant(pts[max(0, -by) :], stated[max(0, by) :], gap / 2) for by in late)


def _is_constant(left: np.ndarray, right: np.ndarray, tolerance: float) -> bool:
    length = min(len(left), len(right))
    difference = left[:length] - right[:length]
    return bool(difference.max() - difference.min() < tolerance)


def _gap(packets: Sequence[Stamps], time_base: Fraction, rate: Fraction) -> int:
    """Return the usual ticks from one frame to the next."""
    dts = [stamps.dts for stamps in packets]
    gaps = [late - soon for soon, late in pairwise(dts) if soon is not None and late is not None and late > soon]
    return int(median(gaps)) if gaps else max(1, round(1 / rate / time_base))


def interpolated(stamps: Sequence[int | None], gap: int) -> np.ndarray:
    """Return `stamps`, at least one of which is not None, as int64 (N,), strictly increasing.

    As many as possible are kept: the longest increasing sequence of them. The others lie evenly between these, or `gap`
    ticks apart before the first and after the last of them.
    """
    used = _increasing(stamps, gap)
    good = [stamp for index in used if (stamp := stamps[index]) is not None]
    bounds = [-1, *used, len(stamps)]
    # Differences from the first stamp are exact as floats, where large stamps are not.
    values = [-gap * (used[0] + 1), *(stamp - good[0] for stamp in good), good[-1] - good[0] + gap * (len(stamps) - used[-1])]
    count = np.arange(len(stamps))
    even = np.rint(np.interp(count, bounds, values)).astype(np.int64)
    # Where no tick is left between two stamps, the later ones move by a tick.
    ascending: np.ndarray = np.maximum.accumulate(even - count) + count + good[0]
    return ascending


def _increasing(stamps: Sequence[int | None], gap: int) -> list[int]:
    """Return the positions of the longest strictly increasing sequence of `stamps`; of several, the most even one.

    At most `WRONG` stamps in a row are left out between two that are not.
    """
    present = [(index, stamp) for index, stamp in enumerate(stamps) if stamp is not None]
    # For the best sequence that ends at each stamp: how many stamps it leaves out and how uneven it is, and the one before.
    costs: list[tuple[int, int]] = []
    before: list[int | None] = []
    for number, (index, stamp) in enumerate(present):
        paths: list[tuple[tuple[int, int], int | None]] = [((number, 0), None)]
        for last in range(max(0, number - WRONG - 1), number):
            earlier, sooner = present[last]
            if sooner < stamp:
                out, uneven = costs[last]
                way = out + number - last - 1, uneven + abs(stamp - sooner - gap * (index - earlier))
                paths.append((way, last))
        cost, previous = min(paths, key=lambda way: way[0])
        costs.append(cost)
        before.append(previous)
    end: int | None = min(range(len(present)), key=lambda number: (costs[number][0] + len(present) - number, costs[number][1]))
    chain: list[int] = []
    while end is not None:
        chain.append(present[end][0])
        end = before[end]
    return chain[::-1]
