"""Demo footage: short videos and stills with known truth, made from the photographs that scikit-image ships.

The cat Chelsea plays the region of interest: an elliptic cut-out of her portrait wanders through scenes that a camera
pans and zooms over. Whoever draws labels is played by labelme files written from the truth. What is made is declared
first; below it stands how a scene is staged, how its frames are drawn, and how labels and truth are written. A small set of
pictures with watermarks, as others would publish it, is cut from the same photographs.
"""

import io
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import polars as pl
from PIL import Image, ImageDraw, ImageFont
from pycocotools import mask as run_lengths

from tessera.errors import TesseraError
from tessera.job import progress
from tessera.media.encode import write_video
from tessera.provenance import file_name
from tessera.seeds import generator
from tessera.tables import DemoClips, DemoRegions, types, write_table

Draw = Callable[[np.ndarray, np.random.Generator], tuple[np.ndarray, Sequence[Any]]]

LABEL = "nsfw"
LABEL_EVERY = 8  # frames; config/demo.yaml samples the same ones


@dataclass(frozen=True)
class Scene:
    """One camera move over one photograph, and what is to be seen in front of it."""

    photograph: str
    seconds: float = 4
    subjects: int = 1
    shape: Literal["ellipse", "circle", "rectangle"] = "ellipse"  # of the subjects
    decoys: tuple[str, ...] = ()  # these cut-outs move like a subject and are none
    disc: str = ""  # this cut-out hovers in front of the first subject and makes a hole in it
    pillar: str = ""  # a pillar of this photograph stands in front and splits who passes behind it


@dataclass(frozen=True)
class Clip:
    """A video, and a source of the manifest."""

    source: str
    scenes: tuple[Scene, ...]
    width: int = 320
    height: int = 240
    rate: Fraction = Fraction(24)
    watermark: Literal["text", "logo", ""] = ""
    mosaic: bool = False  # the subject is pixelated already
    truncated: bool = False


@dataclass(frozen=True)
class Still:
    """An image: of a source in the manifest, or one that was labelled on its own."""

    file: str
    scene: Scene
    source: str = ""  # empty: its labels lie beside it
    index: int = 0  # place in the folder, where the source is one
    copy_of: str = ""  # shows the very picture of this file
    width: int = 320
    quality: int = 92  # of JPEG


CLIPS = (
    Clip("garage", (Scene("motorcycle_left"),)),
    Clip("coffee table", (Scene("coffee", decoys=("helmet",)),)),
    Clip("launch pad", (Scene("rocket", 2), Scene("hubble", 2.4, subjects=2)), 320, 180, Fraction(30000, 1001)),
    Clip("laboratory", (Scene("ihc", 2.5), Scene("retina", 1.5, subjects=0, decoys=("cup",))), 256, 256),
    Clip("courtyard", (Scene("brick", 5, pillar="gravel"),)),
    Clip("meadow", (Scene("grass", disc="cup"),), watermark="text"),
    Clip("coin fair", (Scene("coins", subjects=2),), watermark="logo"),
    Clip("empty garage", (Scene("motorcycle_left", 2, 0, decoys=("planet", "helmet")), Scene("coffee", 1.5, 0))),
    Clip("documentary", (Scene("camera", 2), Scene("rocket", 1.5, pillar="brick"), Scene("ihc", 2)), 240, 320, Fraction(25)),
    Clip("moonlight", (Scene("moon", 3, disc="planet"), Scene("hubble", 1, subjects=0))),
    Clip("studio", (Scene("astronaut", decoys=("cup",)),)),
    Clip("driveway", (Scene("gravel", 2.5, pillar="brick"), Scene("motorcycle_right", 2.5, subjects=2))),
    Clip("workshop", (Scene("motorcycle_right", 3, disc="cup"), Scene("page", 1, subjects=0))),
    Clip("censored", (Scene("coffee", 3),), mosaic=True),
    Clip("found footage", (Scene("moon", 1.5),)),
    Clip("unverified", (Scene("brick", 1.5),)),
    Clip("broken", (Scene("grass", 1.5),), truncated=True),
)

