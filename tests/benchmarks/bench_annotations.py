"""Convert 1,000 masks of 640x640 pixels through COCO to YOLO in at most 5 s and 500 MB."""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np

COUNT, SIDE = 1000, 640


def blob(generator: np.random.Generator) -> np.ndarray:
    """Return a mask of a wavy shape with a few holes: what a person draws, or a model finds."""
    angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    waves = sum(generator.normal(0, 0.15 / n) * np.sin(n * angle + generator.uniform(0, 7)) for n in range(1, 9))
    radius = SIDE * generator.uniform(0.1, 0.3) * (1 + waves)
    outline = SIDE / 2 + np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    mask = cv2.fillPoly(np.zeros((SIDE, SIDE), np.uint8), [outline.astype(np.int32)], 255)
    for _ in range(generator.integers(0, 4)):
        cv2.circle(mask, generator.integers(SIDE // 3, 2 * SIDE // 3, 2).tolist(), int(generator.integers(3, 25)), 0, -1)
    return mask


def convert(folder: Path) -> dict[str, float]:
    """Write and read COCO, write YOLO; return seconds, and megabytes at the peak of this process."""
    from tessera.records.annotation.formats.coco import read_coco, write_coco
    from tessera.records.annotation.formats.mask_images import read_mask
    from tessera.records.annotation.formats.yolo import write_yolo

    masks = [blob(np.random.default_rng(number)) for number in range(COUNT)]
    start, start_cpu = time.monotonic(), time.process_time()
    images = (read_mask(mask, f"{number:04}", {255: "nsfw"}, 16)[0] for number, mask in enumerate(masks))
    write_coco(images, folder / "coco.json", {1: "nsfw"})
    read = read_coco(folder / "coco.json")
    for image in read.images:
        write_yolo(image, ["nsfw"], "segment", folder / f"{image.key}.txt")
    seconds, cpu = time.monotonic() - start, time.process_time() - start_cpu
    assert len(read.images) == COUNT and not read.losses
    regions = sum(len(image.annotations) for image in read.images)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return {"seconds": seconds, "cpu": cpu, "megabytes": peak, "regions": regions}


def test_a_thousand_masks_through_coco_to_yolo(tmp_path: Path) -> None:
    # In a process of its own, because the peak of memory is measured per process.
    output = subprocess.run([sys.executable, __file__, str(tmp_path)], check=True, capture_output=True, text=True).stdout
    measured = json.loads(output)
    print(
        f"\n{COUNT} masks of {SIDE}x{SIDE}, {measured['regions']} regions, masks to COCO to YOLO:"
        f" {measured['seconds']:.2f} s (at most 5), of the processor {measured['cpu']:.2f} s;"
        f" {measured['megabytes']:.0f} MB (at most 500)"
    )
    assert measured["seconds"] <= 5
    assert measured["megabytes"] <= 500


if __name__ == "__main__":
    print(json.dumps(convert(Path(sys.argv[1]))))
