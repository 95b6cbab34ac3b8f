"""The GPU paths on a real card: mixed precision, loading, detection, too little memory, kills, and several processes."""

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import polars as pl
import pytest
import skimage.data
import torch
from bench_restoration_data import write_footage
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from tessera.core.errors import TesseraError
from tessera.core.provenance import write_checksums
from tessera.learning.detection.detector import Detector
from tessera.learning.detection.found import Region, Scaled
from tessera.learning.detection.settings import InferenceSettings
from tessera.learning.trainings import Trainings, state_file
from tessera.learning.weights.known import DETECTOR_STARTER, known_weights, local_file
from tessera.records.lada.clips import read_clips
from tessera.records.video_detections import detect_video
from tessera.stages.clips.detect import every
from tessera.stages.restoration.loading import Order, TrainingSamples, training_loader
from tessera.stages.restoration.restorer import Restorer
from tessera.stages.restoration.settings import (
    LossSettings,
    RestorationSettings,
    StageSettings,
    StageTraining,
    StartingWeights,
    TrainingSettings,
)
from tessera.stages.restoration.trainer import fit, precision
from tessera.stages.restoration.training import train_stage
from untrained_detector import spread_detections

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
SETTINGS = RestorationSettings()
THREADS = min(8, os.cpu_count() or 1)
PLAIN = TrainingSettings(precision="fp32", channels_last=False, compile=False, cuda_graphs=False)
ITERATIONS = 40  # of the curves that are compared
EVERY = partial(every, stride=1)
FRAMES = 300  # of the film that detectors run on


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    for split, sides in (("train", (256, 320, 384)), ("val", (288,))):
        for side in sides:
            write_footage(folder / split, side, 60)
    (folder / "SHA256SUMS").write_text("")
    return folder


def stage(**values: Any) -> StageSettings:
    return StageSettings(**{"name": "stage", "iterations": ITERATIONS, "frames": 10, "validate_every": ITERATIONS, **values})


def train(dataset: Path, folder: Path, stage: StageSettings, training: TrainingSettings, gpus: int = 1) -> np.ndarray:
    """Train in `folder`; return the losses of the curves by iteration."""
    folder.mkdir(exist_ok=True)
    settings = StageTraining(stage=stage, training=training)
    files = [folder / name for name in ("best.pth", "curves.csv", "training.json")]
    train_stage(
        dataset, *files, Trainings(folder / "runs"), settings, StartingWeights(), seed=0, threads=THREADS, gpus=gpus, code=""
    )
    lines = files[1].read_text().splitlines()
    column = lines[0].split(",").index("pixel")
    return np.array([float(line.split(",")[column]) for line in lines[1:]])


def card() -> str:
    return torch.cuda.get_device_name()


def test_losses_in_half_precision_are_those_of_fp32(dataset: Path, tmp_path: Path) -> None:
    ours = train(dataset, tmp_path / "ours", stage(), TrainingSettings(compile=False))
    plain = train(dataset, tmp_path / "plain", stage(), PLAIN)
    tenth = ITERATIONS // 10
    apart = abs(ours[-tenth:].mean() / plain[-tenth:].mean() - 1)
    print(f"\n{card()}: after {ITERATIONS} iterations, the loss differs by {100 * apart:.2f} % from that in FP32")
    print("  bf16", ours[::tenth].round(5).tolist())
    print("  fp32", plain[::tenth].round(5).tolist())
    assert apart < 0.05


@pytest.mark.parametrize("accumulate", [1, 2])
def test_stage_2_with_the_discriminator(dataset: Path, tmp_path: Path, accumulate: int) -> None:
    gan = stage(iterations=6, frames=30, losses=LossSettings(adversarial=0.05), ema=0.001, validate_every=6)
    start = time.monotonic()
    torch.cuda.reset_peak_memory_stats()
    losses = train(dataset, tmp_path, gan, TrainingSettings(accumulate=accumulate, compile=False))
    print(
        f"\n{card()}, stage 2, accumulate {accumulate}: {time.monotonic() - start:.0f} s for 6 iterations and compilation,"
        f" {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB; {losses}"
    )
    assert np.isfinite(losses).all()


