"""The time of measuring several restoration models: samples are made once, and each model adds little."""

import time
from functools import partial
from pathlib import Path

import cv2
import torch
from bench_restoration_data import write_footage
from timing import seconds

from tessera.records.lada.clips import read_clips
from tessera.stages.restoration.evaluate import evaluate
from tessera.stages.restoration.settings import DataSettings, MetricsSettings

SHAPES = (256, 60), (400, 60)  # sides and frames of the clips
CEILING = 1.2


def identity(frames: torch.Tensor) -> torch.Tensor:
    return frames


def test_three_compared_models_take_little_longer_than_one(tmp_path: Path) -> None:
    """Of models that take no time themselves, at the default settings, in CPU time."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    for side, frames in SHAPES:
        write_footage(tmp_path / "val", side, frames)
    (tmp_path / "test").mkdir()
    sources = {clip.key: clip.key for clip in read_clips(tmp_path / "val")}
    runs = iter(range(100))

    def measure(compared: int) -> None:
        out = tmp_path / f"out{next(runs)}"
        out.mkdir()
        generators = {"restored": identity} | {f"model {number}": identity for number in range(compared)}
        evaluate(
            {split: tmp_path / split for split in ("val", "test")},
            generators,
            *(out / name for name in ("metrics.json", "frames.jsonl", "ledger.jsonl", "pictures", "speed.json")),
            data=DataSettings(),
            settings=MetricsSettings(),
            sources=sources,
            seed=0,
            threads=1,
        )

    measure(1)  # imports
    none, one, three = seconds(*(partial(measure, compared) for compared in (0, 1, 3)), repeats=3, clock=time.process_time)
    print(
        f"\n{len(SHAPES)} samples, beside the trained model: {none:.2f} s with no other model, {one:.2f} s with one,"
        f" {three:.2f} s with three, so {three / one:.2f} times the time of one (ceiling: {CEILING})"
    )
    assert three <= CEILING * one
