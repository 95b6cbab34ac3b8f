"""Sets of labelled images with faults of every kind: no object gets a wrong class, no image becomes a negative that its set
does not declare to be one, and no image is without a row.

`python -m pytest -s --override-ini python_files=bench_*.py tests/benchmarks/bench_numbered_sets.py`
"""

import io
import json
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import yaml
from label_sets import HEIGHT, WIDTH, Imported, picture, write_folder
from PIL import Image

from tessera.core.errors import TesseraError
from tessera.records.label_sets import key_in_set

SETS = 1000  # of each format
NAMES = ("nsfw", "watermark", "person", "Nsfw ", "car", "a dog", "7", "null")
Draw = np.random.Generator


@dataclass
class Planted:
    """A set whose content is known.

    `files`: its content. `dataset`: the classes of the dataset. `settings`: those of the set. `objects`: for each image, by its
    name with suffix, the class of the dataset of each object that it shows: an empty text for one that is not wanted, and None
    for one whose class the set does not say. `negatives`: the images that the set declares to show nothing. `is_refused`:
    whether the set must be refused.
    """

    files: dict[str, bytes | str]
    dataset: Sequence[str]
    settings: dict[str, Any] = field(default_factory=dict)
    objects: dict[str, list[str | None]] = field(default_factory=dict)
    negatives: set[str] = field(default_factory=set)
    is_refused: bool = False


def one_of(draw: Draw, *values: Any) -> Any:
    return values[int(draw.integers(len(values)))]


def meaning_of(number: int, name: str | None, classes: Mapping[Any, str | None], dataset: Sequence[str]) -> str | None:
    """Return the class of the dataset that a class of a set means, as in `Planted.objects`. `name`: None if none is stated."""
    exact = {str(key): meant or "" for key, meant in classes.items()}
    if name is None:
        return exact.get(str(number), exact.get("*"))
    for known in (exact, {each: each for each in dataset}):
        if known is exact and str(number) in exact:
            return exact[str(number)]
        # The equal name; else the only one that is equal but for spaces; else the only one that is equal but for case too.
        for form in (str, str.strip, lambda text: text.strip().casefold()):
            if found := [key for key in known if form(key) == form(name)]:
                if len(found) == 1:
                    return known[found[0]]
                break
    return exact.get("*")


def plant_classes(draw: Draw, names: Mapping[int, str], dataset: Sequence[str]) -> dict[Any, str | None]:
    """Return settings `classes` of a set with these `names`, by name, by number or for all."""
    kind = one_of(draw, "none", "names", "numbers", "any", "mixed")
    targets = [*dataset, None]
    classes: dict[Any, str | None] = {}
    for number, name in names.items():
        if kind == "names" or (kind == "mixed" and draw.random() < 0.4):
            classes[name] = one_of(draw, *targets)
        elif kind == "numbers" or (kind == "mixed" and draw.random() < 0.4):
            classes[number] = one_of(draw, *targets)
    if kind in {"any", "mixed"} and draw.random() < 0.7:
        classes["*"] = one_of(draw, *targets)
    return classes


def plant_names(draw: Draw, names: Mapping[int, str], kind: str) -> dict[str, str]:
    """Return a file that states `names`."""
    lines = "\n".join(names.get(number, "") for number in range(max(names) + 1))
    shuffled = {number: names[number] for number in draw.permutation(list(names)).tolist()}
    notes = {"categories": [{"id": one_of(draw, number, str(number)), "name": name} for number, name in shuffled.items()]}
    return {
        "mapping": {"data.yaml": yaml.safe_dump({"nc": 3, "names": shuffled}, sort_keys=False)},
        "list": {"data.yaml": yaml.safe_dump({"names": list(names.values())})},
        "path": {"data.yaml": "names: sub/list.txt", "sub/list.txt": lines},
        "classes.txt": {one_of(draw, "classes.txt", "labels/classes.txt"): one_of(draw, lines, lines.replace("\n", "\r\n"))},
        "obj.names": {"obj.names": f"{lines}\n\n"},
        "obj.data": {"obj.data": "train = data/train.txt\nnames = data/own.list", "own.list": lines},
        "notes.json": {"notes.json": json.dumps(notes)},
    }[kind]


