"""The samples of a training do not depend on where it starts or on the number of loaders."""

from itertools import islice

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from restoration_clips import write_moving_clip
from tessera.core.errors import TesseraError
from tessera.records.lada.clips import Clip, read_clips
from tessera.stages.restoration.loading import FixedSamples, Order, TrainingSamples, training_loader, validation_loader
from tessera.stages.restoration.settings import DataSettings

DATA = DataSettings(size=32, degradations=())


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    folder = tmp_path_factory.mktemp("dataset")
    for number in range(3):
        write_moving_clip(folder, f"clip-{number}", 3 + number)
    return read_clips(folder)


@given(st.integers(1, 9), st.integers(0, 99), st.integers(0, 60), st.integers(1, 4))
def test_a_resumed_order_is_the_rest_of_the_whole_order(clips: int, seed: int, start: int, step: int) -> None:
    whole = list(islice(Order(clips, seed), start + 20))
    assert list(islice(Order(clips, seed, start, step), 5)) == whole[start::step][:5]


@given(st.integers(1, 9), st.integers(0, 99))
def test_each_epoch_has_each_clip_once(clips: int, seed: int) -> None:
    places = list(islice(Order(clips, seed), 3 * clips))
    assert sorted(places) == [(epoch, clip) for epoch in range(3) for clip in range(clips)]


def test_each_epoch_and_each_seed_has_another_order() -> None:
    orders = {tuple(clip for _, clip in islice(Order(20, seed, start), 20)) for seed in (0, 1) for start in (0, 20)}
    assert len(orders) == 4


def test_batches_do_not_depend_on_the_number_of_loaders(clips: list[Clip]) -> None:
    samples = TrainingSamples(clips, DATA, 2, 0)
    here, there = (list(islice(training_loader(samples, Order(3, 0), 2, workers), 3)) for workers in (0, 2))
    for ours, theirs in zip(here, there, strict=True):
        assert ours["keys"] == theirs["keys"] and ours["mosaicked"].shape == (2, 2, 32, 32, 3)
        assert torch.equal(ours["mosaicked"], theirs["mosaicked"]) and torch.equal(ours["clean"], theirs["clean"])


def test_the_next_clip_replaces_one_that_gives_no_sample(clips: list[Clip]) -> None:
    samples = TrainingSamples(clips, DATA, 4, 0)
    item = samples[0, 0]
    assert not isinstance(item, TesseraError)
    assert item["sample"].key == "clip-1"
    assert item["left_out"] == ["clip-0: clip shorter than the window: 3 of 4 frames"]


def test_no_clip_with_a_sample_is_an_error(clips: list[Clip]) -> None:
    batch = next(iter(training_loader(TrainingSamples(clips, DATA, 9, 0), Order(3, 0), 2, 0)))
    assert isinstance(batch, TesseraError)
    assert "of none of 3 clips a sample can be drawn; the first, clip-" in str(batch)


def test_validation_samples_are_always_the_same_and_all_of_them_are_distributed(clips: list[Clip]) -> None:
    samples = FixedSamples(clips, DATA, 4, 0)
    alone = list(validation_loader(samples, 0, 1, 0))
    assert alone[0] is None
    again = list(validation_loader(samples, 0, 1, 1))
    shared = [list(validation_loader(samples, rank, 2, 0)) for rank in (0, 1)]
    for number, sample in enumerate(alone[1:], 1):
        for other in (again[number], shared[number % 2][number // 2]):
            assert sample is not None and other is not None and sample.key == other.key == f"clip-{number}"
            assert (sample.mosaicked == other.mosaicked).all() and (sample.clean == other.clean).all()
