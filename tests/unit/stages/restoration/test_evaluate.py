"""The evaluation has a row for every clip, and a model that changes nothing gains nothing."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from restoration_clips import write_moving_clip
from tessera.core.errors import TesseraError
from tessera.core.ledger import read_ledger
from tessera.imaging.images import read_image
from tessera.imaging.video import read_frames, read_packets
from tessera.records.lada.clips import read_clips
from tessera.records.tables.evaluation_restoration import RestoredFrames
from tessera.records.tables.table import read_table
from tessera.stages.restoration import evaluate as module
from tessera.stages.restoration.evaluate import GAP, evaluate, restore
from tessera.stages.restoration.metrics import bins, measure
from tessera.stages.restoration.samples import fixed_sample
from tessera.stages.restoration.settings import DataSettings, MetricsSettings

SIDE = 64
DATA = DataSettings(size=SIDE, degradations=())
SETTINGS = MetricsSettings(frames=6, block_edges=(4, 8), pictures=1)
LONG = "${x} " * 50  # a longer file name would be impossible
SOURCES = {"b": "one", LONG: "two"}  # of the clips that can be measured
FILES = ("metrics.json", "frames.parquet", "ledger.jsonl", "pictures", "speed.json")
METHODS = ["mosaicked", "bicubic", "temporal_median", "restored"]


def identity(frames: torch.Tensor) -> torch.Tensor:
    return frames


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three validation clips, of which one is too short and one is damaged, and no test clips."""
    folder = tmp_path_factory.mktemp("dataset")
    write_moving_clip(folder / "val", "b", 8)
    write_moving_clip(folder / "val", LONG, 9)
    write_moving_clip(folder / "val", "short", 5)
    write_moving_clip(folder / "val", "damaged", 8)
    video = folder / "val" / "crop_unscaled_img" / "damaged.mp4"
    video.write_bytes(video.read_bytes()[:400])
    (folder / "test").mkdir()
    return folder


def run(dataset: Path, folder: Path, generator: Any = identity, **values: Any) -> dict[str, Any]:
    folder.mkdir()
    options = {"data": DATA, "settings": SETTINGS, "sources": SOURCES, "seed": 0, "threads": 2} | values
    folders = {split: dataset / split for split in ("val", "test")}
    generators = generator if isinstance(generator, dict) else {"restored": generator}
    evaluate(folders, generators, *(folder / name for name in FILES), **options)
    content: dict[str, Any] = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return content


def test_every_clip_has_a_row(dataset: Path, tmp_path: Path) -> None:
    splits = run(dataset, tmp_path / "out")["splits"]
    rows = {row["key"]: (row["status"], row["reason"]) for row in read_ledger(tmp_path / "out" / "ledger.jsonl")}
    assert rows.keys() == {f"val/{LONG}", "val/b", "val/damaged", "val/short"}
    assert rows["val/short"] == ("dropped", "clip shorter than the window")
    assert rows["val/damaged"][0] == "failed" and rows["val/b"] == ("ok", "")
    counts = splits["val"]["samples"]
    assert counts["in"] == 4 == counts["ok"] + sum(counts["dropped"].values()) + sum(counts["failed"].values())
    assert counts["dropped"] == {"clip shorter than the window": 1} and sum(counts["failed"].values()) == 1
    assert counts["ok"] == splits["val"]["all"]["samples"] == 2
    speed = json.loads((tmp_path / "out" / "speed.json").read_text(encoding="utf-8"))
    assert speed["milliseconds"]["val"]["restored"] > 0 and "test" not in speed["milliseconds"], "no clip of test was timed"
    for split in splits.values():
        assert list(split["blocks"]) == bins(SETTINGS.block_edges)
        assert split["all"]["samples"] == sum(each["samples"] for each in split["blocks"].values())
    assert splits["test"]["samples"]["in"] == 0 and splits["test"]["all"] == {"samples": 0}


def test_a_model_that_changes_nothing_scores_as_the_mosaicked_clip(dataset: Path, tmp_path: Path) -> None:
    # With all degradations.
    means = run(dataset, tmp_path / "out", data=DataSettings(size=SIDE))["splits"]["val"]["all"]
    for area in ("region", "frame"):
        assert list(means[area]) == METHODS
        assert means[area]["restored"] == means[area]["mosaicked"]


