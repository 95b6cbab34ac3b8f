"""Faces for tests: landmarks of a head in any pose, and squares of a photograph."""

from collections.abc import Callable

import cv2
import numpy as np

from tessera.demo.photographs import photograph
from tessera.extras.face_sets.landmarks import HEAD, MEAN_FACE
from tessera.extras.face_sets.sorts import AlignedFace


def rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Return the matrix that turns a head up by `pitch`, then to the left of the picture by `yaw`, then clockwise by `roll`."""
    about_x = np.array([[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]])
    about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    about_z = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def head_landmarks(
    yaw: float = 0, pitch: float = 0, roll: float = 0, size: int = 256, shift: tuple[float, float, float] = (0, 0, 250)
) -> np.ndarray:
    """Return the 68 landmarks of a head in that pose before a camera of the focal length `size`.

    `shift`: where the head is, millimetres. Eyes and mouth, which no pose is measured by, are put flat between brows and chin.
    """
    flat = np.column_stack([(MEAN_FACE[19:] - (0.490127, 0.3)) * 125 + (0, -25), np.full(len(MEAN_FACE) - 19, -5.0)])
    points = np.concatenate([HEAD, flat]) @ rotation(yaw, pitch, roll).T + shift
    return points[:, :2] / points[:, 2:] * size + size / 2


def portrait(size: int, draw: np.random.Generator) -> np.ndarray:
    """Return a square of a photograph of a face, a little moved, turned, blurred and darkened."""
    angle, scale = draw.uniform(-20, 20), size / draw.uniform(150, 190)
    matrix = cv2.getRotationMatrix2D((225 + draw.uniform(-15, 15), 110 + draw.uniform(-15, 15)), angle, scale)
    matrix[:, 2] += size / 2 - np.array([225, 110])
    image = cv2.warpAffine(photograph("astronaut"), matrix, (size, size))
    if draw.random() < 0.5:
        image = cv2.GaussianBlur(image, (0, 0), draw.uniform(0.3, 3))
    return np.clip(image * draw.uniform(0.5, 1.1, 3), 0, 255).astype(np.uint8)


def face(name: str, load: Callable[[], np.ndarray], size: int, **fields: object) -> AlignedFace:
    values = {"frame": f"{name}.png", "box": (0.0, 0.0, 100.0, 120.0), "landmarks": head_landmarks(size=size), **fields}
    return AlignedFace(name=name, size=size, load=load, **values)


def portraits(count: int, size: int = 64, seed: int = 0) -> list[AlignedFace]:
    """Return `count` faces in many poses. Every third shows the picture of the one before it, and every fourth its frame."""
    draw = np.random.default_rng(seed)
    faces: list[AlignedFace] = []
    for number in range(count):
        image = portrait(size, draw)
        load = faces[-1].load if number % 3 == 2 else lambda image=image: image
        frame = faces[-1].frame if number % 4 == 3 else f"{draw.integers(1000):04d}-{number}.png"
        box = (0.0, 0.0, float(draw.integers(20, 40)), float(draw.integers(20, 40)))
        points = head_landmarks(draw.normal(0, 0.6), draw.normal(0, 0.3), draw.normal(0, 0.2), size, (0, 0, 300))
        faces.append(face(f"face-{number:05d}", load, size, frame=frame, box=box, landmarks=points))
    return faces
