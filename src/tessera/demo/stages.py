"""Stage scenes with random paths of camera and objects, and draw their frames with ground truth."""

from dataclasses import dataclass
from itertools import cycle, islice
from typing import Literal

import cv2
import numpy as np

from tessera.demo.footage import Scene
from tessera.demo.photographs import CUT_OUT_SIDE, cover, cut_out, photograph

CROSSING = 240  # frames in which an object crosses half of the frame: 0.7 pixels per frame if it is 320 pixels wide
SIZES = 0.3, 0.5  # smallest and largest radius of an object, relative to half of the shorter side of the frame
ZOOM = 2.0  # size of the backdrop relative to the frame; a zoom of this value shows it at full resolution
FINE = 4  # resolution of fine masks relative to the frame
SLACK = 0.25  # pixels by which an outline may differ from the edge of its mask
SMALLEST = 16  # pixels; a person would not see a smaller region
GRAIN = 2.0  # standard deviation of the noise, in levels of 0 to 255
SHARP = 0.3  # pixels; a blur with a smaller standard deviation cannot be seen
MOSAIC_BLOCK = 10  # pixels


@dataclass(frozen=True)
class Track:
    """A cut-out and its path through a scene of `n` frames."""

    texture: np.ndarray  # uint8 (H, W, 3), RGB; for the shape `cut-out` (H, W, 4), with its opacity
    shape: Literal["ellipse", "circle", "rectangle", "cut-out"]
    role: Literal["subject", "decoy", "occluder"]
    centre: np.ndarray  # float (n, 2), pixels
    radii: np.ndarray  # float (n, 2), pixels
    angle: np.ndarray  # float (n,), radians
    gain: np.ndarray  # float (n,), brightness

    def outline(self, frame: int) -> np.ndarray:
        """Return the outline in `frame`: float (points, 2), pixels."""
        return _place(
            _UNIT["rectangle" if self.shape == "cut-out" else self.shape],
            self.centre[frame],
            self.radii[frame],
            self.angle[frame],
        )


@dataclass(frozen=True)
class Stage:
    """A scene with all random values drawn."""

    frames: int
    width: int
    height: int
    backdrop: np.ndarray  # uint8 (H, W, 3), RGB, larger than the frame
    view: np.ndarray  # float (n, 4): centre x, centre y in pixels of the backdrop, zoom, roll in radians
    grade: np.ndarray  # float (n, 3): factor of each colour
    tracks: list[Track]  # from back to front
    grain: float = GRAIN  # standard deviation of the noise, in levels of 0 to 255
    blur: np.ndarray | None = None  # float (n,): standard deviation of the blur of the lens in pixels; None: sharp


def set_up(scene: Scene, frames: int, width: int, height: int, random: np.random.Generator) -> Stage:
    """Return `scene` with all paths drawn from `random`, for `frames` frames of `width` x `height` pixels."""
    backdrop = cover(photograph(scene.photograph), width * ZOOM, height * ZOOM)
    players = islice(cycle(scene.players), scene.subjects)
    subjects = [_wander(name, "subject", scene, frames, width, height, random) for name in players]
    decoys = [_wander(name, "decoy", scene, frames, width, height, random) for name in scene.decoys]
    discs = [_hover(scene.disc, subjects[0], random)] if scene.disc else []
    pillars = [_stand(scene.pillar, frames, width, height, random)] if scene.pillar else []
    return Stage(
        frames=frames,
        width=width,
        height=height,
        backdrop=backdrop,
        view=_camera(backdrop, subjects[:1], frames, width, height, random),
        grade=glide(random.uniform(0.85, 1.12, (2, 1)), frames) * random.uniform(0.97, 1.03, 3),
        tracks=[*decoys, *subjects, *discs, *pillars],
    )


def portrait(name: str, backdrop: str, angle: float, *, is_mirrored: bool) -> Stage:
    """Return a stage of one frame that the cut-out `name` fills, turned by `angle` in radians, before `backdrop`."""
    texture = cut_out(name)
    height = CUT_OUT_SIDE // 2
    width = round(height * texture.shape[1] / texture.shape[0])
    subject = Track(
        texture=np.ascontiguousarray(texture[:, ::-1]) if is_mirrored else texture,
        shape="ellipse",
        role="subject",
        centre=np.array([(width, height)]) / 2,
        radii=np.array([(width, height)]) / 2,
        angle=np.array([angle]),
        gain=np.ones(1),
    )
    view = np.array([(width, height, ZOOM / 2, 0)])
    return Stage(1, width, height, cover(photograph(backdrop), width * ZOOM, height * ZOOM), view, np.ones((1, 3)), [subject])