def test_means_are_means_over_the_samples(dataset: Path, tmp_path: Path) -> None:
    found = run(dataset, tmp_path / "out")["splits"]["val"]
    samples = [
        fixed_sample(clip, DATA, frames=SETTINGS.frames, seed=0)
        for clip in read_clips(dataset / "val")
        if clip.key in {"b", LONG}
    ]
    groups = {"below 4": (0, 4), "4 to 8": (4, 8), "8 and more": (8, math.inf)}
    for name, (low, high) in {"all": (0, math.inf), **groups}.items():
        chosen = [sample for sample in samples if low <= sample.block < high]
        means = found["all"] if name == "all" else found["blocks"][name]
        assert means["samples"] == len(chosen)
        for area in ("region", "frame") if chosen else ():
            values = [measure({"": one.mosaicked}, one.clean, one.mask, one.content)[""][area] for one in chosen]
            assert means[area]["mosaicked"] == {
                measured: pytest.approx(sum(np.nanmean(value[measured]) for value in values) / len(values), abs=1e-6)
                for measured in ("psnr", "ssim")
            }


def knowing_the_clean_clips(dataset: Path) -> Any:
    """Return a generator that returns the clean clips of the dataset."""
    clean = {
        sample.mosaicked.tobytes(): torch.from_numpy(sample.clean).permute(0, 3, 1, 2)[None] / 255
        for clip in read_clips(dataset / "val")
        if clip.key in {"b", LONG}
        for sample in [fixed_sample(clip, DATA, frames=SETTINGS.frames, seed=0)]
    }

    def knowing(frames: torch.Tensor) -> torch.Tensor:
        return clean[(frames[0] * 255).round().byte().permute(0, 2, 3, 1).numpy().tobytes()]

    return knowing


def test_a_perfect_model_has_the_highest_scores_and_its_pictures_are_clean(dataset: Path, tmp_path: Path) -> None:
    knowing = knowing_the_clean_clips(dataset)
    means = run(dataset, tmp_path / "out", knowing, settings=SETTINGS.model_copy(update={"pictures": 9}))["splits"]["val"][
        "all"
    ]
    assert means["region"]["restored"] == means["frame"]["restored"] == {"psnr": 60.0, "ssim": 1.0}
    assert means["region"]["mosaicked"]["psnr"] < 40
    pictures = tmp_path / "out" / "pictures"
    listed = json.loads((pictures / "pictures.json").read_text(encoding="utf-8"))
    assert [(row["sheet"], row["key"]) for row in listed] == [
        (sheet, row["key"]) for sheet in ("val", "worst") for row in listed if row["sheet"] == sheet
    ]
    assert {sheet: {row["key"] for row in listed if row["sheet"] == sheet} for sheet in ("val", "worst")} == {
        "val": {"b", LONG},
        "worst": {"b", LONG},
    }
    for row in listed:
        assert row["psnr"]["restored"] == 60 and row["split"] == "val"
        assert row["sheet"] == "worst" or f"{row['block']:05.1f}px" in row["name"]
        mosaicked, restored, original = panels(read_image(pictures / f"{row['name']}.png"))
        assert np.array_equal(restored, original) and not np.array_equal(mosaicked, original)
        video = pictures / f"{row['name']}.mp4"
        frames = [frame.image() for frame in read_frames(video, read_packets(video), range(SETTINGS.frames))]
        assert len(read_packets(video)) == len(frames) == SETTINGS.frames
        assert all(frame.shape == (SIDE, 3 * SIDE + 2 * GAP, 3) for frame in frames)


def panels(triptych: np.ndarray) -> list[np.ndarray]:
    step = SIDE + GAP
    assert (triptych[:, SIDE:step] == 255).all()
    return [triptych[:, place : place + SIDE] for place in (0, step, 2 * step)]


def test_compared_models_are_measured_on_the_same_samples_each_as_by_itself(dataset: Path, tmp_path: Path) -> None:
    seen: dict[str, list[bytes]] = {"restored": [], "darker": [], "same": []}

    def noticing(name: str, factor: float) -> Any:
        def restorer(frames: torch.Tensor) -> torch.Tensor:
            seen[name].append(frames.numpy().tobytes())
            return frames * factor

        return restorer

    generators = {name: noticing(name, factor) for name, factor in [("restored", 1), ("darker", 0.5), ("same", 1)]}
    together = run(dataset, tmp_path / "out", generators, parameters={"restored": 7})
    assert together["models"] == {"restored": {"parameters": 7}}
    assert len(seen["restored"]) == 2 and seen["restored"] == seen["darker"] == seen["same"]
    alone = run(dataset, tmp_path / "darker", lambda frames: frames * 0.5)["splits"]["val"]["all"]
    found = together["splits"]["val"]["all"]
    for area in ("region", "frame", "consistency"):
        assert list(found[area])[:6] == [*METHODS, "darker", "same"]
        assert found[area]["darker"] == alone[area]["restored"]
        assert found[area]["same"] == found[area]["restored"] == found[area]["mosaicked"]
    table = read_table(tmp_path / "out" / "frames.parquet", RestoredFrames)
    assert set(table.select("key", "source").iter_rows()) == set(SOURCES.items())
    assert table["method"].unique(maintain_order=True).to_list() == [*METHODS, "darker", "same", "clean"]