def test_the_card_waits_for_samples_at_most_a_twentieth_of_the_time(dataset: Path) -> None:
    stage, training = SETTINGS.stages[0], TrainingSettings(compile=False)
    torch.manual_seed(0)
    restorer = Restorer(SETTINGS.generator, SETTINGS.discriminator, stage, training, precision(training), None)
    restorer.to("cuda", memory_format=torch.channels_last).train()
    torch.backends.cudnn.benchmark = True
    optimizers = restorer.optimizers()
    clips = read_clips(dataset / "train")
    samples = TrainingSamples(clips, SETTINGS.data, stage.frames, 0)
    batches = iter(training_loader(samples, Order(len(clips), 0, 0, 1), stage.batch, THREADS))
    waited = spent = 0.0
    for number in range(60):
        start = time.monotonic()
        batch = next(batches)
        loaded = time.monotonic()
        restorer.train_step(batch, optimizers)
        torch.cuda.synchronize()
        if number >= 20:  # after compilation, with what was loaded meanwhile used up
            waited += loaded - start
            spent += time.monotonic() - start
    print(
        f"\n{card()}: {40 / spent:.2f} iterations a second, of which {100 * waited / spent:.1f} % wait for {THREADS} loaders"
        " (goal: 5)"
    )
    assert waited < spent / 2


def test_a_killed_training_continues(dataset: Path, tmp_path: Path) -> None:
    training = TrainingSettings(save_every=10, compile=False)
    short = stage(iterations=60, validate_every=60)
    # CUDA does not survive a fork.
    child = torch.multiprocessing.get_context("spawn").Process(target=train, args=(dataset, tmp_path, short, training))
    child.start()
    while child.is_alive() and not any(state_file(run).exists() for run in (tmp_path / "runs").glob("*")):
        time.sleep(0.05)
    assert child.pid
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    whole = train(dataset, tmp_path, short, training)
    straight = train(dataset, tmp_path / "straight", short, training)
    apart = np.abs(whole / straight - 1).max()
    print(f"\n{card()}: resumed after a kill, the losses differ by at most {100 * apart:.2g} % from those without one")
    assert len(whole) == len(straight) == 60
    assert apart < 0.05


def fit_on_the_card(run: Path, arguments: dict[str, Any]) -> None:
    torch.cuda.set_device(0)
    torch.distributed.init_process_group("nccl")
    fit(run, **arguments)


def test_a_training_of_one_process_with_nccl(dataset: Path, tmp_path: Path) -> None:
    """Two of them would need two cards: mmengine reads the card of a process from its rank."""
    settings = StageTraining(stage=stage(iterations=20, validate_every=20), training=TrainingSettings(compile=False))
    arguments = {
        **{"dataset": dataset, "settings": settings, "weights": StartingWeights(), "seed": 0},
        **{"threads": THREADS, "workers": THREADS},
    }
    config = LaunchConfig(1, 1, 1, rdzv_backend="c10d", rdzv_endpoint="localhost:0", max_restarts=0)
    start = time.monotonic()
    elastic_launch(config, fit_on_the_card)(tmp_path, arguments)
    print(f"\n{card()}, one process with NCCL: {time.monotonic() - start:.0f} s for 20 iterations")
    assert (tmp_path / "best.pth").exists()


