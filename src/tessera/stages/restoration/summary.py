"""Summaries of measured samples: means over all of them and over groups, and confidence intervals."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from tessera.learning.intervals import draws, interval
from tessera.records.tables.evaluation_restoration import RestoredFrames
from tessera.records.tables.table import types, write_table
from tessera.stages.restoration.metrics import Values, bin_of, bins
from tessera.stages.restoration.settings import BASELINES, RESTORED, MetricsSettings

ENDS = 2  # frames at either end of a window, for which the model knows fewer frames on one side
# The metrics that have intervals: the area and the name of each.
COMPARED = (
    ("region", "psnr"),
    ("region", "ssim"),
    ("region", "lpips"),
    ("consistency", "warping"),
    ("consistency", "flicker"),
    ("consistency", "seam"),
)
DIGITS = 6


class Measured(NamedTuple):
    """The metrics of a sample."""

    split: str
    key: str
    source: str
    block: float  # side of its blocks, pixels
    degradations: tuple[str, ...]  # names of the operations that degraded it
    motion: np.ndarray  # float64 (T,): length of the true motion in the region, pixels; NaN for frames without a region
    values: dict[str, Values]  # by method


def summarise_samples(samples: Sequence[Measured], settings: MetricsSettings, seed: int) -> dict[str, Any]:
    """Return the means over `samples`, all of one split, and over groups of them, and the intervals of the means.

    `all` has the means over all frames. `blocks`, `motion`, `position` and `degradations` have those over the samples with such
    blocks, over the frames with such motion, over the frames at the ends and in the middle of the windows, and over the samples
    with each degradation. A sample with several degradations counts for each, and one without any for `none`. Each group has
    the number of samples, and for each area and method the mean over samples of their means over frames; None if there is no
    value. `unchanged` has the number of samples that each method returned as they were.
    """
    every = [np.full(len(sample.motion), True) for sample in samples]
    blocks = {
        name: [
            all_of & (bin_of(sample.block, settings.block_edges) == name) for sample, all_of in zip(samples, every, strict=True)
        ]
        for name in bins(settings.block_edges)
    }
    moving = [
        np.array([bin_of(each, settings.motion_edges) if np.isfinite(each) else "" for each in sample.motion])
        for sample in samples
    ]
    motion = {name: [each == name for each in moving] for name in bins(settings.motion_edges)}
    middle = [np.isin(np.arange(len(all_of)), np.arange(ENDS, len(all_of) - ENDS)) for all_of in every]
    position = {f"first and last {ENDS}": [~each for each in middle], "middle": middle}
    names = [sample.degradations or ("none",) for sample in samples]
    degradations = {
        name: [all_of & (name in of_sample) for of_sample, all_of in zip(names, every, strict=True)]
        for name in sorted(set(chain(*names)))
    }
    return {
        "all": _means(samples, every),
        "blocks": {name: _means(samples, chosen) for name, chosen in blocks.items()},
        "motion": {name: _means(samples, chosen) for name, chosen in motion.items()},
        "position": {name: _means(samples, chosen) for name, chosen in position.items()},
        "degradations": {name: _means(samples, chosen) for name, chosen in degradations.items()},
        "intervals": intervals(samples, seed),
        "unchanged": _unchanged(samples),
    }


def intervals(samples: Sequence[Measured], seed: int) -> dict[str, Any]:
    """Return the number of sources of `samples`, and for each method and metric in `COMPARED` a dictionary.

    `value` is the mean, `low` and `high` its 95 % interval; `difference`, `difference_low` and `difference_high` are those of
    the mean minus that of the model that was trained, under the same draws of sources. A value that cannot be computed, such
    as an interval of too few sources, is None.
    """
    sources = sorted({sample.source for sample in samples})
    if not samples:
        return {"sources": 0, "methods": {}}
    positions = [sources.index(sample.source) for sample in samples]
    drawn = draws(len(sources), seed, f"restoration {samples[0].split}")
    # The first draw has each source once: it gives the value itself.
    times = np.concatenate([np.ones((1, len(sources)), drawn.dtype), drawn])
    results: dict[str, dict[str, Any]] = {method: {} for method in samples[0].values}
    for area, name in COMPARED:
        means = {
            method: _drawn_means([_mean(sample.values[method][area][name]) for sample in samples], positions, times)
            for method, values in samples[0].values.items()
            if name in values.get(area, {})
        }
        for method, values in means.items():
            differences = values - means[RESTORED]
            results[method][name] = {
                **_with_interval("value", values, len(sources)),
                **_with_interval("difference", differences, len(sources)),
            }
    return {"sources": len(sources), "methods": results}


def _unchanged(samples: Sequence[Measured]) -> dict[str, int]:
    """Return by method how many of `samples` it returned as they were. Methods that changed all of them are left out."""

    def psnr(sample: Measured, method: str) -> np.ndarray:
        return sample.values[method]["frame"]["psnr"]

    counts = Counter(
        method
        for sample in samples
        for method, areas in sample.values.items()
        if method != BASELINES[0] and "frame" in areas
        if np.array_equal(psnr(sample, method), psnr(sample, BASELINES[0]), equal_nan=True)
    )
    return dict(counts)


def gain(sample: Measured) -> float:
    """Return by how much the trained model improves the PSNR of the region of `sample` over its input, dB."""
    restored, mosaicked = (_mean(sample.values[method]["region"]["psnr"]) for method in (RESTORED, BASELINES[0]))
    return restored - mosaicked


def region_psnr(sample: Measured) -> dict[str, float]:
    """Return the PSNR of the region of `sample` by method, dB."""
    return {
        method: round(_mean(areas["region"]["psnr"]), DIGITS) for method, areas in sample.values.items() if "region" in areas
    }


def tabulate_frames(samples: Sequence[Measured], table: Path) -> None:
    """Write the values of each frame of `samples` as the table `RestoredFrames`, with a row per method and frame."""
    columns = types(RestoredFrames)
    rows = []
    for row in chain.from_iterable(map(_rows, samples)):
        count = len(row["position"])
        rows.append({name: value if isinstance(value := row.get(name), list) else [value] * count for name in columns})
    lists = pl.DataFrame(rows, schema={name: pl.List(kind) for name, kind in columns.items()})
    write_table(lists.explode(list(columns)), RestoredFrames, table)


def _rows(sample: Measured) -> Iterator[dict[str, Any]]:
    """Yield a row per method, whose lists have a value for each frame; they are the columns of `tables.RestoredFrames`."""
    for method, areas in sample.values.items():
        values = {
            name if area == "consistency" else f"{area}_{name}": [
                round(value, DIGITS) if np.isfinite(value) else None for value in each.tolist()
            ]
            for area, of_area in areas.items()
            for name, each in of_area.items()
        }
        yield {
            "split": sample.split,
            "key": sample.key,
            "source": sample.source,
            "method": method,
            "block": round(sample.block, DIGITS),
            "degradations": [list(sample.degradations)] * len(sample.motion),
            "position": list(range(len(sample.motion))),
            "motion": [round(value, DIGITS) if np.isfinite(value) else None for value in sample.motion.tolist()],
            **values,
        }


def _means(samples: Sequence[Measured], chosen: Sequence[np.ndarray]) -> dict[str, Any]:
    """Return the number of samples with a region in their `chosen` frames, bool (T,), and their mean metrics."""
    held = [
        (sample, frames) for sample, frames in zip(samples, chosen, strict=True) if np.isfinite(sample.motion[frames]).any()
    ]
    if not held:
        return {"samples": 0}
    areas: dict[str, dict[str, dict[str, float | None]]] = {}
    for method, of_method in held[0][0].values.items():
        for area, names in of_method.items():
            areas.setdefault(area, {})[method] = {
                name: _rounded(_mean(np.array([_mean(sample.values[method][area][name][frames]) for sample, frames in held])))
                for name in names
            }
    return {"samples": len(held), **areas}


def _mean(values: np.ndarray) -> float:
    """Return the mean of the `values` that are known, or NaN."""
    known = values[np.isfinite(values)].tolist()
    return math.fsum(known) / len(known) if known else math.nan


def _drawn_means(values: Sequence[float], positions: Sequence[int], times: np.ndarray) -> np.ndarray:
    """Return the mean of `values` in each draw, NaN if it has none of them.

    `positions`: the number of the source of each value. `times`: int (N, sources), how often each source is in each draw.
    """
    known = np.isfinite(values)
    at, count = np.array(positions)[known], times.shape[1]
    sums = times @ np.bincount(at, np.array(values)[known], count)
    counts = times @ np.bincount(at, minlength=count)
    means: np.ndarray = np.divide(sums, counts, out=np.full(len(times), np.nan), where=counts > 0)
    return means


def _with_interval(name: str, values: np.ndarray, sources: int) -> dict[str, float | None]:
    """Return the first of `values` as `name`, and the interval of the others."""
    ends = interval(values[1:], sources)
    prefix = "" if name == "value" else f"{name}_"
    low, high = (None, None) if ends is None else ends
    return {name: _rounded(values[0]), f"{prefix}low": _rounded(low), f"{prefix}high": _rounded(high)}


def _rounded(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else round(float(value), DIGITS)