STILLS = (
    Still("images/mug.png", Scene("coffee"), "mug"),
    Still("images/mug web.jpg", Scene("coffee"), "mug web", copy_of="images/mug.png", quality=40),
    Still("images/mug small.jpg", Scene("coffee"), "mug small", copy_of="images/mug.png", width=200),
    Still("images/album/1.jpg", Scene("rocket"), "album", 0),
    Still("images/album/2.jpg", Scene("coins", decoys=("planet",)), "album", 1),
    Still("images/album/3.png", Scene("motorcycle_left", subjects=0), "album", 2, width=400),
    Still("images/album/4.jpg", Scene("brick", subjects=2), "album", 3),
    Still("images/album/5.jpg", Scene("camera", pillar="gravel"), "album", 4),
    Still("images/album/6.png", Scene("retina", subjects=0, decoys=("helmet",)), "album", 5),
    Still("labels/stills/polygon.jpg", Scene("ihc")),
    Still("labels/stills/two.jpg", Scene("grass", subjects=2)),
    Still("labels/stills/circle.jpg", Scene("coins", shape="circle")),
    Still("labels/stills/circle and decoy.png", Scene("coffee", shape="circle", decoys=("helmet",))),
    Still("labels/stills/rectangle.jpg", Scene("brick", shape="rectangle")),
    Still("labels/stills/rectangle and decoy.jpg", Scene("moon", shape="rectangle", decoys=("cup",)), width=360),
    Still("labels/stills/parts.jpg", Scene("rocket", pillar="brick")),
    Still("labels/stills/hole.jpg", Scene("motorcycle_left", disc="cup")),
    Still("labels/stills/hole and parts.png", Scene("camera", pillar="gravel", disc="planet")),
    Still("labels/stills/nobody.jpg", Scene("hubble", subjects=0)),
    Still("labels/stills/nobody again.jpg", Scene("grass", subjects=0, decoys=("planet", "cup"))),
)

# What marks are drawn over for the set of watermarks, and how many pictures are cut out of each photograph.
MARKED = {
    "train": ("camera", "chelsea", "coffee", "coins", "grass", "brick", "ihc", "moon", "motorcycle_left", "retina", "rocket"),
    "val": ("astronaut", "clock_motion", "gravel", "hubble"),
}
CUTS = {"train": 14, "val": 10}
MARKED_CLASSES = ("text", "logo")
# Large enough for a small detector to learn in minutes: settings of drawing marks.
MARKS: dict[str, Any] = {"marks": (1, 2), "logo_size": (0.2, 0.5), "text_size": (0.08, 0.2), "length": (4, 12)}

FILES = {
    "hubble": "hubble_deep_field.jpg",
    "retina": "retina.jpg",
    "rocket": "rocket.jpg",
}
# Grey photographs, and the colours that take the place of black and white.
TINTS = {
    "brick": ((66, 36, 28), (214, 140, 104)),
    "grass": ((22, 36, 8), (196, 210, 124)),
    "gravel": ((48, 44, 42), (222, 212, 196)),
    "coins": ((38, 32, 28), (232, 212, 176)),
}
# What is cut out of which photograph, in its pixels: centre x, centre y, half the width, half the height.
SUBJECT = "cat"
CUT_OUTS = {
    "cat": ("chelsea", 205, 150, 160, 145),
    "cup": ("coffee", 297, 112, 124, 96),
    "helmet": ("astronaut", 418, 424, 84, 84),
    "planet": ("retina", 705, 705, 640, 640),
}

CUT_OUT_SIDE = 200  # pixels, the shorter one
ZOOM = 1.6  # a photograph is kept this much larger than the frame
FINE = 4  # masks are drawn this much finer than the frame
SLACK = 0.25  # pixels by which an outline may miss the edge
SMALLEST = 16  # pixels; a person does not see less
GRAIN = 2.0  # standard deviation of the noise, in steps of 1/255
MOSAIC_BLOCK = 10  # pixels
WATERMARK_OPACITY = 0.45


# Staging: where everything is, frame by frame.