def _wander(
    name: str,
    role: Literal["subject", "decoy"],
    scene: Scene,
    frames: int,
    width: int,
    height: int,
    random: np.random.Generator,
) -> Track:
    """Return the cut-out `name`, which crosses the frame at a constant speed, to the left and to the right in turns.

    It is slow: the grid of a mosaic over it shows other parts of it in each frame, and neighbouring frames can be compared.
    """
    stops = 2 + frames // CROSSING
    side = (np.arange(stops) + random.integers(2)) % 2
    x = np.where(side, random.uniform(0.65, 0.85, stops), random.uniform(0.15, 0.35, stops)) * width
    y = random.uniform(0.25, 0.75, stops) * height
    shape = scene.shape if role == "subject" else "ellipse"
    size = random.uniform(*SIZES) * glide(random.uniform(0.93, 1.07, (stops, 1)), frames) * min(width, height) / 2
    upright = shape != "ellipse"
    texture = cut_out(name)
    if random.random() < 0.5:
        texture = np.ascontiguousarray(texture[:, ::-1])
    return Track(
        texture=texture,
        shape=shape,
        role=role,
        centre=_walk(np.stack([x, y], axis=1), frames),
        radii=size * [1.0 if shape == "circle" else texture.shape[1] / texture.shape[0], 1.0],
        angle=np.zeros(frames)
        if upright
        else random.uniform(-0.4, 0.4) + glide(random.uniform(-0.1, 0.1, (stops, 1)), frames)[:, 0],
        gain=glide(random.uniform(0.75, 1.2, (stops, 1)), frames)[:, 0],
    )


def _hover(name: str, subject: Track, random: np.random.Generator) -> Track:
    """Return a small copy of the cut-out `name` that moves sideways over `subject`."""
    frames = len(subject.centre)
    offset = glide(np.stack([random.permutation([-1.0, -0.1, 0.9]), random.uniform(-0.25, 0.25, 3)], axis=1), frames)
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
    """Return a strip of the photograph `name`, higher than the frame, that drifts sideways through the frame."""
    x = glide(width * random.permutation([0.38, 0.62])[:, None], frames)
    half_width = height * random.uniform(0.035, 0.06)
    texture = cover(photograph(name), 2 * half_width, height * 1.4)
    return Track(
        texture=texture[:, : round(2 * half_width)],
        shape="rectangle",
        role="occluder",
        centre=np.concatenate([x, np.full((frames, 1), height / 2)], axis=1),
        radii=np.tile([half_width, height * 0.7], (frames, 1)),
        angle=np.full(frames, random.uniform(-0.12, 0.12)),
        gain=np.full(frames, 0.8),
    )


def _camera(
    backdrop: np.ndarray, subjects: list[Track], frames: int, width: int, height: int, random: np.random.Generator
) -> np.ndarray:
    """Return the view of a pan over `backdrop`, with a little zoom and roll: float (n, 4), as in `Stage`.

    The camera pans past the first of `subjects`, which stands still in front of the backdrop.
    """
    zoom = random.uniform(1.35, 1.7) * glide(random.uniform(0.98, 1.02, (2, 1)), frames)
    roll = glide(random.uniform(-0.015, 0.015, (2, 1)), frames)
    size = np.array([backdrop.shape[1], backdrop.shape[0]])
    if subjects:
        path = subjects[0].centre
    else:
        ends = np.array([random.uniform(0.65, 0.85, 2), random.uniform(0.15, 0.35, 2)])
        path = _walk(np.where(random.random(2) < 0.5, ends, ends[::-1]) * [width, height], frames)
    phase = np.linspace(0, frames / 9, frames)[:, None] + random.uniform(0, 2 * np.pi, 2)
    centre = size / 2 - (path - np.array([width, height]) / 2) * ZOOM / zoom + 0.3 * np.sin(phase)
    return np.concatenate([centre, zoom, roll], axis=1)


def _walk(stops: np.ndarray, frames: int) -> np.ndarray:
    """Return the path from each row of `stops` to the next in `CROSSING` frames, at a constant speed: float (frames, D)."""
    position = np.arange(frames) / CROSSING
    return np.stack([np.interp(position, range(len(stops)), column) for column in stops.T], axis=1)


def glide(stops: np.ndarray, frames: int) -> np.ndarray:
    """Return a smooth path through the rows of `stops`, which are evenly spaced in time: float (frames, D)."""
    position = np.linspace(0, len(stops) - 1, frames)
    before = np.minimum(position.astype(int), len(stops) - 2)
    part = (position - before)[:, None]
    ease = part * part * (3 - 2 * part)
    return np.asarray(stops[before] * (1 - ease) + stops[before + 1] * ease)


