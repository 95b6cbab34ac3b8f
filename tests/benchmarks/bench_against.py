"""Compare CPU time, memory and bytes with an older checkout: `python tests/benchmarks/bench_against.py CHECKOUT/src [RUN …]`.

CPU time is that of a process from its start to its end, with its imports; the least of a few runs, in turns. For `make bench`,
set AGAINST=CHECKOUT/src. A checkout is made by `git worktree add --detach CHECKOUT COMMIT`. It must have the modules that are
imported here: from before the packages moved to `stages`, run the benchmark of that commit.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from fractions import Fraction
from functools import partial
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from types import SimpleNamespace
from typing import NamedTuple
from zlib import crc32

import cv2
import numpy as np

RATE, SECONDS, REPEATS = 30, 10, 3
RESTORED_SECONDS = 60  # of the film that is restored
HEIGHT, WIDTH = 1080, 1920
IMAGE_SIZE = 160  # of the detector of the demo
STRIDE = 2  # as in the demo
SHAPES = (240, 60), (384, 120), (470, 150), (512, 180)  # sides and frames of the clips that are sampled
EPOCHS = 15
TESTS = Path(__file__).parents[1]
COMPARED = "*.parquet", "images/*", "masks/*", "digest", "videos/*.mp4", "comparisons/*", "sheets/*"


def frames(*, shows: bool) -> Iterator[np.ndarray]:
    """Yield frames of a moving camera, with grain; if `shows`, four fifths of them with a disc of `make_dataset`."""
    import skimage.data

    large = cv2.resize(skimage.data.coffee(), (WIDTH * 3 // 2, HEIGHT * 3 // 2), interpolation=cv2.INTER_CUBIC)
    noise = np.random.default_rng(0).normal(0, 2, (HEIGHT + 64, WIDTH + 64, 1)).astype(np.int16)
    for number in range(RATE * SECONDS):
        x, y = (int(side * (0.25 + 0.2 * np.sin(number / 50))) for side in (WIDTH, HEIGHT))
        image = large[y : y + HEIGHT, x : x + WIDTH].copy()
        if shows and number % (5 * RATE) < 4 * RATE:
            cv2.circle(image, (WIDTH // 2 + number % 200, HEIGHT // 2), HEIGHT // 6, (40, 220, 255), -1)
        grain = noise[number * 7 % 64 :, number * 13 % 64 :][:HEIGHT, :WIDTH]
        yield (image + grain).clip(0, 255).astype(np.uint8)


def prepare(folder: Path) -> None:
    """Write all inputs to `folder`, and train a detector."""
    from bench_restoration_data import write_footage
    from bench_restored import write_case
    from imageio_ffmpeg import get_ffmpeg_exe

    from tessera.imaging.encode import write_video
    from tessera.learning.detection.offline import offline
    from yolo_dataset import make_dataset

    dataset = make_dataset(folder / "discs", 64, 8, IMAGE_SIZE)
    offline()
    from ultralytics import YOLO

    options = {"imgsz": IMAGE_SIZE, "batch": 8, "nbs": 8, "warmup_epochs": 1, "seed": 0, "workers": 0, "device": "cpu"}
    model = YOLO("yolo11n-seg.yaml")
    text = f"path: {dataset}\n" + (dataset / "dataset.yaml").read_text()
    (dataset / "dataset.yaml").write_text(text)
    model.train(data=dataset / "dataset.yaml", epochs=30, project=folder, name="run", plots=False, val=False, **options)
    (folder / "run/weights/last.pt").rename(folder / "detector.pt")
    for name in ("clips", "nothing"):
        (folder / name).mkdir()
        write_video(folder / f"{name}.mp4", frames(shows=name == "clips"), RATE)
        # With frames that no other refers to, as most footage has them.
        command = [get_ffmpeg_exe(), "-v", "error", "-i", folder / f"{name}.mp4", "-c:v", "libx264", "-crf", "21"]
        subprocess.run([*command, folder / name / "film.mp4"], check=True)
    for side, count in SHAPES:
        write_footage(folder / "samples", side, count)
    (folder / "restoring").mkdir()
    write_case(folder / "restoring", WIDTH, HEIGHT, RESTORED_SECONDS)


def clips(folder: Path, out: Path) -> None:
    """Cut clips out of the film in `folder`, as the rule `make_clips` does."""
    from clip_shards import ClipShard
    from tessera.core.ledger import Ledger
    from tessera.core.provenance import sha256_file
    from tessera.imaging.mosaic.drawing import block_sizes
    from tessera.learning.detection.tracking import TrackSettings, track
    from tessera.stages.clips.cut import cut_clips
    from tessera.stages.clips.detect import VideoDetectionSettings, detect_videos
    from tessera.stages.clips.find import find_scenes
    from tessera.stages.clips.settings import ClipSettings
    from tessera.stages.clips.tracks import SceneSettings

    shard = ClipShard(out / "shard")  # by the library that reads it
    shard.folder.mkdir()
    shard.source("film", folder / "film.mp4", average_rate=float(RATE), frames=RATE * SECONDS)
    shard.write()
    with Ledger(out / "admission.jsonl") as entries:
        entries.row("film", "ok")
    weights, sources = folder.with_name("detector.pt"), shard.folder / "sources.parquet"
    of = SimpleNamespace(**{name: out / f"{name}.parquet" for name in ("frames", "detections", "scenes", "scene_frames")})
    settings = VideoDetectionSettings(stride=STRIDE, image_size=IMAGE_SIZE)
    detected = {"frames": of.frames, "detections": of.detections, "ledger": out / "detections.jsonl"}
    digest = sha256_file(weights)
    detect_videos(
        sources, out / "admission.jsonl", weights, digest, None, settings, out / "videos", code="", threads=2, **detected
    )
    found = {"scenes": of.scenes, "scene_frames": of.scene_frames, "ledger": out / "scenes.jsonl", "threads": 2}
    find_scenes(of.frames, of.detections, partial(track, settings=TrackSettings()), SceneSettings(), 0, **found)
    cut = {"clips": out / "clips", "images": out / "images", "masks": out / "masks", "ledger": out / "ledger.jsonl"}
    tables = of.scenes, of.scene_frames, sources
    arguments = {"detector": digest, "scene_settings": "", "seed": 0, "code": "", "threads": 2}
    cut_clips(*tables, out / "kept", ClipSettings(), block_sizes, **arguments, **cut)


def samples(folder: Path, out: Path) -> None:
    """Draw samples of the clips in `folder`, as a worker of a training does."""
    from tessera.records.lada.clips import read_clips
    from tessera.stages.restoration.samples import draw_sample
    from tessera.stages.restoration.settings import DataSettings

    cv2.setNumThreads(1)
    sums = []
    for epoch in range(EPOCHS):
        for clip in read_clips(folder):
            sample = draw_sample(clip, DataSettings(), frames=30, seed=0, epoch=epoch)
            layers = sample.mosaicked, sample.clean, sample.mask, sample.content
            sums += [crc32(np.ascontiguousarray(layer)) for layer in layers]  # faster than a secure digest
    (out / "digest").write_text(str(sums))


def restoring(folder: Path, out: Path) -> None:
    """Restore the film in `folder`, as the rule `restore_videos` does, by a model that takes no time."""
    from tessera.core.ledger import Ledger
    from tessera.imaging.crops import CropSettings
    from tessera.stages.restore.methods import ClipModel
    from tessera.stages.restore.restored import restore_videos
    from tessera.stages.restore.settings import RestoreSettings

    with Ledger(out / "found.jsonl") as book:
        book.row("film", "ok")
    inputs = [*(folder / f"{name}.parquet" for name in ("sources", "scenes", "scene_frames")), out / "found.jsonl"]
    made = {name: out / name for name in ("videos", "comparisons", "sheets", "ledger")}
    how = {"settings": RestoreSettings(), "crops": CropSettings()}
    restore_videos(
        *inputs, ClipModel(lambda clip: clip), out / "kept", cache_key="", size=256, keep_aspect=False, **how, **made
    )


def needed(folder: Path, out: Path) -> None:
    """Print the CPU seconds of decoding the film in `folder`, and of encoding what the newest run of `restoring` made."""
    from tessera.imaging.video import open_video, read_packets
    from tessera.imaging.video_copy import Encoding, PictureWriter, form_of

    made = max(out.parent.glob("restoring*"), key=os.path.getmtime)
    spent = 0.0
    for path in (folder / "film.mp4", *made.glob("videos/film.*"), *made.glob("comparisons/film.*")):
        packets, start = read_packets(path), time.process_time()
        with open_video(path, 2) as (container, _):
            pictures = list(container.decode(video=0))
        if path.parent != folder:
            form = form_of(path, packets, pictures[0], Encoding(), packets.time_base, Fraction(RATE))
            start = time.process_time()
            with PictureWriter(out / f"{path.parent.name}.nut", form, Encoding()) as writer:
                for picture, pts in zip(pictures, packets.pts.tolist(), strict=True):
                    writer.write(picture, pts)
        spent += time.process_time() - start
    print(spent)


class Run(NamedTuple):
    """What a run took and made: CPU seconds, GiB at its peak, digests of its files, and what it printed last."""

    cpu: float
    memory: float
    made: dict[str, str]
    said: str


def run(work: Callable[[Path, Path], None], src: Path, name: str, folder: Path) -> Run:
    """Run `work` in a process of its own, with the library in `src`, on the inputs `name` in `folder`."""
    out = Path(mkdtemp(prefix=f"{work.__name__} ", dir=folder))
    paths = os.pathsep.join(map(str, (src, TESTS, TESTS / "benchmarks")))
    command = [sys.executable, __file__, "--run", work.__name__, folder / name, out]
    # Compiled modules are kept, as they usually are: otherwise compiling PyTorch would take half of the time.
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": ""}
    with (out / "said").open("w+") as said:
        process = subprocess.Popen(command, env=environment, stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        said.seek(0)
        text = said.read()
    assert status == 0, text
    files = [path for kind in COMPARED for path in out.glob(kind)]
    made = {str(path.relative_to(out)): sha256(path.read_bytes()).hexdigest() for path in files}
    *_, said, memory = ["", *text.splitlines()]
    return Run(used.ru_utime + used.ru_stime, float(memory), made, said)


def compare(older: Path, folder: Path, only: Collection[str] = ()) -> list[str]:
    """Print how the library compares with that in `older`; return what misses a ceiling. `only`: the runs, or all."""
    prepare(folder)
    missed = []
    for name, (work, other, ceiling, most) in RUNS.items():
        if only and name not in only:
            continue
        # The older checkout or, for restoring, what cannot be saved, which encodes the results of the run before it.
        turns = [(work, TESTS.parent / "src"), (other, TESTS.parent / "src" if other is needed else older)]
        made = [[run(*each, name, folder) for each in turns] for _ in range(REPEATS)]
        spent, least = (min(each.cpu for each in runs) for runs in zip(*made, strict=True))
        told = "before"
        if other is needed:
            least, told = min(float(each.said) for _, each in made), "for one decode and both encodes"
        now, before = made[0]
        is_same = other is needed or now.made == before.made != {}
        memory = max(each.memory for each, _ in made)
        print(
            f"\n{name}: {spent:.2f} s of a core, {least:.2f} {told}, ratio {spent / least:.3f} (ceiling: {ceiling});"
            f" {memory:.2f} GiB (ceiling: {most}){'' if is_same else '; OTHER FILES'}",
            flush=True,
        )
        missed += [name] * (spent > ceiling * least or memory > most or not is_same)
    return missed


# By the name of its inputs: the run, what it is compared with, the largest ratio to it, and the most memory, GiB.
RUNS = {
    "clips": (clips, clips, 0.65, 1.5),
    "nothing": (clips, clips, 0.5, 0.9),
    "samples": (samples, samples, 0.75, 0.4),
    "restoring": (restoring, needed, 1.3, 0.9),
}


def test_less_time_than_an_older_checkout(tmp_path: Path) -> None:
    import pytest  # not by the runs

    if "AGAINST" not in os.environ:
        pytest.skip("set AGAINST=CHECKOUT/src, the library of an older checkout: see the top of this file")
    assert not compare(Path(os.environ["AGAINST"]), tmp_path)


if __name__ == "__main__":
    if sys.argv[1] == "--run":
        # As in a job: what only development has is not imported by pandera; and the module of jobs comes first.
        sys.modules["hypothesis"] = None  # type: ignore[assignment]
        from memory import largest_memory

        import tessera.core.job  # noqa: F401

        globals()[sys.argv[2]](*map(Path, sys.argv[3:]))
        print(largest_memory() / 2**30)
    else:
        sys.path.append(str(TESTS))
        with TemporaryDirectory() as made:
            sys.exit(", ".join(compare(Path(sys.argv[1]), Path(made), sys.argv[2:])) or None)