@dataclass(frozen=True)
class Track:
    """A cut-out and its way through a scene of `n` frames."""

    texture: np.ndarray  # uint8 (H, W, 3), RGB
    shape: Literal["ellipse", "circle", "rectangle"]
    role: Literal["subject", "decoy", "occluder"]
    centre: np.ndarray  # float (n, 2), pixels
    radii: np.ndarray  # float (n, 2), pixels
    angle: np.ndarray  # float (n,), radians
    gain: np.ndarray  # float (n,), brightness

    def outline(self, frame: int) -> np.ndarray:
        """Return the outline in `frame`: float (points, 2), pixels."""
        return _place(_UNIT[self.shape], self.centre[frame], self.radii[frame], self.angle[frame])


@dataclass(frozen=True)
class Stage:
    """A scene in which every draw is made."""

    frames: int
    width: int
    height: int
    backdrop: np.ndarray  # uint8 (H, W, 3), RGB, larger than the frame
    view: np.ndarray  # float (n, 4): centre x, centre y in pixels of the backdrop, zoom, roll in radians
    grade: np.ndarray  # float (n, 3): factor of each colour
    tracks: list[Track]  # from back to front


def set_up(scene: Scene, frames: int, width: int, height: int, random: np.random.Generator) -> Stage:
    """Return `scene` with every way drawn from `random`, for `frames` frames of `width` x `height` pixels."""
    backdrop = _cover(photograph(scene.photograph), width * ZOOM, height * ZOOM)
    subjects = [_wander(SUBJECT, "subject", scene, frames, width, height, random) for _ in range(scene.subjects)]
    decoys = [_wander(name, "decoy", scene, frames, width, height, random) for name in scene.decoys]
    discs = [_hover(scene.disc, subjects[0], random)] if scene.disc else []
    pillars = [_stand(scene.pillar, frames, width, height, random)] if scene.pillar else []
    return Stage(
        frames=frames,
        width=width,
        height=height,
        backdrop=backdrop,
        view=_camera(backdrop, frames, width, height, random),
        grade=_glide(random.uniform(0.85, 1.12, (2, 1)), frames) * random.uniform(0.97, 1.03, 3),
        tracks=[*decoys, *subjects, *discs, *pillars],
    )


