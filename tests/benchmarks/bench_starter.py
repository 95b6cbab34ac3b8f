"""How well mosaics that FFmpeg draws are found and restored in footage that was not trained on.

FOOTAGE names a folder with videos. DETECTOR and RESTORER name weights, by default the starter models:

    FOOTAGE=FOLDER DETECTOR=FILE.pt RESTORER=FILE.safetensors .venv/bin/python -m pytest -s \\
        -o python_files=bench_*.py -o faulthandler_exit_on_timeout=false tests/benchmarks/bench_starter.py

A part of each video, where a mosaic can be seen, is pixelated in the middle half of its time. `snakemake restore` then runs on
these videos, and on those in the folder as they are. SHEETS=FOLDER gets a picture of each restored region beside the others.
"""

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import cycle
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
import polars as pl
import pytest
import torch
from projects import REPOSITORY, Project

from tessera.core.files import readable_name
from tessera.core.provenance import sha256_file
from tessera.core.seeds import generator
from tessera.imaging.crops import Crop, CropSettings, crop_box
from tessera.imaging.encode import VideoWriter, write_video
from tessera.imaging.images import resize
from tessera.imaging.masks import decode_rle
from tessera.imaging.mosaic.restoring import NEAR
from tessera.imaging.mosaic.settings import MosaicSettings
from tessera.imaging.video import read_frames, read_packets
from tessera.learning.block_network import OFFSETS, read_network
from tessera.learning.weights.tensors import stated_size
from tessera.records.tables.scenes import SceneFrames, Scenes, VideoFrames
from tessera.records.tables.table import read_table
from tessera.stages.restoration.consistency import motion_of, warping_error
from tessera.stages.restoration.inference import restore_clip
from tessera.stages.restoration.metrics import bicubic, temporal_median
from tessera.stages.restoration.models import build_flow
from tessera.stages.restoration.restorer import load_flow

STARTER = REPOSITORY / "resources" / "starter"
SUFFIXES = {".mp4", ".mov", ".mkv", ".webm", ".avi"}
SECONDS = 4  # of each video that is pixelated
PLACES = 50  # of which the first is taken where a mosaic can be seen
VISIBLE = 0.75  # the least share of blocks that change by `mosaics.min_change`, in the middle frame;
SEEN = 0.5  # and in others, which may show something else there
FOUND = 0.5  # the least IoU of what was found in a frame with what is pixelated there
MEDIAN_FRAMES = 5
BATCH = 8  # frames in which mosaics are looked for together
WINDOW = 48  # frames that are restored together
SIDE = 256  # pixels, of the samples of restorers


@dataclass(frozen=True)
class Case:
    """How a video is pixelated: height of its frames, side of a block, rate factor of x264, and whether the edge is soft."""

    height: int
    block: int
    crf: int
    soft: bool


CASES = (
    Case(480, 8, 18, False),
    Case(480, 16, 28, True),
    Case(720, 12, 28, False),
    Case(720, 24, 18, True),
    Case(1080, 16, 28, False),
    Case(1080, 32, 18, True),
)


@dataclass
class Film:
    """A pixelated video, its clean original, and the box that is pixelated between two times."""

    case: Case
    mosaicked: Path
    clean: Path
    box: tuple[int, int, int, int]  # x0, y0, x1, y1 in pixels
    begin: float  # seconds
    end: float


