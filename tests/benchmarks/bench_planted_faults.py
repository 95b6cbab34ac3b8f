"""Plant faults in footage like that of the demo, and count those that the queue of clips shows first. Run `make demo` first."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
from clip_tables import write_sources
from PIL import Image
from pycocotools import mask as coco

from tessera.configuration.confidences import targets_in
from tessera.configuration.read import load_configuration, read_settings
from tessera.core.ledger import Ledger
from tessera.core.provenance import sha256_file
from tessera.core.seeds import generator
from tessera.demo.footage import CLIPS, Clip
from tessera.demo.photographs import CUT_OUTS, overlay_logo
from tessera.demo.render import render_demo_footage
from tessera.extras.classifiers.predict import classify_clips, use_of
from tessera.imaging.boxes import Box
from tessera.imaging.encode import write_video
from tessera.imaging.masks import decode_rle, encode_rle
from tessera.imaging.mosaic.drawing import block_sizes
from tessera.imaging.video import read_frames, read_packets
from tessera.imaging.watermark.drawing import LEAST_MARK, Mark, blend, load_materials, make_mark
from tessera.imaging.watermark.settings import DrawSettings
from tessera.learning.detection.detector import Detector
from tessera.learning.detection.settings import TrainedDetectionSettings
from tessera.learning.detection.tracking import TrackSettings, track
from tessera.pages.review.gather import gather
from tessera.pages.review.queues.clips import ClipFolder, find_clips
from tessera.records.confidence import with_confidences
from tessera.records.limits import FilterSettings
from tessera.records.tables.clips import Clips
from tessera.records.tables.demo import DemoRegions
from tessera.records.tables.review import ReviewItems
from tessera.records.tables.scenes import SceneFrames, VideoDetections
from tessera.records.tables.table import read_table, write_table
from tessera.stages.clips.cut import cut_clips
from tessera.stages.clips.detect import VideoDetectionSettings, detect_videos
from tessera.stages.clips.find import find_scenes
from tessera.stages.clips.scoring import score_clips
from tessera.stages.clips.settings import ClipSettings
from tessera.stages.clips.tracks import SceneSettings
from tessera.stages.filters.filtering import filter_clips

WEIGHTS, EVALUATION = Path("examples/demo/results/weights"), Path("examples/demo/results/evaluation")
SEED = 1
SECONDS, WIDTH, HEIGHT = 1.5, 320, 240  # of each film; pixels
WATERMARK, LEAP, WRONG = "watermark", "mask jumps", "wrong subject"
# Films by what is planted in them. Most of those without a subject become no clips, nor do many of those with a mark on it,
# because the detector is not sure enough.
FILMS = {"": 210, WATERMARK: 32, LEAP: 12, WRONG: 120}
MATCH = 0.5  # the least intersection over union of a mask and the true region that it matches
DISTANCE = 0.5, 1.5  # the shortest and the longest leap of a mask, in sides of its box
LOOKS = 1, 8  # the least and the largest number of consecutive looks of the detector, of 18, in which its masks leap
CONTRAST = 32  # levels, of 255, by which the pixels that a mark covers change on average, so that a person sees it
FIRST = 0.2  # fraction of the queue that is decided
FLOOR = 0.8  # fraction of the faults that must be found


def test_the_first_fifth_of_the_queue_has_the_planted_faults(tmp_path: Path) -> None:
    """People who decide the first fifth of the queue find at least 80 % of the planted faults.

    The films are scenes of the demo with other paths, of its renderer. They go through the pipeline with the detectors, the
    classifier and the settings of the demo. The faults are planted before what they affect, and their strengths are drawn:

    - a watermark is drawn over a film before anything is detected in it, with its centre on the subject. Its opacity is drawn
      from the range of the demo, but again if it changes the pixels that it covers by less than `CONTRAST` levels, which a
      person may not see. It is a fault of a clip that shows a part of it halfway through.
    - a wrong subject is another cut-out, or a part of the background, that the detector takes for the subject by itself, in a
      film that shows none. Each clip of such a film is a fault.
    - the masks of the detector leap elsewhere for some looks, with its confidences, before they are tracked. It is a fault of a
      clip in which the mask of such a frame does not match the subject.

    What becomes no clip, because the detector is not sure enough of it, does no harm, and is not counted.

    A fault is found if the filters drop its clip, or if its clip is in the first fifth of the queue of all clips. The floor
    holds for all faults, and also for those that no filter drops.
    """
    assert WEIGHTS.is_dir(), "run `make demo` first"
    settings = read_demo()
    clips, planted = films()
    render_demo_footage(tmp_path / "footage", SEED, threads=2, clips=clips, stills=())
    truth = read_table(tmp_path / "footage" / "truth" / "regions.parquet", DemoRegions)
    drawing = DrawSettings(**settings["watermarks"]["draw"])
    draw = partial(make_mark, materials=load_materials(drawing), settings=drawing)
    marks = {
        source: draw_mark(tmp_path / "footage" / "videos" / f"{source}.mp4", truth.filter(source=source), draw)
        for source, kind in planted.items()
        if kind == WATERMARK
    }
    astray = make_clips(tmp_path, settings, planted)
    faults = find_faults(tmp_path, planted, marks, astray, truth)
    queue = make_queue(tmp_path, settings)
    report(queue, faults)


def read_demo() -> dict[str, Any]:
    """Return the settings of the demo, with numbers in place of confidences that are targets."""
    settings = load_configuration(read_settings(Path("examples/demo/config/config.yaml")))
    for part in ("scenes", "scores"):
        targets = targets_in(settings, part)
        measured = [EVALUATION / each["model"] / f"{name}.parquet" for each in targets for name in ("objects", "detections")]
        settings[part] = with_confidences(settings[part], part, targets, measured)
    return settings


def films() -> tuple[list[Clip], dict[str, str]]:
    """Return the films, and by source what is planted in each, in a random order."""
    random = generator(SEED, "planted faults", "films")
    kinds = random.permutation([kind for kind, count in FILMS.items() for _ in range(count)]).tolist()
    scenes = [scene for clip in CLIPS for scene in clip.scenes if scene.subjects]
    others = [name for name in CUT_OUTS if name != "cat"]
    clips = []
    for number, (kind, scene) in enumerate(zip(kinds, cycle(scenes), strict=False)):
        if kind == WRONG:
            scene = replace(scene, subjects=0, disc="", decoys=tuple(random.permutation(others)[:2].tolist()))
        clips.append(Clip(f"film {number:03}", (replace(scene, seconds=SECONDS),), WIDTH, HEIGHT))
    return clips, {clip.source: kind for clip, kind in zip(clips, kinds, strict=True)}


def draw_mark(path: Path, truth: pl.DataFrame, draw: Callable[..., tuple[Mark, np.ndarray]]) -> Box:
    """Draw a watermark over the film `path` whose centre is on the subject halfway through, and return its box.

    `truth`: its rows of `DemoRegions`. `draw`: see `make_mark`.
    """
    random = generator(SEED, "planted faults", path.stem)
    images = [frame.image() for frame in read_frames(path, read_packets(path))]
    middle = truth.row(truth.height // 2, named=True)
    pixels = np.argwhere(decode_rle(middle["rle"], HEIGHT, WIDTH))
    box = None
    while box is None:  # until it is one that can be seen
        _, layer = draw((HEIGHT, WIDTH), False, random)
        y, x = random.choice(pixels).tolist()
        left, top = x - layer.shape[1] // 2, y - layer.shape[0] // 2
        marked = images[middle["index"]].copy()
        box = blend(marked, np.ones((HEIGHT, WIDTH), bool), layer, left, top)
        if box and contrast(images[middle["index"]], marked) < CONTRAST:
            box = None
    mark = Image.new("RGBA", (WIDTH, HEIGHT))
    mark.paste(Image.fromarray(layer), (left, top))
    write_video(path, (overlay_logo(image, np.asarray(mark)) for image in images), CLIPS[0].rate)
    return box


def contrast(image: np.ndarray, marked: np.ndarray) -> float:
    """Return by how many levels the pixels of `image` that differ in `marked` change on average, over the channels."""
    change = np.abs(marked.astype(float) - image).mean(axis=2)
    return float(change[change > 0].mean())


def make_clips(folder: Path, settings: Mapping[str, Any], planted: Mapping[str, str]) -> dict[str, range]:
    """Make the clips of the films below `folder`, and score them; return the frames in which the masks of a film leap."""
    videos = {source: folder / "footage" / "videos" / f"{source}.mp4" for source in planted}
    frames = round(SECONDS * CLIPS[0].rate)
    sources = {
        source: {"path": str(path), "sha256": sha256_file(path), "frames": frames, "use": []} for source, path in videos.items()
    }
    write_sources(folder / "sources", sources)
    with Ledger(folder / "admission.jsonl") as entries:
        for source in sources:
            entries.row(source, "ok")
    scene_settings, score_settings = settings["scenes"], settings["scores"]
    detector = WEIGHTS / "nsfw_detection" / "nsfw_detection.pt"
    marked = WEIGHTS / "watermark_detection" / "watermark_detection.pt"
    detect_videos(
        sources=folder / "sources",
        admission=folder / "admission.jsonl",
        weights=detector,
        expected=detector.parent / "SHA256SUMS",
        datasets=None,
        settings=VideoDetectionSettings(**scene_settings["detect"]),
        cache=folder / "kept videos",
        code="",
        threads=2,
        frames=folder / "frames",
        detections=folder / "detections",
        ledger=folder / "detections.jsonl",
    )
    astray = lead_astray(folder / "detections", [source for source, kind in planted.items() if kind == LEAP])
    find_scenes(
        frames=folder / "frames",
        detections=folder / "detections",
        follow=partial(track, settings=TrackSettings(**scene_settings["track"])),
        settings=SceneSettings(**scene_settings["choose"]),
        seed=SEED,
        scenes=folder / "scenes",
        scene_frames=folder / "scene_frames",
        ledger=folder / "scenes.jsonl",
        threads=2,
    )
    cut_clips(
        scenes=folder / "scenes",
        scene_frames=folder / "scene_frames",
        sources=folder / "sources",
        cache=folder / "kept clips",
        settings=ClipSettings(**settings["clips"]),
        block_sizes=block_sizes,
        detector=sha256_file(detector),
        scene_settings=scene_settings,
        seed=SEED,
        code="",
        threads=2,
        clips=folder / "clips",
        images=folder / "images",
        masks=folder / "masks",
        ledger=folder / "clips.jsonl",
    )
    score_clips(
        clips=folder / "clips",
        scene_frames=folder / "scene_frames",
        images=folder / "images",
        detectors={
            name: partial(
                Detector, path, path.parent / "SHA256SUMS", TrainedDetectionSettings(**score_settings["detectors"][name])
            )
            for name, path in (("watermark", marked), ("nsfw", detector))
        },
        quality=None,
        table=folder / "scores",
        ledger=folder / "scores.jsonl",
        samples=score_settings["samples"],
        threads=2,
    )
    own = settings["classifiers"]["watermarked"]
    embedding = settings["embeddings"][own["embedding"]]
    others = {"clips", "crops", "near_duplicates", "detector"}
    classifier = WEIGHTS / "watermarked" / "watermarked.safetensors"
    classify_clips(
        clips=folder / "clips",
        images=folder / "images",
        samples=score_settings["samples"],
        use=use_of(
            settings={
                "weights": "trained",
                "tiling": own["tiling"],
                "labels": None,
                "embedding": {name: value for name, value in embedding.items() if name not in others},
            },
            classifier=classifier,
            checksums=classifier.parent / "SHA256SUMS",
            embedder=marked,
            embedder_checksums=marked.parent / "SHA256SUMS",
        ),
        cache=folder / "kept classified",
        code="",
        threads=2,
        scored=folder / "watermarked",
        ledger=folder / "watermarked.jsonl",
    )
    return astray


def lead_astray(detections: Path, sources: list[str]) -> dict[str, range]:
    """Let the masks in `detections` leap elsewhere in some consecutive frames of each of `sources`. Return these frames."""
    table = read_table(detections, VideoDetections)
    astray, parts = {}, [table.filter(~pl.col("source").is_in(sources))]
    for source in set(sources).intersection(table["source"]):
        random = generator(SEED, "planted faults", source)
        own = table.filter(source=source)
        looks = own["index"].unique().sort().to_list()
        count = min(int(random.integers(LOOKS[0], LOOKS[1] + 1)), len(looks))
        first = int(random.integers(len(looks) - count + 1))
        astray[source] = range(looks[first], looks[first + count - 1] + 1)
        angle = random.uniform(0, 2 * np.pi)
        way = random.uniform(*DISTANCE) * np.array([np.cos(angle), np.sin(angle)])
        rows = [leap(row, way) if row["index"] in astray[source] else row for row in own.iter_rows(named=True)]
        parts.append(pl.DataFrame(rows, schema=own.schema))
    write_table(pl.concat(parts).sort("source", "index", "number"), VideoDetections, detections)
    return astray


def leap(row: Mapping[str, Any], way: np.ndarray) -> dict[str, Any]:
    """Return the detection `row` with its mask shifted by `way`, in sides of its box, but with its centre in the frame."""
    x0, y0, x1, y1 = row["x0"], row["y0"], row["x1"], row["y1"]
    centre = np.array([x0 + x1, y0 + y1]) / 2
    target = np.clip(centre + way * [x1 - x0, y1 - y0], 0, [WIDTH, HEIGHT])
    shift = np.rint(target - centre)
    matrix = np.column_stack([np.eye(2), shift])
    mask = cv2.warpAffine(decode_rle(row["rle"], HEIGHT, WIDTH), matrix, (WIDTH, HEIGHT))
    corners = np.clip([x0 + shift[0], y0 + shift[1], x1 + shift[0], y1 + shift[1]], 0, [WIDTH, HEIGHT, WIDTH, HEIGHT])
    return {**row, "rle": encode_rle(mask), **dict(zip(("x0", "y0", "x1", "y1"), corners.tolist(), strict=True))}


def find_faults(
    folder: Path,
    planted: Mapping[str, str],
    marks: Mapping[str, Box],
    astray: Mapping[str, range],
    truth: pl.DataFrame,
) -> dict[str, str]:
    """Return the kind of the fault of each clip that has one, by its key."""
    scene_frames = read_table(folder / "scene_frames", SceneFrames)
    faults = {}
    for clip in read_table(folder / "clips", Clips).iter_rows(named=True):
        kind = planted[clip["source"]]
        if kind == WATERMARK:
            crop, mark = np.array(clip["crops"][clip["frames"] // 2]), np.array(marks[clip["source"]])
            is_fault = (np.minimum(crop[2:], mark[2:]) - np.maximum(crop[:2], mark[:2])).min() >= LEAST_MARK
        elif kind == LEAP:
            shown = scene_frames.filter((pl.col("key") == clip["key"]) & pl.col("index").is_in(astray[clip["source"]]))
            true = truth.filter(source=clip["source"], kind="subject")
            is_fault = any(
                not matches(row["rle"], true.filter(index=row["index"])["rle"].to_list()) for row in shown.iter_rows(named=True)
            )
        else:
            is_fault = kind == WRONG
        if is_fault:
            faults[clip["key"]] = kind
    return faults


def matches(rle: str, regions: list[str]) -> bool:
    """Return whether the mask `rle` matches one of the true `regions`. All are run lengths."""
    sizes = [{"size": [HEIGHT, WIDTH], "counts": each.encode()} for each in (rle, *regions)]
    return bool(np.max(coco.iou(sizes[:1], sizes[1:], [0] * len(regions)), initial=0) >= MATCH)


def make_queue(folder: Path, settings: Mapping[str, Any]) -> pl.DataFrame:
    """Filter the clips, and return the items of their queue, in its order."""
    filters = FilterSettings(**settings["filters"])
    classified = {"watermarked": [folder / "watermarked"]}
    filter_clips(
        clips=[folder / "clips"],
        scores=[folder / "scores"],
        classified=classified,
        metrics=[],
        sources=folder / "sources",
        dataset="mosaic_restoration",
        decisions={},
        settings=filters,
        kept=folder / "kept",
        kept_scores=folder / "kept_scores",
        ledger=folder / "filters.jsonl",
        matched=folder / "decisions.jsonl",
    )
    items = find_clips(
        [ClipFolder(folder / "clips", folder / "scores", folder / "images", folder / "masks")],
        classified,
        [folder / "filters.jsonl"],
        filters,
        settings["scenes"]["choose"]["confidence"],
    )
    gather(items, folder / "sources", None, {}, "none", {}, table=folder / "items", settings=folder / "page.json")
    return read_table(folder / "items", ReviewItems)


def report(queue: pl.DataFrame, faults: Mapping[str, str]) -> None:
    """Print how many of the `faults` the filters drop, and how many of the others the first fifth of the `queue` has."""
    dropped = set(queue.filter(state="dropped")["key"])
    first = set(queue["key"].head(int(FIRST * queue.height)))
    print(f"\n{queue.height} clips, {len(faults)} with a planted fault; the filters drop {len(dropped)} clips")
    planted = sum(FILMS.values()) - FILMS[""]
    for kind in (WATERMARK, LEAP, WRONG, "in all"):
        own = {key for key, each in faults.items() if kind in (each, "in all")}
        assert own, f"no clip has the fault {kind!r}"
        kept = own - dropped
        found = len(own & dropped) + len(kept & first)
        print(
            f"{kind}: planted in {FILMS.get(kind, planted)} films, {len(own)} in clips;"
            f" dropped by the filters {len(own & dropped)}; of the other {len(kept)}, in the first"
            f" {FIRST:.0%} of the queue {len(kept & first)}; found {found / len(own):.0%},"
            f" in a random order {(len(own & dropped) + FIRST * len(kept)) / len(own):.0%}"
        )
    assert len(kept & first) >= FLOOR * len(kept)
    assert found >= FLOOR * len(own)