def _wander(
    name: str,
    role: Literal["subject", "decoy"],
    scene: Scene,
    frames: int,
    width: int,
    height: int,
    random: np.random.Generator,
) -> Track:
    """Return a cut-out of the photograph `name` that crosses the frame, left and right by turns."""
    stops = 2 + frames // 20
    side = (np.arange(stops) + random.integers(2)) % 2
    x = np.where(side, random.uniform(0.55, 0.95, stops), random.uniform(0.05, 0.45, stops)) * width
    y = random.uniform(0.2, 0.8, stops) * height
    shape = scene.shape if role == "subject" else "ellipse"
    size = _glide(random.uniform(0.16, 0.45, (stops // 2 + 1, 1)), frames) * min(width, height) / 2
    upright = shape != "ellipse"
    texture = cut_out(name)
    if random.random() < 0.5:
        texture = np.ascontiguousarray(texture[:, ::-1])
    return Track(
        texture=texture,
        shape=shape,
        role=role,
        centre=_glide(np.stack([x, y], axis=1), frames),
        radii=size * [1.0 if shape == "circle" else texture.shape[1] / texture.shape[0], 1.0],
        angle=np.zeros(frames) if upright else _glide(random.uniform(-0.45, 0.45, (stops, 1)), frames)[:, 0],
        gain=_glide(random.uniform(0.75, 1.2, (stops, 1)), frames)[:, 0],
    )


def _hover(name: str, subject: Track, random: np.random.Generator) -> Track:
    """Return the cut-out `name`, small, on its way over `subject`, sideways."""
    frames = len(subject.centre)
    offset = _glide(np.stack([random.permutation([-1.0, -0.1, 0.9]), random.uniform(-0.25, 0.25, 3)], axis=1), frames)
    return Track(
        texture=cut_out(name),
        shape="ellipse",
        role="occluder",
        centre=subject.centre + offset * subject.radii,
        radii=subject.radii * random.uniform(0.38, 0.48),
        angle=subject.angle,
        gain=np.ones(frames),
    )


def _stand(name: str, frames: int, width: int, height: int, random: np.random.Generator) -> Track:
    """Return a strip of the photograph `name`, higher than the frame, that the camera drifts past."""
    x = _glide(width * random.permutation([0.38, 0.62])[:, None], frames)
    half_width = height * random.uniform(0.035, 0.06)
    texture = _cover(photograph(name), 2 * half_width, height * 1.4)
    return Track(
        texture=texture[:, : round(2 * half_width)],
        shape="rectangle",
        role="occluder",
        centre=np.concatenate([x, np.full((frames, 1), height / 2)], axis=1),
        radii=np.tile([half_width, height * 0.7], (frames, 1)),
        angle=np.full(frames, random.uniform(-0.12, 0.12)),
        gain=np.full(frames, 0.8),
    )


def _camera(backdrop: np.ndarray, frames: int, width: int, height: int, random: np.random.Generator) -> np.ndarray:
    """Return a pan from one side of `backdrop` to the other, with a zoom, a little roll and an unsteady hand."""
    zoom = _glide(random.uniform(1.08, ZOOM, (2, 1)), frames)
    roll = _glide(random.uniform(-0.03, 0.03, (2, 1)), frames)
    ends = np.array([random.uniform(0.05, 0.25, 2), random.uniform(0.75, 0.95, 2)])
    ends = np.where(random.random(2) < 0.5, ends, ends[::-1])
    seen = np.array([width, height]) * ZOOM / zoom
    size = np.array([backdrop.shape[1], backdrop.shape[0]])
    phase = np.linspace(0, frames / 9, frames)[:, None] + random.uniform(0, 2 * np.pi, 2)
    centre = seen / 2 + _glide(ends, frames) * (size - seen) + 0.8 * np.sin(phase)
    return np.concatenate([centre, zoom, roll], axis=1)


def _glide(stops: np.ndarray, frames: int) -> np.ndarray:
    """Return a smooth way over the rows of `stops`, which are evenly spread over `frames` frames."""
    place = np.linspace(0, len(stops) - 1, frames)
    before = np.minimum(place.astype(int), len(stops) - 2)
    part = (place - before)[:, None]
    ease = part * part * (3 - 2 * part)
    return np.asarray(stops[before] * (1 - ease) + stops[before + 1] * ease)


# Photographs.


@cache
def photograph(name: str) -> np.ndarray:
    """Return the photograph `name` of scikit-image: uint8 (H, W, 3), RGB. Raises `TesseraError` where it is not installed."""
    with Image.open(_data(FILES.get(name, f"{name}.png"))) as image:
        if name not in TINTS:
            return np.asarray(image.convert("RGB"))
        black, white = np.array(TINTS[name], dtype=np.float32)
        grey = np.asarray(image.convert("L"), dtype=np.float32)[:, :, None] / 255
        return np.asarray(np.rint(black + (white - black) * grey), dtype=np.uint8)


def _data(name: str) -> Path:
    """Return the path of a file of skimage.data; its own functions would download what they do not find."""
    package = find_spec("skimage")
    if package is None or package.origin is None:
        raise TesseraError("scikit-image is not installed; `make setup` installs what the workflow needs")
    path = Path(package.origin).parent / "data" / name
    if not path.is_file():
        raise TesseraError(f"{path}: the photograph is missing; install scikit-image as envs/workflow.txt names it")
    return path


@cache
def cut_out(name: str) -> np.ndarray:
    """Return the cut-out `name`: uint8 (H, W, 3), RGB; what counts is the ellipse that fits inside."""
    source, x, y, half_width, half_height = CUT_OUTS[name]
    part = photograph(source)[y - half_height : y + half_height, x - half_width : x + half_width]
    return _cover(part, CUT_OUT_SIDE, CUT_OUT_SIDE)


def _cover(image: np.ndarray, width: float, height: float) -> np.ndarray:
    """Return `image` scaled so that it just covers `width` x `height` pixels."""
    scale = max(width / image.shape[1], height / image.shape[0])
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC))


# Drawing.


@dataclass(frozen=True)
class Picture:
    """A frame and the truth about it."""

    image: np.ndarray  # uint8 (H, W, 3), RGB
    visible: list[np.ndarray]  # what is seen of each subject: bool (H * FINE, W * FINE)
    mosaic: np.ndarray | None  # bool (H, W)


def draw(stage: Stage, frame: int, random: np.random.Generator, *, mosaic: bool = False) -> Picture:
    """Return the picture of `stage` at `frame`; `random` gives the grain. `mosaic`: the subjects are pixelated."""
    size = (stage.width, stage.height)
    canvas = _warp(stage.backdrop, _view(stage, frame), size).astype(np.float32)
    visible: list[np.ndarray] = []
    for track in stage.tracks:
        fine = _fill(track.outline(frame), size)
        alpha = _coarse(fine, size)
        shade = cv2.GaussianBlur(alpha, (0, 0), 0.1 * track.radii[frame].min() + 0.5)
        canvas *= 1 - 0.4 * np.roll(shade, 3, axis=(0, 1))[:, :, None]
        texture = _warp(*_texture(track, frame), size) * np.float32(track.gain[frame])
        canvas += (texture - canvas) * cv2.GaussianBlur(alpha, (3, 3), 0)[:, :, None]
        visible = [mask & ~fine for mask in visible]
        if track.role == "subject":
            visible.append(fine)
    canvas *= stage.grade[frame].astype(np.float32)
    canvas += GRAIN * random.standard_normal((stage.height, stage.width, 1), dtype=np.float32)
    image = np.rint(canvas).clip(0, 255).astype(np.uint8)
    if not mosaic:
        return Picture(image, visible, None)
    image, pixelated = _pixelate(image, np.any([_coarse(mask, size) > 0 for mask in visible], axis=0))
    hidden = pixelated.repeat(FINE, axis=0).repeat(FINE, axis=1)
    return Picture(image, [mask & ~hidden for mask in visible], pixelated)


def _circle(points: int) -> np.ndarray:
    turn = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return np.stack([np.cos(turn), np.sin(turn)], axis=1)


_UNIT = {
    "ellipse": _circle(96),
    "circle": _circle(96),
    "rectangle": np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)]),
}


