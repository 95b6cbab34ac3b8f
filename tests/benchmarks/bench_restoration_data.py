"""The speed of drawing samples of clips, compared with an obvious loop and with the needs of a training."""

import itertools
import multiprocessing
import os
import resource
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import skimage.data
from timing import seconds

from restoration_clips import write_clip
from tessera.core.seeds import generator
from tessera.imaging.degradation.operations import gaussian_kernel
from tessera.imaging.degradation.settings import Step
from tessera.imaging.mosaic.blocks import Mosaic
from tessera.imaging.mosaic.drawing import draw_mosaic
from tessera.records.lada.clips import Clip, read_clips
from tessera.stages.clips.settings import ClipSettings
from tessera.stages.restoration.loading import Order, TrainingSamples, training_loader
from tessera.stages.restoration.samples import draw_sample
from tessera.stages.restoration.settings import DataSettings

FRAMES = 30
BATCH, STEP, WORKERS = 2, 0.25, 4
STEPS = 30
SIDES = 256, 512  # sides of clips for samples of 256 pixels
DRAWS = 12
EARLIER, FASTER = "262cdd7", 1.6  # the commit that is compared with, and how many times as fast samples are
SHAPES = (240, 60), (384, 120), (512, 180)  # sides and frames of the clips of the comparison
STORED = ClipSettings()
# The encoders and options of Lada. Its bit rates correspond to our qualities, see `RESTORATION`.
PLAIN_CODECS = {
    "x264": ("libx264", {"preset": "veryfast"}, None),
    "x265": ("libx265", {"preset": "veryfast", "x265-params": "log-level=none"}, None),
    "vp9": ("libvpx-vp9", {}, (6_000, 16_000)),
    "mpeg2": ("mpeg2video", {}, (18_000, 40_000)),
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    folder = tmp_path_factory.mktemp("dataset")
    for side in SIDES:
        write_footage(folder, side)
    return read_clips(folder)


def write_footage(folder: Path, side: int, count: int = 240, crf: int = STORED.crf, preset: str = STORED.preset) -> None:
    """Write a clip of `count` frames as the workflow stores it: crops of `side` pixels that follow a region.

    The footage is a photograph, filmed by a camera that rotates and zooms, with sensor noise.
    """
    height, width = side + 300, side + 500
    photograph = cv2.resize(skimage.data.coffee(), (width, height), interpolation=cv2.INTER_CUBIC)
    random = np.random.default_rng(0)
    frames, masks, crops = [], [], []
    for number in range(count):
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), 3 * np.sin(number / 9), 1.2 + 0.1 * np.sin(number / 11))
        shown = cv2.warpAffine(photograph, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)
        frames.append(np.clip(shown + random.normal(0, 2, shown.shape), 0, 255).astype(np.uint8))
        x, y = side // 2 + 10 + 2 * number, side // 2 + 10 + number
        masks.append(np.zeros((height, width), np.uint8))
        cv2.ellipse(masks[-1], (x, y), (side // 4, side // 5), 20, 0, 360, 255, -1)
        crops.append((x - side // 2, y - side // 2, x + side // 2 - number % 3, y + side // 2 - number % 5))
    write_clip(folder, f"film-{side:07d}-000", frames, masks, crops, quality=crf, preset=preset)


def plain_sample(clip: Clip, settings: DataSettings, folder: Path, *, seed: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the mosaicked and the clean sample, computed in the obvious way."""
    rng = generator(seed, "restoration", f"{clip.key}\0{epoch}")
    first = int(rng.permutation(clip.frames - FRAMES + 1)[0])
    images, masks = plain_read(clip.images, first, "rgb24"), plain_read(clip.masks, first, "gray")
    areas = [(mask > 0).sum() for mask in masks]
    mosaic = draw_mosaic(rng, masks[np.argsort(areas, kind="stable")[FRAMES // 2]], settings.mosaics, clip.frame)
    assert clip.corners is not None
    mosaicked = []
    for number, (image, mask) in enumerate(zip(images, masks, strict=True), first):
        top, bottom, left, right = clip.pads[number].tolist()
        window = slice(top, image.shape[0] - bottom), slice(left, image.shape[1] - right)
        result = image.copy()
        result[window] = plain_mosaic(image[window], mask[window], mosaic, *(-clip.corners[number]).tolist())
        mosaicked.append(result)
    size = (settings.size,) * 2
    clean = [cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in images]
    mosaicked = [cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in mosaicked]
    for step in settings.degradations:
        mosaicked = plain_degrade(mosaicked, step, folder, rng)
    for number in range(FRAMES):
        pads = clip.pads[first + number] * (np.repeat(size, 2) / np.repeat(clip.shape, 2))
        top, bottom, left, right = np.ceil(pads).astype(int).tolist()
        for image in (mosaicked[number], clean[number]):
            image[:top] = image[size[1] - bottom :] = image[:, :left] = image[:, size[0] - right :] = 0
    if rng.random() < settings.flip:
        mosaicked, clean = [image[:, ::-1] for image in mosaicked], [image[:, ::-1] for image in clean]
    if rng.random() < settings.rotate:
        middle = (settings.size - 1) / 2
        matrix = cv2.getRotationMatrix2D((middle, middle), rng.uniform(-settings.angle, settings.angle), 1)
        mosaicked, clean = ([cv2.warpAffine(image, matrix, size) for image in images] for images in (mosaicked, clean))
    return np.stack(mosaicked), np.stack(clean)


def plain_read(path: Path, first: int, form: str) -> list[np.ndarray]:
    """Return the frames of the window, after decoding all earlier frames."""
    with av.open(str(path)) as container:
        frames = container.decode(video=0)
        return [frame.to_ndarray(format=form) for _, frame in zip(range(first + FRAMES), frames, strict=False)][first:]


def plain_mosaic(image: np.ndarray, mask: np.ndarray, mosaic: Mosaic, x: int, y: int) -> np.ndarray:
    """Return the same as `pixelate`, block by block, with a corner of a block at `x` and `y`."""
    height, width = mask.shape
    result, hard = image.copy(), np.zeros_like(mask)
    for top in range(y % mosaic.height - mosaic.height, height, mosaic.height):
        for left in range(x % mosaic.width - mosaic.width, width, mosaic.width):
            window = slice(max(top, 0), max(top + mosaic.height, 0)), slice(max(left, 0), max(left + mosaic.width, 0))
            block = image[window]
            middle = (
                min(max(top + mosaic.height // 2, 0), height - 1),
                min(max(left + mosaic.width // 2, 0), width - 1),
            )
            if block.size and mask[middle]:
                result[window] = image[middle] if mosaic.type == "squa_mid" else np.rint(block.mean(axis=(0, 1)))
                hard[window] = 255
    if mosaic.feather:
        share = cv2.blur(mask, (mosaic.feather, mosaic.feather))[..., None] / 255 * (hard > 0)[..., None]
        result = np.rint(image * (1 - share) + result * share).astype(np.uint8)
    return result


def plain_degrade(images: list[np.ndarray], step: Step, folder: Path, rng: np.random.Generator) -> list[np.ndarray]:
    """Return `images` after a step, with codecs through a file."""
    if rng.random() >= step.probability:
        return images
    if step.one_of:
        weights = np.array([choice.probability for choice in step.one_of])
        step = step.one_of[rng.choice(len(weights), p=weights / weights.sum())]
    if step.blur:
        kernel = gaussian_kernel(step.blur.sizes[0], *[rng.uniform(*step.blur.sigma)] * 2, 0)
        return [cv2.filter2D(image, -1, kernel) for image in images]
    if step.gaussian_noise:
        sigma = rng.uniform(*step.gaussian_noise.sigma)
        return [np.rint(image + rng.normal(0, sigma, image.shape)).clip(0, 255).astype(np.uint8) for image in images]
    codec, options, rates = PLAIN_CODECS[step.name]
    path = str(folder / "video.mkv")
    with av.open(path, "w") as container:
        if rates:
            stream = container.add_stream(codec, rate=1, options=options)
            stream.bit_rate = int(rng.integers(*rates, endpoint=True))
        else:
            quality = rng.integers(*getattr(step, step.name).crf, endpoint=True)
            stream = container.add_stream(codec, rate=1, options=options | {"crf": str(quality)})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
        container.mux(stream.encode())
    with av.open(path) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_samples_5_times_as_fast_as_an_obvious_loop(clips: list[Clip], tmp_path: Path) -> None:
    upright, settings = DataSettings(degradations=(), flip=0, rotate=0), DataSettings()
    cv2.setNumThreads(1)
    spent = []
    for clip in clips:
        for epoch in range(4):
            ours = draw_sample(clip, upright, frames=FRAMES, seed=0, epoch=epoch)
            plain, clean = plain_sample(clip, upright, tmp_path, seed=0, epoch=epoch)
            assert np.abs(ours.mosaicked.astype(int) - plain)[ours.content > 0].max() <= 1
            assert np.abs(ours.clean.astype(int) - clean)[ours.content > 0].max() <= 1
        plainly, taken = seconds(
            lambda clip=clip: [plain_sample(clip, settings, tmp_path, seed=0, epoch=epoch) for epoch in range(DRAWS)],
            lambda clip=clip: [draw_sample(clip, settings, frames=FRAMES, seed=0, epoch=epoch) for epoch in range(DRAWS)],
            repeats=2,
        )
        spent.append((plainly, taken))
        print(
            f"\n{FRAMES} frames of a clip of {clip.shape[0]} by {clip.shape[1]}: {taken / DRAWS:.2f} s a sample,"
            f" {plainly / taken:.1f} times as fast as an obvious loop"
        )
    plainly, taken = map(sum, zip(*spent, strict=True))
    print(f"all of them: {plainly / taken:.1f} times (floor: 5)")
    assert plainly / taken >= 5


# Draws the samples that it is asked for. The answers are the CPU seconds, the window, the size of the blocks, and how far the
# mosaicked pictures are from the clean ones. Both commits get the same strength of noise, because its default was different.
DRAWER = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import cv2
try:
    from tessera.stages.restoration.samples import draw_sample
    from tessera.stages.restoration.settings import DataSettings
    from tessera.records.lada.clips import read_clips
except ImportError:  # before the library was divided into floors
    from tessera.restoration.clips import read_clips
    from tessera.restoration.samples import draw_sample
    from tessera.restoration.settings import DataSettings
cv2.setNumThreads(1)
clips = read_clips(Path(sys.argv[2]))
chain = DataSettings().model_dump()["degradations"]
for step in chain:
    if "gaussian_noise" in step:
        step["gaussian_noise"]["sigma"] = (0.8, 0.8)
settings = DataSettings(degradations=chain)
for line in sys.stdin:
    number, epoch = map(int, line.split())
    start = time.process_time()
    sample = draw_sample(clips[number], settings, frames=int(sys.argv[3]), seed=0, epoch=epoch)
    taken = time.process_time() - start
    apart = cv2.PSNR(*(layer.reshape(-1, 256, 3) for layer in (sample.mosaicked, sample.clean)))
    print(taken, sample.first, sample.block, apart, flush=True)
"""


def test_samples_faster_than_at_an_earlier_commit(tmp_path: Path) -> None:
    """Of clips of 60 to 180 frames and 240 to 512 pixels, as each commit stores them, by two processes in turn."""
    root = Path(__file__).parents[2]
    archive = subprocess.run(["git", "archive", EARLIER, "src"], cwd=root, capture_output=True, check=False)
    if archive.returncode:
        pytest.skip(f"the history of this copy does not contain {EARLIER}")
    subprocess.run(["tar", "-x", "-C", tmp_path], input=archive.stdout, check=True)
    for side, count in SHAPES:
        write_footage(tmp_path / "now", side, count)
        write_footage(tmp_path / "before", side, count, crf=14, preset="superfast")
    spent = np.zeros((2, len(SHAPES)))
    apart: list[list[float]] = [[], []]
    with ExitStack() as stack:
        drawers = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", DRAWER, source, tmp_path / clips, str(FRAMES)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for source, clips in ((tmp_path / "src", "before"), (root / "src", "now"))
        ]
        for epoch, clip in itertools.product(range(DRAWS + 1), range(len(SHAPES))):
            drawn = []
            for which, drawer in enumerate(drawers):
                assert drawer.stdin
                assert drawer.stdout
                print(clip, epoch, file=drawer.stdin, flush=True)
                taken, *mosaic, noise = map(float, drawer.stdout.readline().split())
                drawn.append(mosaic)
                apart[which].append(noise)
                spent[which, clip] += taken * (epoch > 0)  # the first sample also imports
            assert drawn[0] == drawn[1]
        for drawer in drawers:
            drawer.communicate()
    # The random numbers of noise, and of what follows it, are others; the clips are encoded with other settings.
    before, now = np.array(apart)
    print(f"\nmosaicked and clean pictures: {now.mean():.2f} dB, before {before.mean():.2f} dB")
    assert abs(now.mean() - before.mean()) < 0.3
    assert abs(now.std() - before.std()) < 0.3
    for (side, count), (before, now) in zip(SHAPES, spent.T / DRAWS, strict=True):
        print(
            f"\n{count} frames of {side} pixels: {now:.3f} s of a core a sample, {before / now:.2f} times as fast as {EARLIER}"
        )
    before, now = spent.sum(axis=1)
    print(f"all of them: {before / now:.2f} times (floor: {FASTER})")
    assert before / now >= FASTER


def draw(clip: Clip, epoch: int) -> float:
    """Draw a sample, and return its CPU seconds."""
    start = time.process_time()
    draw_sample(clip, DataSettings(), frames=FRAMES, seed=0, epoch=epoch)
    return time.process_time() - start


def test_4_workers_feed_a_step_of_a_quarter_of_a_second(clips: list[Clip]) -> None:
    cores, wanted = min(WORKERS, multiprocessing.cpu_count()), BATCH / STEP
    cv2.setNumThreads(1)  # before the fork: threads of OpenCV do not survive it, and children would wait for them
    by_all = {}
    for clip in clips:
        with ProcessPoolExecutor(cores, multiprocessing.get_context("fork")) as pool:
            start = time.monotonic()
            taken = list(pool.map(draw, [clip] * 4 * DRAWS, range(4 * DRAWS)))
            together = len(taken) / (time.monotonic() - start)
        by_all[clip.shape[0]] = together / cores * WORKERS
        print(
            f"\nclips of {clip.shape[0]} by {clip.shape[1]}: {sum(taken) / len(taken):.2f} s of a core a sample;"
            f" {together:.1f} samples a second by {cores} workers, one to a core, so {by_all[clip.shape[0]]:.1f} by {WORKERS}"
            f" (needed: {wanted:g}, batches of {BATCH} in steps of {STEP:g} s)"
        )
    assert by_all[256] >= wanted


def test_the_loader_leaves_a_training_little_to_wait_for(clips: list[Clip]) -> None:
    workers = min(WORKERS, multiprocessing.cpu_count())
    step = STEP * WORKERS / workers
    cv2.setNumThreads(1)  # as above
    for clip in clips:
        before, waited = of_children(), 0.0
        batches = iter(training_loader(TrainingSamples([clip], DataSettings(), FRAMES, 0), Order(1, 0), BATCH, workers))
        next(batches)
        for _ in range(STEPS):
            time.sleep(step)
            start = time.monotonic()
            next(batches)
            waited += time.monotonic() - start
        del batches  # this also ends the workers
        # The time of samples that were loaded in advance counts for the others.
        taken = (of_children() - before) / (STEPS + 1)
        print(
            f"\nclips of {clip.shape[0]} by {clip.shape[1]}: {taken:.2f} s of a core a batch of {BATCH}, of which {WORKERS}"
            f" workers have {WORKERS * STEP:g}; here {workers} workers in steps of {step:g} s were waited for in"
            f" {waited / (waited + STEPS * step):.1%} of the time, on a machine with {os.getloadavg()[0]:.1f} busy processes"
        )
        if clip.shape[0] == 256:
            assert taken < WORKERS * STEP


def of_children() -> float:
    """Return the CPU seconds of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
