"""Render the footage of the starter models: camera moves over photographs, with cut-outs that move in front of them."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from tessera.core.seeds import generator
from tessera.demo.packages import Picture
from tessera.demo.patterns import draw_pattern
from tessera.demo.photographs import cover
from tessera.demo.stages import ZOOM, Stage, Track, draw, glide
from tessera.imaging.encode import write_video

SIZES = ((640, 360), (854, 480), (1280, 720), (480, 640), (1920, 1080))  # pixels of a frame
SIZE_ODDS = (0.4, 0.32, 0.14, 0.1, 0.04)
RATES = (Fraction(24), Fraction(25), Fraction(30000, 1001))
SHOTS = 12  # of a video; the detector learns from two to four frames of each
SECONDS = 0.6, 1.2  # shortest and longest shot
BACKDROPS = {"photograph": 0.76, "drawing": 0.08, "pattern": 0.16}  # how often a shot has each
DRAWN = 0.6  # fraction of the patterns that are drawn instead of taken from a package
POSTERS = 0.25  # fraction of the objects that are rectangles or ellipses with another photograph
QUALITY = 16  # constant rate factor


def render_starter_video(path: Path, name: str, split: str, pictures: Sequence[Picture], folder: Path, seed: int) -> None:
    """Render a video to `path` out of those of `pictures` that are for the split `split`, so that no picture is in two splits.

    The folder `folder` has the pictures; see `fetch_pictures`. Equal values of `name` and `seed` give equal bytes.
    """
    random = generator(seed, "starter", name)
    width, height = SIZES[random.choice(len(SIZES), p=SIZE_ODDS)]
    rate = RATES[random.integers(len(RATES))]
    usable = [picture for picture in pictures if picture.split == split]
    choose = {
        kind: [folder / picture.name for picture in usable if picture.kind == kind]
        for kind in ("photograph", "drawing", "pattern", "cut-out")
    }

    def shots() -> Iterator[Iterator[np.ndarray]]:
        for _ in range(SHOTS):
            frames = round(random.uniform(*SECONDS) * rate)
            stage = _set_up(choose, frames, width, height, random)
            yield (draw(stage, frame, random).image for frame in range(frames))

    write_video(path, chain.from_iterable(shots()), rate, quality=QUALITY)


@lru_cache(maxsize=8)
def read_photograph(path: Path) -> np.ndarray:
    """Return a picture with its longer side reduced to 3840 pixels or less: uint8 (H, W, 3), RGB."""
    with Image.open(path) as image:
        image.draft("RGB", (3840, 3840))
        picture = image.convert("RGBA")
    picture = Image.alpha_composite(Image.new("RGBA", picture.size, (128, 128, 128, 255)), picture).convert("RGB")
    picture.thumbnail((3840, 3840), Image.Resampling.BOX)
    return np.asarray(picture)


def _cut_out(path: Path) -> np.ndarray:
    """Return a cut-out: uint8 (H, W, 4), RGB and opacity. What is transparent continues the colours beside it."""
    with Image.open(path) as image:
        picture = np.array(image.convert("RGBA"))
    opacity = picture[:, :, 3:].astype(np.float32) / 255
    weight = cv2.GaussianBlur(opacity, (0, 0), 4)[:, :, None] + np.float32(1e-4)
    around = cv2.GaussianBlur(picture[:, :, :3] * opacity, (0, 0), 4) / weight
    picture[:, :, :3] = np.rint(picture[:, :, :3] * opacity + around * (1 - opacity)).clip(0, 255)
    return cv2.copyMakeBorder(picture, 2, 2, 2, 2, cv2.BORDER_CONSTANT)


def _set_up(choose: dict[str, list[Path]], frames: int, width: int, height: int, random: np.random.Generator) -> Stage:
    """Return a shot with all paths drawn from `random`, for `frames` frames of `width` x `height` pixels."""
    kind = str(random.choice(list(BACKDROPS), p=list(BACKDROPS.values())))
    if kind == "pattern" and random.random() < DRAWN:
        backdrop = draw_pattern(random)
    else:
        backdrop = read_photograph(_one_of(choose[kind], random))
    backdrop = _mirror(_part(backdrop, random), random)
    backdrop = cover(backdrop, width * ZOOM, height * ZOOM)
    # One colour of the light for the whole shot, and a brightness that may change.
    grade = glide(random.uniform(0.75, 1.2, (int(random.integers(2, 5)), 1)), frames) * random.uniform(0.92, 1.08, 3)
    out_of_focus = random.uniform(0, 2.5, (3, 1)) if random.random() < 0.2 else np.zeros((2, 1))
    return Stage(
        frames=frames,
        width=width,
        height=height,
        backdrop=backdrop,
        view=_view(backdrop, frames, width, height, random),
        grade=grade,
        tracks=[_object(choose, frames, width, height, random) for _ in range(int(random.integers(0, 6)))],
        grain=float(random.uniform(0, 4)),
        blur=glide(out_of_focus, frames)[:, 0],
    )


def _view(backdrop: np.ndarray, frames: int, width: int, height: int, random: np.random.Generator) -> np.ndarray:
    """Return a camera that stands, pans or zooms, in a hand or on a tripod: float (frames, 4), as in `Stage`."""
    stops = int(random.integers(2, 4))
    zoom = np.exp(glide(random.uniform(np.log(1.05), np.log(2)) + random.normal(0, 0.12, (stops, 1)), frames))
    zoom = zoom.clip(1.02, 3)
    roll = random.normal(0, 0.05) + glide(random.normal(0, 0.02, (stops, 1)), frames)
    size = np.array([backdrop.shape[1], backdrop.shape[0]])
    # How far the centre can be from that of the backdrop before its edge is seen.
    free = np.maximum(size / 2 - np.array([width, height]) / 2 * ZOOM / zoom.min(), 0)
    first = random.uniform(-1, 1, 2)
    reach = random.choice([0, 0.15, 0.5, 1])
    centres = (first + reach * random.uniform(-1, 1, (stops, 2))).clip(-1, 1) * free
    centre = size / 2 + glide(centres, frames)
    shake = _shake(frames, random) * random.choice([0, 1, 4], p=[0.3, 0.5, 0.2])
    return np.concatenate([centre + shake[:, :2], zoom, roll + shake[:, 2:] * 0.002], axis=1)


def _shake(frames: int, random: np.random.Generator) -> np.ndarray:
    """Return the shake of a hand: float (frames, 3), with a standard deviation of about 1."""
    steps = np.stack([np.convolve(random.standard_normal(frames + 12), np.hanning(13), "valid") for _ in range(3)], axis=1)
    return np.asarray(steps / np.sqrt((np.hanning(13) ** 2).sum()))


def _object(choose: dict[str, list[Path]], frames: int, width: int, height: int, random: np.random.Generator) -> Track:
    """Return a cut-out, or a part of a photograph, that moves through the shot or stands in it."""
    is_poster = random.random() < POSTERS
    side = random.uniform(0.12, 0.5) * min(width, height)  # half of the longer one, in pixels
    if is_poster:
        part = _part(read_photograph(_one_of(choose["photograph"], random)), random)
        texture = cover(part, 2 * side, 2 * side * min(1, part.shape[0] / part.shape[1]))
    else:
        texture = _cut_out(_one_of(choose["cut-out"], random))
    texture = _mirror(texture, random)
    radii = side * np.array([texture.shape[1], texture.shape[0]]) / max(texture.shape[:2])
    stops = int(random.integers(2, 5))
    start = random.uniform(0.1, 0.9, 2)
    reach = random.choice([0.03, 0.2, 0.6])
    path = (start + reach * random.uniform(-1, 1, (stops, 2))) * [width, height]
    time = np.arange(frames)[:, None] / 24
    bob = random.uniform(0, 0.03) * side * np.sin(2 * np.pi * random.uniform(0.3, 2.5) * time + random.uniform(0, 2 * np.pi, 2))
    growth = np.exp(glide(random.normal(0, 0.1, (stops, 1)), frames))
    return Track(
        texture=texture,
        shape=("rectangle" if random.random() < 0.5 else "ellipse") if is_poster else "cut-out",
        role="decoy",
        centre=glide(path, frames) + bob,
        radii=radii * growth,
        angle=random.normal(0, 0.2) + glide(random.normal(0, 0.15, (stops, 1)), frames)[:, 0],
        gain=glide(random.uniform(0.75, 1.2, (stops, 1)), frames)[:, 0],
    )


def _one_of(paths: Sequence[Path], random: np.random.Generator) -> Path:
    return paths[int(random.integers(len(paths)))]


def _mirror(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return np.ascontiguousarray(image[:, ::-1]) if random.random() < 0.5 else image


def _part(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return a random part of `image`, at least 60 % as wide and as high."""
    height, width = image.shape[:2]
    scale = random.uniform(0.6, 1)
    h, w = round(height * scale), round(width * scale)
    y, x = int(random.integers(height - h + 1)), int(random.integers(width - w + 1))
    return image[y : y + h, x : x + w]
