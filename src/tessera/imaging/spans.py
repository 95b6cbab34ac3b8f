"""Time spans of videos, as people write them."""

import re
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import TypeAlias

import numpy as np

Span: TypeAlias = tuple[Fraction, Fraction]  # seconds from the first frame: the begin, and the end, which is outside
TIME = r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d+)?)"  # hours, minutes and seconds; the first two can be left out


def parse_spans(texts: Sequence[str]) -> list[Span]:
    """Return the spans `texts`, such as `90-95.5` or `1:02:10-1:03:00`: seconds, or hours, minutes and seconds.

    Raises `ValueError` if one is no span, or if they do not follow each other.
    """
    spans = []
    for text in texts:
        match = re.fullmatch(rf"\s*{TIME}\s*-\s*{TIME}\s*", text)
        if not match:
            raise ValueError(f"{text!r} is no time span; write for example 90-95.5 or 1:02:10-1:03:00")
        numbers = [Fraction(digits or 0) for digits in match.groups()]
        begin, end = (3600 * hours + 60 * minutes + seconds for hours, minutes, seconds in (numbers[:3], numbers[3:]))
        if begin >= end:
            raise ValueError(f"{text!r}: the end must lie after the begin")
        spans.append((begin, end))
    if any(begin < end for (_, end), (begin, _) in pairwise(spans)):
        raise ValueError(f"{', '.join(texts)}: a span begins before the one before it ends; sort and join them")
    return spans


def inside(time: np.ndarray, spans: Sequence[Span]) -> np.ndarray:
    """Return whether each of `time`, float64 (n,), seconds, lies in one of `spans`, or True if there are none: bool (n,)."""
    if not spans:
        return np.ones(len(time), bool)
    rounded = time.round(6)
    is_inside: np.ndarray = np.logical_or.reduce([(float(begin) <= rounded) & (rounded < float(end)) for begin, end in spans])
    return is_inside
