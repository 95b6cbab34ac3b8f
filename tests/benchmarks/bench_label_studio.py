"""Convert 1,000 masks of 1080p to tasks of Label Studio and back in at most 60 s, with identical pixels."""

import json
import time

import cv2
import numpy as np

from tessera.records.annotation.formats.label_studio import Prediction, parse_export, read_task, write_task
from tessera.records.annotation.model import Annotation, ImageAnnotations

COUNT, WIDTH, HEIGHT = 1000, 1920, 1080
PREDICTION = Prediction("detector", {})


def blob(generator: np.random.Generator) -> np.ndarray:
    """Return a mask of a wavy shape with a few holes: what a person draws, or a model finds."""
    angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    waves = sum(generator.normal(0, 0.15 / n) * np.sin(n * angle + generator.uniform(0, 7)) for n in range(1, 9))
    radius = HEIGHT * generator.uniform(0.1, 0.4) * (1 + waves)
    middle = generator.uniform([0.3 * WIDTH, 0.3 * HEIGHT], [0.7 * WIDTH, 0.7 * HEIGHT])
    outline = middle + np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    mask = cv2.fillPoly(np.zeros((HEIGHT, WIDTH), np.uint8), [outline.astype(np.int32)], 255)
    for _ in range(generator.integers(0, 4)):
        cv2.circle(mask, middle.astype(int).tolist(), int(generator.integers(3, 60)), 0, -1)
    return mask


def test_a_thousand_masks_of_1080p_to_label_studio_and_back() -> None:
    seconds, size = 0.0, 0
    for number in range(COUNT):
        mask = blob(np.random.default_rng(number))
        start = time.monotonic()
        image = ImageAnnotations("one", WIDTH, HEIGHT, (Annotation.of_mask("nsfw", mask),))
        task, losses = write_task(image, "one.png", PREDICTION)
        result = task["predictions"][0]["result"]
        content = json.dumps([{"data": task["data"], "annotations": [{"result": result}]}]).encode()
        (parsed,) = parse_export(content, "export.json")
        again, lost = read_task(parsed, "one", WIDTH, HEIGHT)
        read = again.annotations[0].mask(HEIGHT, WIDTH)
        seconds += time.monotonic() - start
        size += len(content)
        assert losses == lost == [] and np.array_equal(read, mask)
    print(
        f"\n{COUNT} masks of {WIDTH}x{HEIGHT} to tasks and back, {size / 1e6:.1f} MB of JSON: {seconds:.1f} s (at most 60),"
        " identical pixels"
    )
    assert seconds <= 60
