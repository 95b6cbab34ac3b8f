"""Sets of labelled images at random: what is on each picture is known, and some of what is said about it gets lost."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
from label_sets import ImportedForTwo, picture
from PIL import Image

from tessera.core.errors import TesseraError
from tessera.imaging.boxes import overlap
from tessera.records.annotation.formats.brushes import encode_brush
from tessera.records.label_sets import key_in_set

W, H = 96, 64
Box = tuple[int, int, int, int]
Rng = np.random.Generator
NAMES = ("a{}", "sub/a{}", "deep/er/b {}", "ü{}", "x.y{}", "img_{}", "IMG ({})")
FOREIGN: tuple[Any, ...] = (None, 0, -1, "x", [], {}, {"a": [1]}, True, 1e300, "nsfw")


@dataclass
class Shown:
    """A picture, and what a set says about it."""

    name: str  # without suffix
    regions: list[tuple[str, Box]]  # what it shows; the labels are those of the dataset
    # right: all is said; lost: some region is not, or wrongly; nothing: nothing is said; declared: said to show nothing.
    kind: str


@dataclass
class Expected:
    """What the import of a set may give: no more negatives, no other objects, and a row for each picture."""

    layout: str
    pictures: list[Shown]
    settings: dict[str, Any] = field(default_factory=dict)

    def negatives(self) -> set[str]:
        """Return the names of the pictures that the set, or its settings, declare as showing nothing."""
        kinds = {"declared"} | ({"nothing"} if self.settings.get("unannotated") == "negative" else set())
        return {shown.name for shown in self.pictures if shown.kind in kinds}


def start(rng: Rng, folder: Path, kinds: tuple[str, ...] = ("right", "right", "lost", "nothing", "declared")) -> list[Shown]:
    """Write pictures to `folder`, and return what is said about each."""
    shown = []
    for number in range(int(rng.integers(1, 6))):
        name = str(rng.choice(NAMES)).format(number)
        kind = str(rng.choice(kinds))
        regions = (
            []
            if kind in ("declared",)
            else [(str(rng.choice(["nsfw", "watermark"])), box(rng)) for _ in range(rng.integers(1, 4))]
        )
        place = folder / f"{name}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(picture(int(rng.integers(2**40)), W, H))
        shown.append(Shown(name, regions, kind))
    return shown


def box(rng: Rng) -> Box:
    x, y = int(rng.integers(0, W - 30)), int(rng.integers(0, H - 30))
    return x, y, x + int(rng.integers(12, 30)), y + int(rng.integers(12, 30))


def mixed(rng: Rng, entry: dict[str, Any]) -> dict[str, Any]:
    """Return `entry` with its keys in another order and fields of other programs."""
    extra = {f"x_{number}": FOREIGN[int(rng.integers(len(FOREIGN)))] for number in range(rng.integers(0, 3))}
    both = list({**entry, **extra}.items())
    rng.shuffle(both)  # type: ignore[arg-type]
    return dict(both)


def absence(rng: Rng) -> dict[str, Any]:
    return {"unannotated": "negative"} if rng.random() < 0.3 else {}


def chosen(rng: Rng, *choices: Any) -> Any:
    return choices[int(rng.integers(len(choices)))]


def runs(mask: np.ndarray) -> list[int]:
    counts, last = [0], 0
    for value in mask.ravel().tolist():
        if value != last:
            counts.append(0)
            last = value
        counts[-1] += 1
    return counts


def coco_set(rng: Rng, folder: Path) -> Expected:
    shown = start(rng, folder)
    ids = {name: rng.choice(900, 2, replace=False).tolist() for name in ("nsfw", "watermark")}
    ids["watermark"] = [number + 1000 for number in ids["watermark"]]
    categories = [{"id": number, "name": name} for name, numbers in ids.items() for number in numbers] + [
        {"id": 5000, "name": "cat"}
    ]
    images, annotations = [], []
    for number, each in enumerate(shown):
        image_id = int(number * 7 + rng.integers(7))
        name = f"{each.name}.png"
        row = {"id": image_id, "file_name": chosen(rng, name, name.replace("/", "\\")), "width": W, "height": H}
        if each.kind == "declared":
            row["negative"] = True
            if rng.random() < 0.2:
                annotations.append({"image_id": image_id, "category_id": ids["nsfw"][0], "bbox": [1, 1, 20, 20]})
                each.kind, each.regions = "lost", [("nsfw", (1, 1, 21, 21))]
        images.append(mixed(rng, row))
        entries = []
        for label, (x0, y0, x1, y1) in each.regions if each.kind in ("right", "lost") and "negative" not in row else ():
            mask = np.zeros((H, W), int)
            mask[y0:y1, x0:x1] = 1
            ring = [x0, y0, x1, y0, x1, y1, x0, y1]
            bbox = [x0, y0, x1 - x0, y1 - y0]
            dx, dy = (y1 - y0) / 2, (x1 - x0) / 2  # of a box that is turned by 90 degrees
            turned = [(x0 + x1) / 2 - dx, (y0 + y1) / 2 - dy, 2 * dx, 2 * dy]
            shape = chosen(
                rng,
                {"segmentation": [ring], "bbox": chosen(rng, bbox, [0, 0, 0, 0], [x0, y0, x1, y1], None, "x")},
                {"segmentation": chosen(rng, [], None), "bbox": bbox},
                {"segmentation": {"counts": runs(mask.T), "size": [H, W]}, "bbox": chosen(rng, bbox, None)},
                {"segmentation": [], "bbox": turned, "attributes": {"rotation": chosen(rng, 90, -90.0, 270, 450)}},
            )
            entries.append({"image_id": image_id, "category_id": int(rng.choice(ids[label])), **shape})
        if each.kind == "lost" and entries:
            entry = entries[int(rng.integers(len(entries)))]
            entry.pop("attributes", None)  # a box that is turned may end outside
            entry.update(
                chosen(
                    rng,
                    {"segmentation": [], "bbox": [3, 3, 0, 9]},
                    {"segmentation": [], "bbox": [3, 3, -5, 9]},
                    {"segmentation": [], "bbox": None},
                    {"segmentation": [], "bbox": [W + 5, 3, 9, 9]},
                    {"segmentation": [], "bbox": [3, 3, W + 9, 9]},
                    {"segmentation": [], "bbox": [3, float("nan"), 9, 9]},
                    {"segmentation": [], "bbox": {"x": 1}},
                    {"segmentation": [[1, 1, 9, 9]]},
                    {"segmentation": [[1, 1, 9, 1, 9, 9], [1, 1]]},
                    {"segmentation": [[1, 1, 9, 1, 9, "x"]]},
                    {"segmentation": {"counts": [H * W - 1], "size": [H, W]}},
                    {"segmentation": {"counts": [H * W], "size": [H, W]}},
                    {"segmentation": {"counts": [0, H * W], "size": [W, H]}},
                    {"segmentation": {"counts": "!!", "size": [H, W]}},
                    {"category_id": 77777},
                    {"category_id": None},
                    {"category_id": 5000},
                    {"iscrowd": 1},
                    {"iscrowd": "maybe"},
                    {"score": "high"},
                )
            )
        annotations += [mixed(rng, entry) for entry in entries]
    rng.shuffle(images)  # type: ignore[arg-type]
    annotations = [{"id": number, **entry} for number, entry in enumerate(annotations)]
    document = {"images": images, "annotations": annotations, "categories": categories, "info": {}, "licenses": None}
    place = folder / chosen(rng, "all.json", "annotations/instances_default.json", "x/_annotations.coco.json")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(mixed(rng, document)))
    return Expected("coco", shown, absence(rng))


def studio_region(rng: Rng, label: str, at: Box) -> dict[str, Any]:
    x0, y0, x1, y1 = at
    mask = np.zeros((H, W), np.uint8)
    mask[y0:y1, x0:x1] = 255
    x, y, w, h = 100 * x0 / W, 100 * y0 / H, 100 * (x1 - x0) / W, 100 * (y1 - y0) / H
    ring = [[x, y], [x + w, y], [x + w, y + h], [x, y + h]]
    kind, value = chosen(
        rng,
        ("rectanglelabels", {"x": x, "y": y, "width": w, "height": h, "rotation": chosen(rng, 0, None, 360)}),
        # Turned by 90 degrees about its corner at the top right.
        ("rectanglelabels", {"x": x + w, "y": y, "width": h * H / W, "height": w * W / H, "rotation": 90}),
        ("polygonlabels", {"points": ring, "closed": True}),
        ("brushlabels", {"format": "rle", "rle": encode_brush(mask)}),
        ("bitmasklabels", {"imageDataURL": bitmask(mask)}),
    )
    size = {"original_width": W, "original_height": H, "image_rotation": chosen(rng, 0, None)}
    return {"id": f"r{rng.integers(10**9)}", "type": kind, "to_name": "img", "value": {**value, kind: [label]}, **size}


def bitmask(mask: np.ndarray) -> str:
    import io

    ground = np.zeros((*mask.shape, 4), np.uint8)
    ground[:, :, 3] = mask
    file = io.BytesIO()
    Image.fromarray(ground).save(file, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def label_studio_set(rng: Rng, folder: Path) -> Expected:
    shown = start(rng, folder)
    settings = absence(rng)
    if rng.random() < 0.3:
        settings["empty"] = "unknown"
    tasks = []
    where = chosen(rng, "image", "photo", "url")
    choices = {"type": "choices", "to_name": "img", "value": {"choices": ["good"]}}
    keypoint = {"type": "keypointlabels", "to_name": "img", "value": {"x": 5, "y": 5, "width": 1, "keypointlabels": ["nsfw"]}}
    for number, each in enumerate(shown):
        path = f"{each.name}.png"
        address = chosen(rng, path, f"s3://bucket/{path}", f"/data/local-files/?d=w/{path.replace(' ', '%20')}")
        if "/" not in each.name and rng.random() < 0.5:
            address = f"/data/upload/3/{rng.integers(16**8):08x}-{path.replace(' ', '_').replace('(', '').replace(')', '')}"
        result = [studio_region(rng, *region) for region in each.regions]
        annotations: list[Any] = [{"id": 1, "result": result, "updated_at": "2026-02-01T00:00:00Z"}]
        if each.kind == "declared":
            annotations = [{"result": [], "updated_at": "2026-02-01"}]
            if settings.get("empty") == "unknown":
                each.kind = "undeclared"
        elif each.kind == "nothing":
            # An empty answer is what the last of them lacks.
            annotations = chosen(rng, [], None, [{"result": [choices]}], [{"result": [{"type": "relation"}]}])
        elif each.kind == "lost":
            lost = result[int(rng.integers(len(result)))]
            value = lost["value"]
            lost.update(
                chosen(
                    rng,
                    {"value": {key: given for key, given in value.items() if key in ("rotation", lost["type"])}},
                    {"value": {key: given for key, given in value.items() if key != lost["type"]}},
                    {"value": {**value, lost["type"]: ["cat"]}},
                    {"value": {**value, lost["type"]: []}},
                    {"value": None},
                    {"type": 7},
                    {"type": "polygonlabels", "value": {"points": [[1, 1], [9, 9]], "polygonlabels": ["nsfw"]}},
                    {
                        "type": "rectanglelabels",
                        "value": {"x": 90, "y": 1, "width": 50, "height": 9, "rectanglelabels": ["nsfw"]},
                    },
                    {"type": "brushlabels", "value": {"rle": [0, 1, 2], "brushlabels": ["nsfw"]}},
                    {"type": "bitmasklabels", "value": {"imageDataURL": "data:,x", "bitmasklabels": ["nsfw"]}},
                    {"type": "vectorlabels", "value": {"vertices": [], "vectorlabels": ["nsfw"]}},
                    {"original_width": W + 20},
                    {"image_rotation": 90},
                )
            )
        if each.kind in ("right", "lost"):
            result += [extra for extra in (choices, keypoint, {"type": "relation"}) if rng.random() < 0.2]
            rng.shuffle(result)  # type: ignore[arg-type]
            other = {"result": [], "updated_at": "2026-01-01T00:00:00Z"}
            if rng.random() < 0.2:
                annotations.append(other)
            elif rng.random() < 0.2:
                annotations[0]["ground_truth"] = True
                annotations.append({**other, "updated_at": "2026-03-01T00:00:00Z"})
        if rng.random() < 0.2 and annotations is not None:
            annotations = [*annotations, {"result": [], "was_cancelled": True, "updated_at": "2027-01-01T00:00:00Z"}]
            each.kind = "undeclared" if each.kind == "nothing" and len(annotations) == 1 else each.kind
        predictions = [{"result": [studio_region(rng, "watermark", box(rng))]}] if rng.random() < 0.3 else []
        tasks.append(
            mixed(rng, {"id": number, "data": {where: address, "n": 3}, "annotations": annotations, "predictions": predictions})
        )
    (folder / "export.json").write_text(json.dumps(tasks))
    return Expected("label_studio", shown, settings)


def labelme_set(rng: Rng, folder: Path) -> Expected:
    shown = start(rng, folder)
    for each in shown:
        place = folder / f"{each.name}.png"
        shapes: list[dict[str, Any]] = []
        for label, (x0, y0, x1, y1) in each.regions if each.kind in ("right", "lost") else ():
            ring = [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]
            corners = chosen(rng, [ring[0], ring[2]], [ring[3], ring[1]])
            kind, points = chosen(rng, ("polygon", ring), ("rectangle", corners))
            shapes.append({"label": chosen(rng, label, label.upper(), f" {label} "), "points": points, "shape_type": kind})
        if each.kind == "lost":
            shapes[int(rng.integers(len(shapes)))].update(
                chosen(
                    rng,
                    {"label": "cat"},
                    {"label": None},
                    {"label": ""},
                    {"shape_type": "line"},
                    {"shape_type": "linestrip"},
                    {"shape_type": "hologram"},
                    {"shape_type": 3},
                    {"points": []},
                    {"points": [[1, 1]]},
                    {"points": [[1, 1], [1, "x"]]},
                    {"points": [[1, 1], [float("nan"), 9]]},
                    {"points": [[W + 9, 1], [W + 20, 9], [W + 20, 1]], "shape_type": "polygon"},
                    {"points": [[1, 1], [W + 20, 9]], "shape_type": "rectangle"},
                    {"points": [[1, 1], [5, 5], [9, 9]], "shape_type": "polygon"},
                    {"shape_type": "mask", "mask": "!!"},
                    {"group_id": "one"},
                )
            )
        if rng.random() < 0.1 and each.kind in ("right", "lost"):
            shapes.append({"label": "nsfw", "points": [[3, 3]], "shape_type": "point"})
        flags = chosen(rng, {}, None, {"good": True, "sfw": False})
        if each.kind == "declared":
            flags = {"sfw": True}
            if rng.random() < 0.2:
                each.kind, shapes = "lost", [{"label": "nsfw", "points": [[1, 1], [30, 30]], "shape_type": "rectangle"}]
        elif each.kind == "nothing":
            each.kind = "undeclared"
            if rng.random() < 0.4:
                continue
        path = chosen(rng, place.name, f"gone\\{place.name}", f"C:\\x\\{place.name}", f"../{'../' * 5}{place.name}")
        data = base64.b64encode(place.read_bytes()).decode() if rng.random() < 0.2 else None
        document = {"shapes": [mixed(rng, shape) for shape in shapes], "flags": flags, "imagePath": path, "imageData": data}
        document |= chosen(rng, {}, {"imageWidth": W, "imageHeight": H}, {"version": "5.2.1"})
        place.with_suffix(".json").write_text(json.dumps(mixed(rng, document)))
    return Expected("labelme", shown)


def tag(rng: Rng, name: str, attributes: dict[str, Any], inside: str = "") -> str:
    pairs = [*attributes.items(), *((f"x_{number}", "1") for number in range(rng.integers(0, 3)))]
    rng.shuffle(pairs)  # type: ignore[arg-type]
    given = " ".join(f"{key}={quoteattr(str(value))}" for key, value in pairs if value is not None)
    return f"<{name} {given}>{inside}</{name}>"


def cvat_shape(rng: Rng, label: str, at: Box, lost: bool) -> str:
    x0, y0, x1, y1 = at
    kind, given = chosen(
        rng,
        ("box", {"xtl": x0, "ytl": y0, "xbr": x1, "ybr": y1, "rotation": chosen(rng, None, "0.0", 360, 180)}),
        ("polygon", {"points": f"{x0},{y0};{x1},{y0};{x1},{y1};{x0},{y1}"}),
        ("mask", {"left": x0, "top": y0, "width": x1 - x0, "height": y1 - y0, "rle": f"0, {(x1 - x0) * (y1 - y0)}"}),
        ("ellipse", {"cx": (x0 + x1) / 2, "cy": (y0 + y1) / 2, "rx": (x1 - x0) / 2, "ry": (y1 - y0) / 2}),
    )
    if lost:
        kind, given, label = chosen(
            rng,
            (kind, given, "cat"),
            (kind, given, None),
            (kind, given, ""),
            (kind, dict.fromkeys(given, "x"), label),
            (kind, {}, label),
            (kind, {**dict.fromkeys(given, "9"), "points": "9,9;9,9;9,9", "xbr": 9, "rx": 0}, label),
            ("box", {"xtl": 3, "ytl": 3, "xbr": W + 9, "ybr": 9}, label),
            ("polyline", {"points": "1,1;9,9"}, label),
            ("cuboid", {"xtl1": 1}, label),
            ("hologram", given, label),
            ("mask", {"left": 1, "top": 1, "width": 4, "height": 4, "rle": "16"}, label),
            ("mask", {"left": 1, "top": 1, "width": 4, "height": 4, "rle": "0, 15"}, label),
            ("skeleton", {}, label),
        )
    attribute = '<attribute name="x">1</attribute>' if rng.random() < 0.3 else ""
    return tag(rng, kind, {"label": label, **given}, attribute)


def cvat_set(rng: Rng, folder: Path) -> Expected:
    shown = start(rng, folder, ("right", "right", "lost", "nothing"))
    rows = []
    for number, each in enumerate(shown):
        lost = int(rng.integers(len(each.regions))) if each.kind == "lost" else -1
        said = each.regions if each.kind != "nothing" else []
        shapes = [cvat_shape(rng, *region, place == lost) for place, region in enumerate(said)]
        if rng.random() < 0.2:
            shapes.append(tag(rng, "tag", {"label": "nsfw"}))
        if rng.random() < 0.2 and each.kind != "nothing":
            shapes.append(tag(rng, "points", {"label": "nsfw", "points": "1,1;2,2"}))
        rng.shuffle(shapes)  # type: ignore[arg-type]
        given = {
            "id": number,
            "name": f"{each.name}.png",
            "width": W,
            "height": H,
            "subset": chosen(rng, None, "default", "train"),
        }
        rows.append(tag(rng, "image", given, "".join(shapes)))
    rng.shuffle(rows)  # type: ignore[arg-type]
    meta = "<version>1.1</version><meta><task><id>1</id></task></meta>"
    (folder / "annotations.xml").write_text(f'<?xml version="1.0"?>\n<annotations>{meta}{"".join(rows)}</annotations>')
    return Expected("cvat", shown, absence(rng))


def voc_set(rng: Rng, folder: Path) -> Expected:
    shown = start(rng, folder, ("right", "right", "lost", "nothing"))
    for each in shown:
        said = [] if each.kind == "nothing" else each.regions
        lost = int(rng.integers(len(each.regions))) if each.kind == "lost" else -1
        rows = []
        for place, (label, (x0, y0, x1, y1)) in enumerate(said):
            name = f"<name>{label}</name>"
            edges = {"xmin": x0 + 1, "ymin": y0 + 1, "xmax": x1, "ymax": y1}
            if place == lost:
                name, edges = chosen(
                    rng,
                    ("<name>cat</name>", edges),
                    ("<name></name>", edges),
                    ("", edges),
                    (name, {}),
                    (name, {**edges, "xmax": "x"}),
                    (name, {**edges, "xmax": W + 5}),
                    (name, {**edges, "xmax": x0}),
                )
            parts = [f"<{edge}>{value}</{edge}>" for edge, value in edges.items()]
            rng.shuffle(parts)  # type: ignore[arg-type]
            fields = [name, f"<bndbox>{''.join(parts)}</bndbox>", "<difficult>0</difficult>", "<x>1</x>"]
            rng.shuffle(fields)  # type: ignore[arg-type]
            rows.append(f"<object>{''.join(fields)}</object>")
        if each.kind == "nothing" and rng.random() < 0.5:
            continue
        size = chosen(rng, "", f"<size><width>{W}</width><height>{H}</height></size>", "<size><width>0</width></size>")
        (folder / f"{each.name}.xml").write_text(f"<annotation>{size}{''.join(rows)}</annotation>")
    if not any(folder.rglob("*.xml")):
        (folder / "Annotations").mkdir()
        (folder / "Annotations" / "other.xml").write_text("<annotation/>")
    return Expected("voc", shown, absence(rng))


FORMATS: dict[str, Callable[[Rng, Path], Expected]] = {
    "coco": coco_set,
    "label_studio": label_studio_set,
    "labelme": labelme_set,
    "cvat": cvat_set,
    "voc": voc_set,
}


@dataclass
class Faults:
    """What went wrong in the import of a set, and how many pictures were used, and were right but not used."""

    undeclared_negatives: list[str] = field(default_factory=list)
    wrong_objects: list[str] = field(default_factory=list)
    lost_objects: list[str] = field(default_factory=list)
    without_row: list[str] = field(default_factory=list)
    refused: str = ""
    used: int = 0
    unused: list[str] = field(default_factory=list)

    def none(self) -> bool:
        return not (self.undeclared_negatives or self.wrong_objects or self.lost_objects or self.without_row)


def import_fuzzed(layout: str, seed: int, folder: Path) -> Faults:
    """Import the set of this `seed` in `folder`, and return what went wrong: slow, and picture by picture."""
    place = folder / "set"
    place.mkdir()
    expected = FORMATS[layout](np.random.default_rng([seed, *layout.encode()]), place)
    faults = Faults()
    try:
        imported = ImportedForTwo(place, expected.layout, **expected.settings)
    except TesseraError as error:
        faults.refused = str(error)
        return faults
    for shown in expected.pictures:
        key = key_in_set("s", shown.name)
        about = f"{layout} {seed}: {shown}"
        if key not in imported.reasons:
            faults.without_row.append(about)
        image = imported.images.get(key)
        if image is None:
            if shown.kind == "right":
                faults.unused.append(f"{about}: {imported.reasons.get(key)}: {imported.details.get(key)}")
            continue
        faults.used += 1
        if not image.annotations and shown.name not in expected.negatives():
            faults.undeclared_negatives.append(about)
        left = list(shown.regions) if image.annotations or shown.kind in ("right", "lost") else []
        for one in image.annotations:
            same = [region for region in left if region[0] == one.label and overlap(region[1], one.box) > 0.8]
            if same:
                left.remove(same[0])
            else:
                faults.wrong_objects.append(f"{about}: {one.label} {one.box}")
        if left:
            faults.lost_objects.append(f"{about}: {left}")
    return faults