def ffmpeg(*arguments: object) -> str:
    """Run FFmpeg and return what it says."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-y", *map(str, arguments)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    return ran.stderr


def seconds(path: Path) -> float:
    time = read_packets(path).time
    return float(time[-1] + time[1] - time[0])


def visible_share(region: np.ndarray, block: int) -> float:
    """Return in what share of the blocks of `region`, uint8 (H, W, 3), a mosaic of blocks of `block` pixels can be seen."""
    rows, columns = (side // block for side in region.shape[:2])
    blocks = region[: rows * block, : columns * block].astype(float).reshape(rows, block, columns, block, 3)
    return float((np.sqrt(blocks.var(axis=(1, 3)).mean(axis=-1)) >= MosaicSettings().min_change).mean())


def place(video: Path, block: int, name: str) -> tuple[int, int, int, int]:
    """Return a random box in `video`, x, y, width and height, in whose middle frame a mosaic can be seen in most of the blocks.

    If there is none among `PLACES`, the one where it can be seen in most of them: the sky has no place for a mosaic.
    """
    packets = read_packets(video)
    middle = next(iter(read_frames(video, packets, range(len(packets) // 2, len(packets) // 2 + 1)))).image()
    height, width = middle.shape[:2]
    random = generator(0, "bench_starter", name)
    boxes = []
    for _ in range(PLACES):
        w, h = (int(side * random.uniform(0.25, 0.45)) // 2 * 2 for side in (width, height))
        x, y = (int(random.uniform(0.05, 0.95) * (side - length)) // 2 * 2 for side, length in ((width, w), (height, h)))
        boxes.append((visible_share(middle[y : y + h, x : x + w], block), (x, y, w, h)))
        if boxes[-1][0] > VISIBLE:
            break
    return max(boxes)[1]


def pixelate(video: Path, case: Case, folder: Path, name: str) -> Film:
    """Write `video` at the height of `case`, without loss, and once more with a pixelated box at a random place."""
    clean, mosaicked = folder / "clean" / f"{name}.mp4", folder / "mosaicked" / f"{name}.mp4"
    for path in (clean, mosaicked):
        path.parent.mkdir(exist_ok=True)
    scale = f"scale=-2:{case.height}:flags=bicubic,setsar=1"
    ffmpeg(
        "-t",
        SECONDS,
        "-i",
        video,
        "-an",
        "-vf",
        f"{scale},format=yuv420p",
        "-c:v",
        "libx264",
        "-qp",
        0,
        "-preset",
        "ultrafast",
        clean,
    )
    x, y, w, h = place(clean, case.block, name)
    length = seconds(clean)
    begin, end = 0.25 * length, 0.75 * length
    box = f"drawbox=x={x}:y={y}:w={w}:h={h}:color=white:t=fill:enable='between(t,{begin:.3f},{end:.3f})'"
    soften = f",gblur=sigma={case.block / 4:.2f}:steps=2" if case.soft else ""
    graph = (
        f"[0:v]format=gbrp,split=3[a][b][c];[b]pixelize=w={case.block}:h={case.block}:mode=avg[p];"
        f"[c]drawbox=color=black:t=fill,{box}{soften}[m];[a][p][m]maskedmerge,format=yuv420p"
    )
    ffmpeg("-i", clean, "-filter_complex", graph, "-c:v", "libx264", "-crf", case.crf, "-preset", "medium", mosaicked)
    return Film(case, mosaicked, clean, (x, y, x + w, y + h), begin, end)


def footage() -> list[Path]:
    folder = Path(os.environ["FOOTAGE"])
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and "broken" not in path.parts)
    videos = [path for path in found if path.is_file() and len(read_packets(path)) >= 24]
    assert videos, f"{folder} has no video of 24 frames or more"
    return videos


def weights(name: str, default: Path = Path()) -> dict[str, str] | None:
    path = Path(os.environ.get(name, default)).absolute()
    return {"source": str(path), "sha256": sha256_file(path)} if path.is_file() else None


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Film]:
    """Return each video in two of the cases, and at least each case once."""
    if "FOOTAGE" not in os.environ:
        pytest.skip("FOOTAGE names no folder")
    folder = tmp_path_factory.mktemp("footage")
    videos = footage()
    count = max(len(CASES), 2 * len(videos))
    pairs = zip(range(count), cycle(videos), cycle(CASES + CASES[::-1]), strict=False)
    return [pixelate(video, case, folder, f"{number:02} {video.stem}") for number, video, case in pairs]


@pytest.fixture(scope="module")
def project(films: list[Film], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a project in which the mosaics in all videos were restored."""
    detector = weights("DETECTOR", STARTER / "mosaic_detection.pt")
    assert detector, "DETECTOR names no file"
    project = Project.create(tmp_path_factory.mktemp("bench") / "project")
    rows = [{"source": f"mosaicked {film.mosaicked.stem}", "path": str(film.mosaicked), "use": "restore"} for film in films]
    rows += [{"source": f"clean {path.stem}", "path": str(path), "use": "restore"} for path in footage()]
    project.write_manifest(rows)
    project.settings = {
        "shards": 1,
        "restore": {"weights": weights("RESTORER") or "starter", "detect": {"weights": detector}, "quantizer": 0},
    }
    ran = project.run("restore", timeout=7200)
    assert ran.returncode == 0, ran.output[-3000:]
    return project