def test_a_clean_restoration_has_the_consistency_of_the_clean_clip(dataset: Path, tmp_path: Path) -> None:
    found = run(dataset, tmp_path / "out", knowing_the_clean_clips(dataset))["splits"]["val"]["all"]["consistency"]
    assert found["restored"] == {**found["clean"], "seam": 0}
    assert found["mosaicked"]["seam"] > 2


@pytest.mark.parametrize("seed", range(3))  # each another order of the clips
def test_only_the_samples_that_gain_least_are_kept_as_the_worst(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WORST_SAMPLES", 2)
    sources = {}
    for number in range(5):
        write_moving_clip(tmp_path / "dataset" / "val", f"clip {number}", 8)
        sources[f"clip {number}"] = "film"
    (tmp_path / "dataset" / "test").mkdir()
    run(tmp_path / "dataset", tmp_path / "out", lambda frames: frames * 0.9, sources=sources, seed=seed)
    pictures = tmp_path / "out" / "pictures"
    table = read_table(tmp_path / "out" / "frames.parquet", RestoredFrames)
    psnr = {
        (key, method): mean for key, method, mean in table.group_by("key", "method").agg(pl.mean("region_psnr")).iter_rows()
    }
    gains = sorted((psnr[key, "restored"] - psnr[key, "mosaicked"], key) for key in sources)
    listed = [row for row in json.loads((pictures / "pictures.json").read_text(encoding="utf-8")) if row["sheet"] == "worst"]
    assert [row["key"] for row in listed] == [key for _, key in gains[:2]]
    files = {path.name for path in (pictures / "worst").iterdir()}
    assert files == {f"{row['name']}{suffix}".removeprefix("worst/") for row in listed for suffix in module.SUFFIXES}


def test_equal_models_give_equal_files_on_any_number_of_threads(dataset: Path, tmp_path: Path) -> None:
    for threads in (1, 3):
        run(dataset, tmp_path / str(threads), threads=threads)
    one, three = (
        {
            str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*")
            # Not the speed, which is in a file of its own.
            if path.name != "speed.json" and (path.suffix in {".json", ".png", ".mp4"} or path.name == "frames.parquet")
        }
        for folder in (tmp_path / "1", tmp_path / "3")
    )
    assert one == three and len(one) == 3 + 9  # a picture, its mask and the clip of one sample and of the two worst


def test_if_no_clip_can_be_measured_the_error_gives_the_reason(dataset: Path, tmp_path: Path) -> None:
    long = SETTINGS.model_copy(update={"frames": 50})
    with pytest.raises(TesseraError, match=r"none of 4 clips could be measured.*clip shorter than the window"):
        run(dataset, tmp_path / "out", settings=long)


def test_a_dataset_without_clips_is_measured_as_empty(tmp_path: Path) -> None:
    for split in ("val", "test"):
        (tmp_path / "dataset" / split).mkdir(parents=True)
    splits = run(tmp_path / "dataset", tmp_path / "out")["splits"]
    assert {split["all"]["samples"] for split in splits.values()} == {0}
    assert json.loads((tmp_path / "out" / "pictures" / "pictures.json").read_text()) == []


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_model_that_returns_a_value_that_is_not_finite_stops_the_evaluation(
    value: float, dataset: Path, tmp_path: Path
) -> None:
    def broken(frames: torch.Tensor) -> torch.Tensor:
        restored = frames.clone()
        restored[0, 2, 1, 3, 4] = value
        return restored

    with pytest.raises(TesseraError, match=r"not finite \(NaN or infinite\)"):
        run(dataset, tmp_path / "out", broken)


def test_an_error_about_memory_names_the_setting_to_lower(dataset: Path, tmp_path: Path) -> None:
    def greedy(frames: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(TesseraError, match=r"6 frames of 64 by 64 pixels; lower `restoration\.metrics\.frames`"):
        run(dataset, tmp_path / "out", greedy)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_model_gets_rgb_in_0_to_1_and_its_output_is_clipped(dtype: type[np.integer]) -> None:
    most = int(np.iinfo(dtype).max)
    clip = np.random.default_rng(0).integers(0, most + 1, (2, 4, 8, 3), dtype)
    assert np.array_equal(restore(identity, clip), clip)

    def shift(frames: torch.Tensor) -> torch.Tensor:
        assert frames.shape == (1, 2, 3, 4, 8) and frames.dtype == torch.float32
        assert np.array_equal((frames[0, 1, 2] * most).round().numpy(), clip[1, :, :, 2])
        return frames + torch.tensor([1.0, -1.0, 0.1])[:, None, None]

    made = restore(shift, clip)
    assert made.dtype == dtype
    red, green, blue = np.moveaxis(made, 3, 0)
    assert (red == most).all() and (green == 0).all()
    assert (np.abs(blue.astype(float) - np.minimum(clip[..., 2] + 0.1 * most, most)) <= 0.51).all()