def plant_yolo(draw: Draw) -> Planted:
    dataset = one_of(draw, ["nsfw"], ["nsfw", "watermark"])
    chosen = [NAMES[place] for place in draw.permutation(len(NAMES))[: int(draw.integers(1, 5))].tolist()]
    has_gaps = draw.random() < 0.4
    numbers = sorted(draw.permutation(9)[: len(chosen)].tolist()) if has_gaps else range(len(chosen))
    names = dict(zip(numbers, chosen, strict=True))
    kinds = ["mapping", "path", "classes.txt", "obj.names", "obj.data", "notes.json", *([] if has_gaps else ["list"])]
    planted = Planted({}, dataset)
    stated: dict[int, str] = {}
    for _ in range(int(draw.integers(3))):
        planted.files |= plant_names(draw, names, one_of(draw, *kinds))
        stated = names
    if stated and len(names) > 1 and draw.random() < 0.15:
        # A second statement with two names exchanged. It may replace a file that stated the true ones.
        first, second, *_ = names
        wrong = {**names, first: names[second], second: names[first]}
        planted.files |= plant_names(draw, wrong, "obj.names" if "obj.names" not in planted.files else "notes.json")
        planted.is_refused = True
        if set(planted.files) <= {"obj.names"} or set(planted.files) <= {"notes.json"}:
            planted.files |= plant_names(draw, names, "mapping")
    classes = plant_classes(draw, names if stated or draw.random() < 0.5 else {n: str(n) for n in names}, dataset)
    if not stated and not classes:
        # With one class, the number 0 alone would mean it: `test_classes.py` has this case.
        planted.dataset = ["nsfw", "watermark"]
    planted.settings = {"classes": classes} | {
        key: one_of(draw, "negative", "unknown") for key in ("empty", "unannotated") if draw.random() < 0.3
    }
    # The number of one class, and the name of another.
    keys = {str(key) for key in classes}
    planted.is_refused |= any(key.isdecimal() and key in stated.values() and stated.get(int(key), key) != key for key in keys)
    layout = one_of(
        draw, ("images/{}", "labels/{}"), ("{}", "{}"), ("train/images/{}", "train/labels/{}"), ("obj_train_data/{}",) * 2
    )
    polygons = draw.random() < 0.4
    for number in range(int(draw.integers(2, 6))):
        plant_yolo_image(draw, planted, f"i{number}", layout, names, stated, polygons)
    for extra in ("README.txt", "requirements.txt", "hyp.yaml"):
        if draw.random() < 0.2:
            planted.files[extra] = "lr0: 0.1" if extra == "hyp.yaml" else "made in 2024\n0 1 2\n"
    return planted


