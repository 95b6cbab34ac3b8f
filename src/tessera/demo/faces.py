"""Render pictures of a person who agreed to be shown, with the landmarks of the face in each as if somebody had placed them."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from tessera.core.seeds import generator
from tessera.core.tsv import write_sheet
from tessera.demo.photographs import cover, photograph

SOURCE = "visits"
# What is behind the person in each picture. She moves from the left to the right.
BACKDROPS = ("brick", "coffee", "rocket", "gravel", "motorcycle_left", "hubble", "grass", "coins", "retina", "motorcycle_right")
WIDTH, HEIGHT = 400, 300  # pixels
# The ellipse around her head that is cut out of the photograph of the astronaut: its centre and its radii, in pixels.
CENTRE, RADII = (225, 122), (66, 74)
# The 68 points of iBUG 300-W on her face, x and y in pixels of the photograph. They were placed by eye on the photograph,
# enlarged seven times, and checked at twelve times. The jaw begins at the edge of the hair, which covers what is above it.
POINTS = (
    # The jaw, from the left of the picture.
    "182.7 102.4  181.4 112.4  181.4 122.4  182.0 132.4  183.4 143.1  186.3 153.1  193.1 163.1  "
    "203.9 172.1  223.1 178.4  241.0 173.1  253.1 164.3  260.0 156.0  264.3 146.0  266.4 135.3  "
    "267.4 124.6  268.1 113.9  267.9 103.9  "
    # The brows.
    "189.7 90.4  193.9 88.6  199.6 88.6  206.3 90.0  213.1 92.3  "
    "236.7 93.9  243.1 92.7  250.0 92.3  256.7 92.7  262.7 95.9  "
    # The bridge of the nose, and below its tip.
    "223.9 101.0  223.7 109.6  223.4 118.1  223.1 126.4  "
    "215.3 130.3  218.9 132.1  223.9 133.4  228.9 132.1  232.9 129.9  "
    # The eyes.
    "193.9 99.9  198.9 97.3  205.3 98.1  212.0 102.9  204.9 104.4  198.6 103.3  "
    "236.3 104.7  242.0 100.6  248.9 99.9  256.7 103.1  250.3 106.1  243.1 106.4  "
    # The outer edge of the lips, and the inner one.
    "202.7 139.1  211.0 139.0  219.1 139.3  224.1 140.1  229.1 139.3  237.4 139.0  246.0 138.4  "
    "238.9 148.4  231.7 153.1  224.6 154.4  216.7 153.1  209.6 147.4  "
    "204.6 139.9  216.0 142.1  224.1 143.1  232.4 142.0  244.1 139.9  "
    "231.7 147.9  224.3 149.4  216.3 148.4  "
)
LANDMARKS = np.array(POINTS.split(), np.float64).reshape(-1, 2)


def render_faces(folder: Path, seed: int) -> None:
    """Store the pictures in `folder`/images/`SOURCE`, and their landmarks as the table `folder`/landmarks/`SOURCE`.tsv."""
    pictures, tables = folder / "images" / SOURCE, folder / "landmarks"
    pictures.mkdir(parents=True)
    tables.mkdir(parents=True)
    rows: list[tuple[str, str, int, float, float]] = []
    for number, backdrop in enumerate(BACKDROPS):
        random = generator(seed, "demo", f"{SOURCE} {number}")
        # Her head turns, and comes nearer and goes away.
        turn = cv2.getRotationMatrix2D(CENTRE, random.uniform(-25, 25), random.uniform(1.1, 1.6))
        place = WIDTH * (0.3 + 0.4 * number / (len(BACKDROPS) - 1)), HEIGHT * random.uniform(0.45, 0.55)
        turn[:, 2] += np.subtract(place, CENTRE)
        file = f"{number + 1:02}.jpg"
        Image.fromarray(_picture(backdrop, turn)).save(pictures / file, quality=92)
        points = LANDMARKS @ turn[:, :2].T + turn[:, 2]
        rows += [(SOURCE, file, point, round(x, 2), round(y, 2)) for point, (x, y) in enumerate(points.tolist())]
    write_sheet(tables / f"{SOURCE}.tsv", ("source", "frame", "point", "x", "y"), rows)


def _picture(backdrop: str, matrix: np.ndarray) -> np.ndarray:
    """Return the photograph `backdrop`, before which the head is, moved by `matrix`: uint8 (`HEIGHT`, `WIDTH`, 3), RGB."""
    behind = cover(photograph(backdrop), WIDTH, HEIGHT)[:HEIGHT, :WIDTH]
    person = photograph("astronaut")
    outline = cv2.ellipse(np.zeros(person.shape[:2], np.float32), CENTRE, RADII, 0, 0, 360, 1.0, -1)
    soft = cv2.GaussianBlur(outline, (0, 0), 3)
    head, opacity = (cv2.warpAffine(each, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR) for each in (person, soft))
    return np.asarray(np.rint(behind + opacity[:, :, None] * (head.astype(np.float32) - behind)), np.uint8)