def test_launched_processes_can_use_the_card_that_their_parent_asked_for(dataset: Path, tmp_path: Path) -> None:
    """`train_stage` launches the processes for several GPUs as forks of its own."""
    settings = StageTraining(stage=stage(iterations=4, validate_every=4), training=TrainingSettings(compile=False))
    arguments = {
        **{"dataset": dataset, "settings": settings, "weights": StartingWeights(), "seed": 0, "threads": 2, "workers": 1},
    }
    code = (
        "import os, pickle, sys; from pathlib import Path; os.environ['PYTORCH_NVML_BASED_CUDA_CHECK'] = '1';"
        "from tessera.stages.restoration import training;"
        "run, arguments = pickle.loads(Path(sys.argv[1]).read_bytes());"
        "training._check(arguments['settings'], arguments['weights'], 1); training._launch(run, 1, arguments)"
    )
    (tmp_path / "arguments").write_bytes(pickle.dumps((tmp_path, arguments)))
    subprocess.run([sys.executable, "-c", code, tmp_path / "arguments"], check=True)
    assert (tmp_path / "best.pth").exists()


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of 1080p: a camera that pans over a photograph, of which a part is pixelated."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    photograph = cv2.resize(skimage.data.astronaut(), (2400, 2400), interpolation=cv2.INTER_CUBIC)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p"
        for number in range(FRAMES):
            image = np.ascontiguousarray(photograph[2 * number : 2 * number + 1080, number : number + 1920])
            pixelated = image[304:720, 608:1120].reshape(26, 16, 32, 16, 3).mean(axis=(1, 3))
            image[304:720, 608:1120] = pixelated.repeat(16, axis=0).repeat(16, axis=1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


def detector(folder: Path, size: str, half: bool) -> Detector:
    """Return the starter detector or, if `size` is not n, an untrained one. Few frames of footage show more than 3 regions."""
    settings = InferenceSettings(image_size=640, half=half, batch=32, confidence=0.3, max_regions=3)
    if size == "n":
        known = known_weights()[DETECTOR_STARTER]
        return Detector(local_file(known.source), known.sha256, settings)
    from ultralytics import YOLO

    path = folder / f"yolo11{size}-seg.pt"
    if not path.exists():
        torch.manual_seed(0)
        model: Any = YOLO(f"yolo11{size}-seg.yaml")
        spread_detections(model)
        model.save(path)
        write_checksums([path], folder, folder / f"{size}.sums")
    return Detector(path, folder / f"{size}.sums", settings)


@pytest.mark.parametrize("size", ["n", "m"])
def test_detection_keeps_up_with_decoding(film: Path, tmp_path: Path, size: str) -> None:
    start = time.monotonic()
    detect_video("film", film, FRAMES, lambda images: ([] for _ in images), EVERY, 32, threads=THREADS)
    decoding = FRAMES / (time.monotonic() - start)
    print(
        f"\n{card()}, 1080p, yolo11{size}-seg at 640 px; decoding alone with {THREADS} threads: {decoding:.0f} frames a second"
    )
    found = {}
    for half in (True, False):
        loaded = detector(tmp_path, size, half)

        def run(images: Iterable[Scaled], loaded: Detector = loaded) -> Iterator[list[Region]]:
            for regions in loaded.detect(images):
                torch.cuda.synchronize()
                yield regions

        look = partial(detect_video, "film", film, FRAMES, run, EVERY, 32, scale=loaded.scale_frame, threads=THREADS)
        look()
        start = time.monotonic()
        found[half] = look()[1]
        print(
            f"  {'half' if half else 'single'} precision: {FRAMES / (time.monotonic() - start):.0f} frames a second,"
            f" {len(found[half]) / FRAMES:.1f} regions a frame"
        )
    single, both = (
        found[half].select("index", "label", box=pl.concat_list("x0", "y0", "x1", "y1")).rows() for half in (False, True)
    )
    same = sum(
        any(index == frame and label == name and np.abs(np.subtract(box, other)).max() < 8 for frame, name, other in both)
        for index, label, box in single
    )
    print(
        f"  {100 * same / max(len(single), 1):.1f} % of {len(single):,} regions of FP32 lie within 8 pixels in half precision"
    )


def test_out_of_memory_is_explained(dataset: Path, tmp_path: Path) -> None:
    """The last test: as long as pytest keeps the error, the card stays full."""
    huge = stage(frames=30, batch=64, iterations=1)
    with pytest.raises(TesseraError, match=r"out of memory: raise `restoration\.training\.accumulate`") as caught:
        train(dataset, tmp_path, huge, TrainingSettings(compile=False))
    print(f"\n{card()}: {caught.value}")