def plant_yolo_image(
    draw: Draw,
    planted: Planted,
    name: str,
    layout: tuple[str, str],
    names: Mapping[int, str],
    stated: Mapping[int, str],
    polygons: bool,
) -> None:
    image, label = layout[0].format(f"{name}.png"), layout[1].format(f"{name}.txt")
    planted.files[image] = picture(int(draw.integers(2**31)))
    objects = planted.objects[image] = []
    kind = one_of(draw, "missing", "empty", "blank", *(["objects"] * 6))
    if kind == "missing":
        if planted.settings.get("unannotated") == "negative":
            planted.negatives.add(image)
        return
    lines = []
    for _ in range(int(draw.integers(1, 4)) if kind == "objects" else 0):
        number = int(one_of(draw, *names, *([max(names) + 1] if draw.random() < 0.1 else [])))
        known = number in stated or not stated
        # A class above the names is unknown, whatever the settings say of other labels.
        meant = meaning_of(number, stated.get(number), planted.settings["classes"], planted.dataset)
        keys = {str(key) for key in planted.settings["classes"]}
        objects.append(meant if known or str(number) in keys else None)
        # Apart, because equal boxes count once.
        x, y = draw.uniform(0.2, 0.8, 2)
        box = [x, y, *draw.uniform(0.1, 0.3, 2)]
        corners = [x - 0.1, y - 0.1, x + 0.1, y - 0.1, x + 0.1, y + 0.1, x - 0.1, y + 0.1]
        lines.append(f"{number} " + " ".join(f"{value:.6f}" for value in (corners if polygons else box)))
    if lines and draw.random() < 0.35:
        place = int(draw.integers(len(lines)))
        head, *numbers = lines[place].split()
        broken = {
            "word": [head, *numbers[:-1], "x"],
            "short": [head, *numbers[:-1]],
            "long": [head, *numbers, "0.5"],
            "class": [one_of(draw, "-1", "a", "1.5"), *numbers],
            "nan": [head, "nan", *numbers[1:]],
            "outside": [head, one_of(draw, "1.2", "-0.4", "640"), *numbers[1:]],
            "near": [head, "1.0000001", *numbers[1:]],
            "flat": [head, *numbers[:2], "0", *numbers[3:]] if not polygons else [head, *(numbers[:2] * 4)],
        }
        fault = one_of(draw, *broken)
        lines[place] = " ".join(broken[fault])
        if fault == "flat" and polygons and objects[place]:
            objects.pop(place)  # a speck beside other objects is none
    end = one_of(draw, "\n", "\r\n")
    content = end.join(lines) + one_of(draw, "", end)
    planted.files[label] = one_of(draw, content, f"\ufeff{content}") if kind != "blank" else " \n\n"
    if kind != "objects" and planted.settings.get("empty", "negative") == "negative":
        planted.negatives.add(image)
    if draw.random() < 0.05:
        planted.files[label.replace(".txt", ".TXT")] = "0 0.5 0.5 0.1 0.1"  # the equal name counts


def plant_masks(draw: Draw) -> Planted:
    dataset = one_of(draw, ["nsfw"], ["nsfw", "watermark"])
    chosen = [NAMES[place] for place in draw.permutation(len(NAMES))[: int(draw.integers(1, 5))].tolist()]
    names = dict(zip(range(1, len(chosen) + 1), chosen, strict=True))
    background = one_of(draw, "background", "_background_")
    planted = Planted({}, dataset)
    kind = one_of(draw, "none", "none", "labelmap", "mapping", "with 0", "no background")
    stated = {} if kind in {"none", "no background"} else names
    whole = {0: background, **names}
    planted.files |= {
        "none": {},
        "labelmap": {"labelmap.txt": "# label:color:parts\n" + "".join(f"{name}:1,2,3::\n" for name in whole.values())},
        "mapping": plant_names(draw, names, "mapping"),
        "with 0": plant_names(draw, whole, one_of(draw, "classes.txt", "list", "obj.names")),
        "no background": {"classes.txt": "\n".join(chosen)},
    }[kind]
    planted.is_refused = kind == "no background"
    classes = plant_classes(draw, names if stated else {number: str(number) for number in names}, dataset)
    if draw.random() < 0.3:
        classes[255] = one_of(draw, *dataset, None)
    planted.settings = {"classes": classes, "pieces": one_of(draw, "separate", "separate", "joined")}
    planted.is_refused |= any(
        str(key).isdecimal() and str(key) in stated.values() and stated.get(int(key), str(key)) != str(key) for key in classes
    )
    for number in range(int(draw.integers(2, 6))):
        plant_mask(draw, planted, f"i{number}", names, stated)
    return planted