@dataclass(frozen=True)
class Picture:
    """A frame and its ground truth."""

    image: np.ndarray  # uint8 (H, W, 3), RGB
    visible: list[np.ndarray]  # mask of the visible part of each subject: bool (H * FINE, W * FINE)
    mosaic: np.ndarray | None  # mask of the pixelated blocks: bool (H, W)


def draw(stage: Stage, frame: int, random: np.random.Generator, *, mosaic: bool = False) -> Picture:
    """Return the picture of `stage` at `frame`, with noise from `random`. `mosaic`: whether the subjects are pixelated."""
    size = (stage.width, stage.height)
    canvas = _warp(stage.backdrop, _view(stage, frame), size).astype(np.float32)
    visible: list[np.ndarray] = []
    for track in stage.tracks:
        texture = _warp(*_texture(track, frame), size)
        if track.shape == "cut-out":
            fine = (texture[:, :, 3] > 127).repeat(FINE, axis=0).repeat(FINE, axis=1)
            alpha = texture[:, :, 3].astype(np.float32) / 255
        else:
            fine = _fill(track.outline(frame), size)
            alpha = coverage(fine, size)
        shade = cv2.GaussianBlur(alpha, (0, 0), 0.1 * track.radii[frame].min() + 0.5)
        canvas *= 1 - 0.4 * np.roll(shade, 3, axis=(0, 1))[:, :, None]
        lit = texture[:, :, :3] * np.float32(track.gain[frame])
        canvas += (lit - canvas) * cv2.GaussianBlur(alpha, (3, 3), 0)[:, :, None]
        visible = [mask & ~fine for mask in visible]
        if track.role == "subject":
            visible.append(fine)
    canvas *= stage.grade[frame].astype(np.float32)
    if stage.blur is not None and stage.blur[frame] > SHARP:
        cv2.GaussianBlur(canvas, (0, 0), float(stage.blur[frame]), dst=canvas)
    canvas += stage.grain * random.standard_normal((stage.height, stage.width, 1), dtype=np.float32)
    image = np.rint(canvas).clip(0, 255).astype(np.uint8)
    if not mosaic:
        return Picture(image, visible, None)
    image, pixelated = _pixelate(image, np.any([coverage(mask, size) > 0 for mask in visible], axis=0))
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
    """Return the affine matrix, float (2, 3), from pixels of the backdrop to pixels of `frame`."""
    x, y, zoom, roll = stage.view[frame]
    scale = zoom / ZOOM
    turn = scale * np.array([(np.cos(roll), -np.sin(roll)), (np.sin(roll), np.cos(roll))])
    shift = np.array([stage.width, stage.height]) / 2 - turn @ [x, y]
    return np.column_stack([turn, shift])


def _texture(track: Track, frame: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the texture of `track`, scaled to about its size in `frame`, and its affine matrix, float (2, 3)."""
    width, height = (max(2, int(side)) for side in np.ceil(2 * track.radii[frame]))
    texture = cv2.resize(track.texture, (width, height), interpolation=cv2.INTER_AREA)
    corners = _place(_UNIT["rectangle"], track.centre[frame], track.radii[frame], float(track.angle[frame]))
    across, down = (corners[1] - corners[0]) / width, (corners[3] - corners[0]) / height
    return texture, np.column_stack([across, down, corners[0]])


def _warp(image: np.ndarray, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return `image` warped by `matrix`, which takes continuous coordinates: the first pixel spans 0 to 1."""
    shifted = matrix + np.column_stack([np.zeros((2, 2)), matrix[:, :2] @ [0.5, 0.5] - 0.5])
    # Nothing is seen beside a cut-out.
    border = cv2.BORDER_CONSTANT if image.shape[2] == 4 else cv2.BORDER_REFLECT_101
    return np.asarray(cv2.warpAffine(image, shifted, size, flags=cv2.INTER_LINEAR, borderMode=border))


def _fill(outline: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the inside of `outline` as a mask: bool (H * FINE, W * FINE)."""
    mask = np.zeros((size[1] * FINE, size[0] * FINE), dtype=np.uint8)
    points = np.rint((outline * FINE - 0.5) * 16).astype(np.int32)
    return np.asarray(cv2.fillPoly(mask, [points], 1, shift=4)).view(bool)


def coverage(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the fraction of each pixel that `mask`, bool (H * FINE, W * FINE), covers: float32 (H, W), in [0, 1]."""
    covered = cv2.resize(mask.view(np.uint8) * np.uint8(255), size, interpolation=cv2.INTER_AREA)
    return np.asarray(covered, dtype=np.float32) / 255


def _pixelate(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return `image` with the blocks that touch `mask` set to their mean colours, and the mask of these blocks."""
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