@cache
def found(project: Path) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Return the scenes, their frames with the source of each, and all frames."""
    folder = project / "results" / "restored" / "shard-0"
    scenes = read_table(folder / "scenes.parquet", Scenes)
    columns = scenes.select("key", "source", "width", "height")
    frames = read_table(folder / "scene_frames.parquet", SceneFrames).join(columns, on="key")
    return scenes, frames, read_table(folder / "frames.parquet", VideoFrames)


def test_mosaics_are_found(films: list[Film], project: Project) -> None:
    _, frames, all_frames = found(project.folder)
    lines, hits, shown, claimed = [], 0, 0, 0
    found_where_seen: list[bool] = []
    for film in films:
        source = f"mosaicked {film.mosaicked.stem}"
        x0, y0, x1, y1 = film.box
        own = [0, 0, 0]  # frames in which the mosaic was found, that show it, in which something was found
        originals = iter(crops(film.clean, film))
        for row in all_frames.filter(source=source).iter_rows(named=True):
            is_shown = film.begin <= row["time"] <= film.end
            codes = frames.filter(source=source, index=row["index"])["rle"]
            mask = np.zeros((row["height"], row["width"]), bool)
            for code in codes:
                mask |= decode_rle(code, *mask.shape) > 0
            inside = mask[y0:y1, x0:x1].sum()
            iou = inside / (mask.sum() + (x1 - x0) * (y1 - y0) - inside)
            own = [own[0] + (is_shown and iou >= FOUND), own[1] + is_shown, own[2] + bool(mask.any())]
            if is_shown and visible_share(next(originals), film.case.block) >= SEEN:
                found_where_seen.append(iou >= FOUND)
        hits, shown, claimed = hits + own[0], shown + own[1], claimed + own[2]
        lines.append(f"{source:36} {film.case}: recall {own[0] / own[1]:.2f}, precision {own[0] / max(own[2], 1):.2f}")
    print("\n" + "\n".join(lines))
    recall, precision = hits / shown, hits / max(claimed, 1)
    print(f"by frame: recall {recall:.3f} (floor: 0.90), precision {precision:.3f} (floor: 0.90)")
    where_seen = np.mean(found_where_seen)
    print(f"  in the {len(found_where_seen)} of {shown} frames that show half of its blocks: recall {where_seen:.3f}")
    assert recall >= 0.9 and precision >= 0.9


def test_little_is_found_in_clean_footage(project: Project) -> None:
    scenes, _, all_frames = found(project.folder)
    false = scenes.filter(pl.col("source").str.starts_with("clean "))
    times = all_frames.filter(pl.col("source").str.starts_with("clean ")).group_by("source").agg(pl.col("time").max())
    minutes = times["time"].sum() / 60
    print(f"\n{false.height} false tracks in {minutes:.2f} minutes: {false.height / minutes:.2f} a minute (ceiling: 1)")
    print(false.select("source", "first", "frames", "score", "detected"))
    assert false.height <= max(1, minutes)


def crops(path: Path, film: Film, box: Crop | None = None) -> np.ndarray:
    """Return `box`, by default the pixelated box, in the frames that show that one: uint8 (T, H, W, 3), RGB."""
    x0, y0, x1, y1 = box or film.box
    packets = read_packets(path)
    images = (frame.image() for frame in read_frames(path, packets))
    shown = [image[y0:y1, x0:x1] for image, time in zip(images, packets.time, strict=True) if film.begin <= time <= film.end]
    return np.stack(shown)


def vmaf(crop: np.ndarray, clean: np.ndarray, folder: Path) -> float:
    for name, frames in (("crop", crop), ("clean", clean)):
        write_video(folder / f"{name}.mp4", frames, 24, quality=0)
    said = ffmpeg("-i", folder / "crop.mp4", "-i", folder / "clean.mp4", "-lavfi", "libvmaf", "-f", "null", "-")
    score = re.search(r"VMAF score: ([0-9.]+)", said)
    assert score, said[-1000:]
    return float(score[1])


def psnr(crop: np.ndarray, clean: np.ndarray) -> float:
    errors = ((crop.astype(np.float64) - clean) ** 2).reshape(len(clean), -1).mean(axis=1)
    return float((10 * np.log10(255**2 / errors.clip(1e-3))).mean())


def described(values: Mapping[str, Sequence[float]]) -> str:
    return ", ".join(
        f"{name} {dB:.2f} dB, VMAF {score:.1f}, warping {warping:.2f}" for name, (dB, score, warping) in values.items()
    )


def test_restored_regions_are_closer_to_the_original(films: list[Film], project: Project, tmp_path: Path) -> None:
    videos = {path.stem: path for path in (project.results / "restored" / "shard-0" / "videos").glob("*.mp4")}
    measured: dict[str, list[tuple[float, float, float]]] = {}
    for film in films:
        clean, mosaicked = crops(film.clean, film), crops(film.mosaicked, film)
        whole = np.full(clean.shape[:3], 255, np.uint8)
        # A video in which nothing was found stays as it was.
        restored = videos.get(readable_name(f"mosaicked {film.mosaicked.stem}"), film.mosaicked)
        methods = {
            "mosaicked": mosaicked,
            "bicubic": bicubic(mosaicked, whole, whole, film.case.block),
            "temporal_median": temporal_median(mosaicked, whole, MEDIAN_FRAMES),
            "restored": crops(restored, film),
        }
        motion = motion_of(clean, whole, whole)
        values = {
            name: (psnr(frames, clean), vmaf(frames, clean, tmp_path), float(np.nanmean(warping_error(frames, motion))))
            for name, frames in methods.items()
        }
        for name, value in values.items():
            measured.setdefault(name, []).append(value)
        print(f"\n{film.case}: {described(values)}")
        sheet = np.concatenate([frames[len(frames) // 2] for frames in (*methods.values(), clean)], axis=1)
        if folder := os.environ.get("SHEETS"):
            cv2.imwrite(str(Path(folder) / f"{film.mosaicked.stem}.png"), sheet[:, :, ::-1])
    means = {name: np.mean(values, axis=0) for name, values in measured.items()}
    gains = means["restored"] - np.max([value for name, value in means.items() if name != "restored"], axis=0)
    flicker = means["restored"][2] / means["mosaicked"][2]
    print(described(means))
    print(f"restored: {gains[0]:+.2f} dB (floor: 1.0), VMAF {gains[1]:+.1f} (floor: 0) beyond the best of the others")
    print(f"restored: {flicker:.2f} times the warping error of the mosaicked input (ceiling: 1)")
    assert gains[0] >= 1 and gains[1] > 0 and flicker <= 1


def aligned(images: Sequence[np.ndarray], flows: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return `images` after `flows`, each from the frame that they are aligned with: float32 (H, W, 2), pixels."""
    rows, columns = np.indices(images[0].shape[:2], np.float32)
    return [
        cv2.remap(image.astype(np.float32), columns + flow[..., 0], rows + flow[..., 1], cv2.INTER_LINEAR, borderMode=1)
        for image, flow in zip(images, flows, strict=True)
    ]