def _place(points: np.ndarray, centre: np.ndarray, radii: np.ndarray, angle: float) -> np.ndarray:
    turn = np.array([(np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))])
    return np.asarray(points * radii @ turn + centre)


def _view(stage: Stage, frame: int) -> np.ndarray:
    """Return where the backdrop lies in `frame`, as an affine matrix (2, 3)."""
    x, y, zoom, roll = stage.view[frame]
    scale = zoom / ZOOM
    turn = scale * np.array([(np.cos(roll), -np.sin(roll)), (np.sin(roll), np.cos(roll))])
    shift = np.array([stage.width, stage.height]) / 2 - turn @ [x, y]
    return np.column_stack([turn, shift])


def _texture(track: Track, frame: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the texture of `track` at about the size it has in `frame`, and where it lies there, as a matrix (2, 3)."""
    width, height = (max(2, int(side)) for side in np.ceil(2 * track.radii[frame]))
    texture = cv2.resize(track.texture, (width, height), interpolation=cv2.INTER_AREA)
    corners = _place(_UNIT["rectangle"], track.centre[frame], track.radii[frame], float(track.angle[frame]))
    across, down = (corners[1] - corners[0]) / width, (corners[3] - corners[0]) / height
    return texture, np.column_stack([across, down, corners[0]])


def _warp(image: np.ndarray, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return `image` moved by `matrix`, whose coordinates are continuous: the first pixel spans 0 to 1."""
    shifted = matrix + np.column_stack([np.zeros((2, 2)), matrix[:, :2] @ [0.5, 0.5] - 0.5])
    return np.asarray(cv2.warpAffine(image, shifted, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101))


def _fill(outline: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the inside of `outline` as a mask: bool (H * FINE, W * FINE)."""
    mask = np.zeros((size[1] * FINE, size[0] * FINE), dtype=np.uint8)
    points = np.rint((outline * FINE - 0.5) * 16).astype(np.int32)
    return np.asarray(cv2.fillPoly(mask, [points], 1, shift=4)).view(bool)


def _coarse(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the part of each pixel that a fine `mask` covers: float32 (H, W) in [0, 1]."""
    covered = cv2.resize(mask.view(np.uint8) * np.uint8(255), size, interpolation=cv2.INTER_AREA)
    return np.asarray(covered, dtype=np.float32) / 255


def _pixelate(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return `image` with the blocks that touch `mask` flattened, and the mask of these blocks."""
    height, width = mask.shape
    result = image.copy()
    pixelated = np.zeros_like(mask)
    for y in range(0, height, MOSAIC_BLOCK):
        for x in range(0, width, MOSAIC_BLOCK):
            block = np.s_[y : y + MOSAIC_BLOCK, x : x + MOSAIC_BLOCK]
            if mask[block].any():
                result[block] = np.rint(image[block].mean(axis=(0, 1)))
                pixelated[block] = True
    return result, pixelated


def watermark(kind: Literal["text", "logo"], width: int, height: int) -> np.ndarray:
    """Return a watermark for frames of `width` x `height` pixels: uint8 (H, W, 4), RGB and opacity."""
    layer = Image.new("RGBA", (width, height), (255, 255, 255, 0))
    if kind == "text":
        font = ImageFont.load_default(size=height / 9)
        position = (width / 2, height * 0.8)
        ImageDraw.Draw(layer).text(position, "tessera preview", (255, 255, 255, 255), font, anchor="mm")
    else:
        side = height // 4
        layer.paste(_disc().resize((side, side)), (width - side - side // 4, side // 4))
    mark = np.array(layer)
    mark[:, :, 3] = np.rint(mark[:, :, 3] * WATERMARK_OPACITY)
    return mark


def _disc() -> Image.Image:
    """Return the logo of scikit-image, RGBA."""
    with Image.open(_data("logo.png")) as logo:
        # Its corners are white.
        disc = Image.new("L", logo.size)
        ImageDraw.Draw(disc).ellipse((0, 0, *logo.size), 255)
        logo.putalpha(disc)
        return logo.copy()


def _tiles() -> Image.Image:
    """Return a logo of nine tiles with gaps between them, and a wide margin, RGBA."""
    logo = Image.new("RGBA", (160, 120), (255, 255, 255, 0))
    colors = ((250, 196, 60, 255), (236, 98, 70, 255), (64, 150, 190, 255))
    for row in range(3):
        for column in range(3):
            x, y = 44 + 25 * column, 22 + 25 * row
            ImageDraw.Draw(logo).rounded_rectangle((x, y, x + 21, y + 21), 5, colors[(row + column) % 3])
    return logo


def _overlay(image: np.ndarray, mark: np.ndarray) -> np.ndarray:
    alpha = mark[:, :, 3:].astype(np.float32) / 255
    return np.asarray(np.rint(image * (1 - alpha) + mark[:, :, :3] * alpha), dtype=np.uint8)


# Labels, as a careful person would draw them.


def labelme(picture: Picture, stage: Stage, frame: int, image: str, scale: float = 1) -> dict[str, Any]:
    """Return the labelme document of `picture`, for the image file `image` that shows it `scale` times as large."""
    subjects = [track for track in stage.tracks if track.role == "subject"]
    shapes = [
        shape
        for number, (track, mask) in enumerate(zip(subjects, picture.visible, strict=True), 1)
        for shape in _shapes(track, frame, mask, number)
    ]
    for shape in shapes:
        shape["points"] = np.round(np.asarray(shape["points"]) * scale, 2).tolist()
    return {
        "version": "5.5.0",
        "flags": {"sfw": not shapes},
        "shapes": shapes,
        "imagePath": image,
        "imageData": None,
        "imageHeight": round(stage.height * scale),
        "imageWidth": round(stage.width * scale),
    }


def _shapes(track: Track, frame: int, mask: np.ndarray, number: int) -> Iterator[dict[str, Any]]:
    """Yield the shapes that say what is seen of `track`: rings of polygons, or the circle or rectangle that it is."""
    if track.shape == "circle":
        centre = track.centre[frame]
        rings = [np.array([centre, (centre[0] + track.radii[frame, 0], centre[1])])]
    elif track.shape == "rectangle":
        rings = [track.outline(frame)[[0, 2]]]
    else:
        rings = outlines(mask)
    for ring in rings:
        yield {
            "label": LABEL,
            "points": ring,
            "group_id": number if len(rings) > 1 else None,
            "description": "",
            "shape_type": "polygon" if track.shape == "ellipse" else track.shape,
            "flags": {},
            "mask": None,
        }


def outlines(mask: np.ndarray) -> list[np.ndarray]:
    """Return the rings around a fine `mask` and around its holes, each float (points, 2) in pixels; specks are left out."""
    rings, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    # A contour runs through the middle of the outermost pixels.
    kept = [ring for ring in rings if cv2.contourArea(ring) >= SMALLEST * FINE**2]
    smooth = (cv2.approxPolyDP(ring, SLACK * FINE, closed=True)[:, 0] for ring in kept)
    return [(ring + 0.5) / FINE for ring in smooth]


# Rendering.


def render_demo_footage(
    folder: Path, seed: int, *, threads: int = 1, clips: Sequence[Clip] = CLIPS, stills: Sequence[Still] = STILLS
) -> None:
    """Render `clips` and `stills` below `folder`.

    videos/ and images/ are the sources of config/demo.tsv. labels/frames/ holds a labelme file for every frame of a source
    that is sampled, named by its key; labels/stills/ images with theirs beside them; truth/ the tables `DemoClips` and
    `DemoRegions`.
    Equal seeds give equal bytes, whatever the number of `threads`.
    """
    facts: list[dict[str, Any]] = []
    regions: list[dict[str, Any]] = []
    with ThreadPoolExecutor(threads) as pool:
        rendered = pool.map(lambda clip: _render_clip(folder, clip, seed), clips)
        for fact, seen in progress(rendered, len(clips), "clips"):
            facts.append(fact)
            regions.extend(seen)
    for still in stills:
        _render_still(folder, still, seed)
    (folder / "truth").mkdir(parents=True)
    write_table(pl.DataFrame(facts, schema=types(DemoClips)), DemoClips, folder / "truth" / "clips.parquet")
    write_table(pl.DataFrame(regions, schema=types(DemoRegions)), DemoRegions, folder / "truth" / "regions.parquet")


def render_logos(folder: Path) -> None:
    """Store two logos in `folder`, as PNG with opacity."""
    folder.mkdir(parents=True)
    _disc().save(folder / "disc.png")
    _tiles().save(folder / "tiles.png")


def render_watermark_set(
    path: Path, seed: int, draw: Callable[[np.ndarray, np.random.Generator], tuple[np.ndarray, Any]]
) -> None:
    """Write pictures with watermarks to the zip file `path`, in the YOLO layout that public sets have, a folder per split.

    `draw` returns a picture, uint8 (H, W, 3), RGB, with marks drawn over it, and what they are: each has a `kind`, text or
    logo, and `boxes`. No photograph is in two splits.
    """
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:

        def store(name: str, content: bytes) -> None:
            archive.writestr(zipfile.ZipInfo(name), content)  # with the date that zip files begin at

        store("data.yaml", f"train: train/images\nval: val/images\nnames: [{', '.join(MARKED_CLASSES)}]\n".encode())
        for split, photographs in MARKED.items():
            for name, number in product(photographs, range(CUTS[split])):
                random = generator(seed, "demo", f"watermarks {name} {number}")
                picture, marks = draw(_cut(photograph(name), 320, 240, random), random)
                height, width = picture.shape[:2]
                file = io.BytesIO()
                Image.fromarray(picture).save(file, "JPEG", quality=92)
                store(f"{split}/images/{name}.{number:02}.jpg", file.getvalue())
                lines = [
                    f"{MARKED_CLASSES.index(mark.kind)} {(x0 + x1) / 2 / width:.6f} {(y0 + y1) / 2 / height:.6f}"
                    f" {(x1 - x0) / width:.6f} {(y1 - y0) / height:.6f}\n"
                    for mark in marks
                    for x0, y0, x1, y1 in mark.boxes
                ]
                store(f"{split}/labels/{name}.{number:02}.txt", "".join(lines).encode())


def _cut(image: np.ndarray, width: int, height: int, random: np.random.Generator) -> np.ndarray:
    """Return a part of `image`, `width` x `height` pixels, from anywhere and more or less close."""
    scale = random.uniform(0.5, 0.9) * min(image.shape[1] / width, image.shape[0] / height)
    w, h = round(width * scale), round(height * scale)
    x, y = int(random.integers(image.shape[1] - w + 1)), int(random.integers(image.shape[0] - h + 1))
    return _cover(image[y : y + h, x : x + w], width, height)[:height, :width]


def _render_clip(folder: Path, clip: Clip, seed: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Render `clip` with its labels and return its row of `DemoClips` and those of `DemoRegions`."""
    random = generator(seed, "demo", clip.source)
    lengths = [round(scene.seconds * clip.rate) for scene in clip.scenes]
    stages = [
        set_up(scene, length, clip.width, clip.height, random) for scene, length in zip(clip.scenes, lengths, strict=True)
    ]
    mark = watermark(clip.watermark, clip.width, clip.height) if clip.watermark else None
    size = (clip.width, clip.height)
    regions: list[dict[str, Any]] = []

    def frames() -> Iterator[np.ndarray]:
        shots = ((stage, frame) for stage in stages for frame in range(stage.frames))
        for index, (stage, frame) in enumerate(shots):
            picture = draw(stage, frame, random, mosaic=clip.mosaic)
            if index % LABEL_EVERY == 0:
                key = f"{file_name(clip.source)}-{index:07d}"
                document = labelme(picture, stage, frame, f"{key}.jpg")
                _write_json(folder / "labels" / "frames" / file_name(clip.source) / f"{key}.json", document)
            masks = [("subject", _coarse(mask, size) >= 0.5) for mask in picture.visible]
            if picture.mosaic is not None:
                masks.append(("mosaic", picture.mosaic))
            if mark is not None:
                masks.append(("watermark", mark[:, :, 3] > 0))
            regions.extend(
                {"source": clip.source, "index": index, "kind": kind, "number": number, "rle": _encode(mask)}
                for number, (kind, mask) in enumerate(masks)
                if mask.any()
            )
            yield picture.image if mark is None else _overlay(picture.image, mark)

    path = folder / "videos" / f"{clip.source}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    count = write_video(path, frames(), clip.rate)
    if clip.truncated:
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    fact = {
        "source": clip.source,
        "width": clip.width,
        "height": clip.height,
        "rate": float(clip.rate),
        "frames": count,
        "cuts": np.cumsum(lengths)[:-1].tolist(),
    }
    return fact, regions


def _render_still(folder: Path, still: Still, seed: int) -> None:
    """Render `still` and its labels: the frame of its scene in which who stands in front covers most of the subject."""
    width, height = 320, 240
    random = generator(seed, "demo", still.copy_of or still.file)
    stage = set_up(still.scene, 96, width, height, random)
    frame = _moment(stage)
    picture = draw(stage, frame, random)
    scale = still.width / width
    path = folder / still.file
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(picture.image).resize((still.width, round(height * scale)), Image.Resampling.LANCZOS)
    image.save(path, quality=still.quality)
    if still.source:
        key = f"{file_name(still.source)}-{still.index:07d}"
        labels = folder / "labels" / "frames" / file_name(still.source) / f"{key}.json"
        _write_json(labels, labelme(picture, stage, frame, f"{key}.jpg", scale))
    else:
        _write_json(path.with_suffix(".json"), labelme(picture, stage, frame, path.name, scale))


def _moment(stage: Stage) -> int:
    """Return the frame in which the first subject is closest, sideways, to what covers it, or else to the middle."""
    subjects = [track for track in stage.tracks if track.role == "subject"]
    occluders = [track for track in stage.tracks if track.role == "occluder"]
    if not subjects:
        return 0
    target = occluders[-1].centre if occluders else np.full((stage.frames, 2), [stage.width / 2, stage.height / 2])
    return int(np.abs(subjects[0].centre - target)[:, 0].argmin())


def _encode(mask: np.ndarray) -> str:
    return str(run_lengths.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode("ascii"))


def _write_json(path: Path, document: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