def plant_mask(draw: Draw, planted: Planted, name: str, names: Mapping[int, str], stated: Mapping[int, str]) -> None:
    image, mask = f"images/{name}.png", f"masks/{name}.png"
    planted.files[image] = picture(int(draw.integers(2**31)))
    objects = planted.objects[image] = []
    kind = one_of(draw, "missing", "black", "white", "lossy", "void", *(["values"] * 5))
    if kind == "missing":
        return
    values = np.zeros((HEIGHT, WIDTH), np.uint8)
    drawn: list[int] = []
    for place in range(int(draw.integers(1, 5)) if kind != "black" else 0):
        value = (
            255 if kind in {"white", "lossy"} else int(one_of(draw, *names, *([max(names) + 1] if draw.random() < 0.1 else [])))
        )
        drawn.append(value)
        # In cells that do not touch.
        x, y = 20 * (place % 2) + int(draw.integers(2, 5)), 15 * (place // 2) + int(draw.integers(1, 4))
        values[y : y + int(draw.integers(6, 9)), x : x + int(draw.integers(8, 12))] = value
        if kind == "void":
            values[y, x : x + 8] = 255
            drawn.append(255)
    if planted.settings["pieces"] == "joined":
        drawn = sorted(set(drawn))
    keys = {str(key) for key in planted.settings["classes"]}
    for value in drawn:
        if value == 255 and kind in {"white", "lossy"} and len(planted.dataset) == 1 and not keys & {"255", "*"}:
            objects.append(planted.dataset[0])
        else:
            meant = meaning_of(value, stated.get(value), planted.settings["classes"], planted.dataset)
            objects.append(meant if value in stated or not stated or str(value) in keys else None)
    file = io.BytesIO()
    written = Image.fromarray(values)
    if kind == "lossy":
        lossy = io.BytesIO()
        written.save(lossy, "jpeg", quality=int(draw.integers(40, 96)))
        written = Image.open(lossy).convert("L")
    elif kind == "white" and draw.random() < 0.3:
        written = written.convert("1")
    if draw.random() < 0.1:
        written = one_of(draw, written.convert("RGB"), written.resize((WIDTH // 2, HEIGHT // 2), Image.Resampling.NEAREST))
    written.save(file, "png")
    content = file.getvalue()
    planted.files[mask] = content if draw.random() > 0.05 else content[: len(content) // 2]
    if kind == "black":
        planted.negatives.add(image)


PLANTS: dict[str, Callable[[Draw], Planted]] = {"yolo": plant_yolo, "masks": plant_masks}


def faults_of(planted: Planted, layout: str, folder: Path) -> list[str]:
    """Import a planted set in `folder`, and return each of its images that became something that it is not."""
    path = write_folder(folder / "set", planted.files)
    try:
        read = Imported(path, layout, planted.dataset, **planted.settings)
    except TesseraError:
        return []
    if planted.is_refused:
        return ["should be refused"]
    faults = []
    for image, objects in planted.objects.items():
        key = key_in_set("s", PurePosixPath(image).with_suffix("").as_posix())
        wanted = sorted(label for label in objects if label)
        if key not in read.reasons:
            faults.append(f"no row: {image}")
        elif key in read.labels:
            labels = sorted(read.labels[key])
            # An image with objects alone that are not wanted shows nothing of the dataset.
            if not labels and image not in planted.negatives and not (objects and not wanted and None not in objects):
                faults.append(f"undeclared negative: {image}")
            elif labels != wanted or None in objects:
                faults.append(f"wrong class: {image}: {labels}, not {objects}")
    return faults


def fuzz_sets(layout: str, count: int, folder: Path) -> Counter[str]:
    """Return how many of `count` random sets were imported, refused and at fault, and print the faults."""
    counts: Counter[str] = Counter()
    for number in range(count):
        planted = PLANTS[layout](np.random.default_rng([number, *layout.encode()]))
        case_folder = folder / str(number)
        case_folder.mkdir(parents=True)
        faults = faults_of(planted, layout, case_folder)
        counts["sets"] += 1
        counts["images"] += len(planted.objects)
        counts["imported"] += (case_folder / "out of set" / "counts.parquet").exists()
        for fault in faults:
            counts[fault.partition(":")[0]] += 1
            print(f"{layout} {number}: {fault}")
        shutil.rmtree(case_folder)
    return counts


@pytest.mark.parametrize("layout", PLANTS)
def test_no_object_gets_a_wrong_class_and_no_image_becomes_a_negative_or_is_lost(layout: str, tmp_path: Path) -> None:
    counts = fuzz_sets(layout, SETS, tmp_path)
    print(f"\n{layout}: {dict(counts)}")
    assert counts["imported"] > SETS / 4, "most sets should be of use"
    assert set(counts) <= {"sets", "images", "imported"}