def test_frames_are_aligned_along_the_starter_flow(films: list[Film]) -> None:
    network = build_flow()
    load_flow(network, STARTER / "optical_flow.safetensors")
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    measured: dict[str, list[tuple[float, float]]] = {}

    def flows_between(images: Sequence[np.ndarray]) -> list[np.ndarray]:
        first, *others = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in images)
        return [search.calc(first, other, None) for other in others]  # type: ignore[call-overload]

    for film in films:
        # Samples of restorers: a crop around the region, as a square.
        frame = next(iter(read_frames(film.clean, read_packets(film.clean), range(1)))).image()
        crop = crop_box(film.box, frame.shape[:2], CropSettings())
        box = np.zeros(frame.shape[:2], np.uint8)
        box[film.box[1] : film.box[3], film.box[0] : film.box[2]] = 1
        inside = resize(box[crop[1] : crop[3], crop[0] : crop[2]], SIDE, SIDE) > 0
        clean, mosaicked = (
            [resize(image, SIDE, SIDE) for image in crops(path, film, crop)] for path in (film.clean, film.mosaicked)
        )
        for middle in range(2, len(clean) - 2, 12):
            near = [middle, middle - 2, middle - 1, middle + 1, middle + 2]
            shown, wanted = ([images[number] for number in near] for images in (mosaicked, clean))
            # As the generator makes them; see `Generator.forward`.
            small = [cv2.resize(image, (SIDE // 4, SIDE // 4), interpolation=cv2.INTER_CUBIC) for image in shown]
            frames = torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2).float() / 255
            with torch.inference_mode():
                found = network(frames[:1].expand(4, -1, -1, -1), frames[1:]).permute(0, 2, 3, 1).numpy()
            ways = {
                "not aligned": [np.zeros((SIDE, SIDE, 2), np.float32)] * 4,
                "along the starter flow": [cv2.resize(flow, (SIDE, SIDE)) * 4 for flow in found],
                "along the flow of DIS": flows_between(shown),
                "along the flow of the clean frames": flows_between(wanted),
            }
            for name, flows in ways.items():
                mean = np.mean([shown[0], *aligned(shown[1:], flows)], axis=0)
                error = np.abs(np.stack(aligned(wanted[1:], flows)) - wanted[0])[:, inside].mean()
                measured.setdefault(name, []).append((psnr(mean[None, inside], wanted[0][None, inside]), float(error)))
            alone = psnr(shown[0][None, inside], wanted[0][None, inside])
            measured.setdefault("the middle frame alone", []).append((alone, 0.0))
    print()
    means = {name: np.mean(values, axis=0) for name, values in measured.items()}
    for name, (dB, error) in means.items():
        print(f"{name}: {dB:.2f} dB of the mean of five mosaicked frames, {error:.2f} levels between clean frames")
    starter, still = means["along the starter flow"], means["not aligned"]
    assert starter[0] > still[0] and starter[1] < still[1]


def restoring(restorer: Path, film: Film) -> Callable[[int], None]:
    """Return a function that runs the network `restorer` alone for as many frames of the region of `film` as it is given."""
    if network := read_network(restorer):
        x0, y0, x1, y1 = film.box
        height, width = (side // film.case.block + 2 * NEAR for side in (y1 - y0, x1 - x0))
        means = np.zeros((len(OFFSETS), height, width, 3), np.float32)

        def restore_blocks(count: int) -> None:
            for _ in range(count):
                network.restored(means)

        return restore_blocks
    size = stated_size(restorer) or 256

    def restore_clips(count: int) -> None:
        for first in range(0, count, WINDOW):
            restore_clip(np.zeros((max(2, min(WINDOW, count - first)), size, size, 3), np.uint8), restorer)

    return restore_clips


def bare_loop(film: Path, detector: Path, restore: Callable[[int], None], regions: Sequence[int], out: Path) -> float:
    """Return the seconds that the same networks take in a plain loop that reads, detects, restores and writes.

    `restore`: the result of `restoring`. `regions`: the number of frames of each region that is restored.
    """
    from ultralytics import YOLO

    model = YOLO(detector)
    start = time.monotonic()
    images = [frame.image() for frame in read_frames(film, read_packets(film))]
    for first in range(0, len(images), BATCH):
        batch = [image[:, :, ::-1] for image in images[first : first + BATCH]]
        model.predict(batch, conf=0.1, retina_masks=True, verbose=False)  # at the size that it states
    for count in regions:
        restore(count)
    with VideoWriter(out, 25, quality=18, preset="ultrafast") as writer:  # as videos are restored by default
        for image in images:
            writer.write(image)
    return time.monotonic() - start


def test_1080p_takes_little_longer_than_its_networks_in_a_plain_loop(films: list[Film], tmp_path: Path) -> None:
    detector = weights("DETECTOR", STARTER / "mosaic_detection.pt")
    restorer = weights("RESTORER", STARTER / "mosaic_restoration.safetensors")
    assert detector and restorer, "DETECTOR or RESTORER names no file"
    short = next(film for film in films if film.case.height == 1080)
    long = tmp_path / "long.mp4"
    ffmpeg("-stream_loop", 4, "-i", short.mosaicked, "-c", "copy", long)
    project = Project.create(tmp_path / "project")
    project.write_manifest([{"source": "long", "path": str(long), "use": "restore"}])
    project.settings = {"restore": {"weights": restorer, "detect": {"weights": detector}}}
    assert project.run("restore", timeout=7200).returncode == 0
    jobs = ("find_mosaics", "restore_videos")
    logs = [json.loads((project.results / "benchmarks" / job / "long.jsonl").read_text()) for job in jobs]
    taken = sum(float(log["s"]) for log in logs)
    scenes = read_table(project.results / "restored" / "long" / "scenes.parquet", Scenes)
    assert len(scenes), "nothing was found, so that nothing was restored"
    alone = restoring(Path(restorer["source"]), short)
    bare = bare_loop(long, Path(detector["source"]), alone, scenes["frames"].to_list(), tmp_path / "bare.mp4")
    print(f"\n{seconds(long):.1f} s of 1080p take {taken:.1f} s: {taken / seconds(long):.1f} times real time")
    print(f"{taken / bare:.2f} times a plain loop over the same networks (ceiling: 1.25)")
    assert taken <= 1.25 * bare
