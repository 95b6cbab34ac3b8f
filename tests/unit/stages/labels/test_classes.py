"""Classes are read, never guessed: names of numbers, shapes of lines, values of masks, and the table of what they mean."""

import io
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from label_sets import HEIGHT, WIDTH, Imported, picture, write_folder
from PIL import Image, ImageDraw
from strategies import images

from tessera.core import log
from tessera.core.errors import TesseraError
from tessera.imaging.polygons import Part
from tessera.records.annotation.formats.yolo import write_yolo
from tessera.records.annotation.model import Annotation, ImageAnnotations

Files = dict[str, bytes | str]
BOX = "0.5 0.5 0.5 0.5"


def of_numbers(*numbers: int) -> Files:
    """A YOLO set with an image for each class number, which it shows."""
    files: Files = {}
    for number in numbers:
        files |= {f"images/{number}.png": picture(number), f"labels/{number}.txt": f"{number} {BOX}\n"}
    return files


THREE: Mapping[str, Files] = {
    "list": {"data.yaml": "names: [person, nsfw, car]"},
    "mapping": {"data.yaml": "names: {0: person, 1: nsfw, 2: car}"},
    "order of keys": {"data.yaml": "names:\n  2: car\n  1: nsfw\n  0: person\n"},
    "quoted keys": {"data.yml": "names: {'1': nsfw, '0': person, '2': car}"},
    "path": {"data.yaml": "names: ../ds/names.txt", "names.txt": "person\nnsfw\ncar\n"},
    "classes.txt": {"classes.txt": "person\r\nnsfw\r\ncar\r\n\r\n"},
    "beside labels": {"labels/classes.txt": "\ufeffperson\nnsfw\ncar"},
    "obj.names": {
        "obj.names": "person\nnsfw\ncar\n",
        "obj.data": "classes = 3\nnames = data/obj.names\n",
    },
    "other.names": {"coco.names": "person\nnsfw\ncar\n"},
    "darknet": {"x.data": "names = cfg/list.txt", "cfg/list.txt": "person\nnsfw\ncar"},
    "roboflow": {"_darknet.labels": "person\nnsfw\ncar"},
    "notes.json": {
        "notes.json": json.dumps({"categories": [{"id": n, "name": x} for n, x in ((2, "car"), (0, "person"), (1, "nsfw"))]})
    },
    "notes with texts": {
        "notes.json": json.dumps({"categories": [{"id": str(n), "name": x} for n, x in enumerate(("person", "nsfw", "car"))]})
    },
    "two that agree": {"data.yaml": "names: [person, nsfw, car]", "classes.txt": "person\nnsfw\ncar"},
}


@pytest.mark.parametrize("kind", THREE)
def test_names_are_read_wherever_a_set_states_them(tmp_path: Path, kind: str) -> None:
    read = Imported(write_folder(tmp_path / "set", of_numbers(0, 1, 2) | THREE[kind]), "yolo")
    lost = "region lost: unknown label"
    assert read.reasons == {"s+images%2F0": lost, "s+images%2F1": "ok", "s+images%2F2": lost}
    assert read.labels == {"s+images%2F1": ["nsfw"]}
    assert read.counts == [(0, "person", None, 0, 0, 1), (1, "nsfw", "nsfw", 1, 1, 0), (2, "car", None, 0, 0, 1)]
    assert read.left_out == {lost: 2} and read.negatives == {}


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        ("names:\n  1: nsfw\n  0: person\n", {"person": 0, "nsfw": 1}),
        ("names: {0: person, 2: nsfw, 3: car}\n", {"person": 0, "nsfw": 2, "car": 3}),
        ("names: {1: nsfw}\n", {"nsfw": 1}),
    ],
)
def test_keys_of_names_are_class_numbers(tmp_path: Path, names: str, shown: dict[str, int]) -> None:
    files: Files = {"data.yaml": names}
    for name, number in shown.items():
        files |= {f"images/{name}.png": picture(number), f"labels/{name}.txt": f"{number} 0.5 0.5 0.3 0.3\n"}
    read = Imported(write_folder(tmp_path / "set", files), "yolo")
    assert read.labels == {"s+images%2Fnsfw": ["nsfw"]}
    assert {read.reasons[f"s+images%2F{name}"] for name in shown if name != "nsfw"} <= {"region lost: unknown label"}


@pytest.mark.parametrize(("line", "dataset"), [("1 0.5 0.5 0.5 0.5", ["nsfw"]), ("0 0.5 0.5 0.5 0.5", ["nsfw", "watermark"])])
def test_only_the_number_0_alone_means_the_one_class_of_a_dataset_without_a_name(
    tmp_path: Path, line: str, dataset: list[str]
) -> None:
    files = {"images/1.png": picture(1), "labels/1.txt": "0 0.5 0.5 0.5 0.5"}
    alone = Imported(write_folder(tmp_path / "alone", files), "yolo")
    assert alone.labels == {"s+images%2F1": ["nsfw"]}
    files |= {"images/2.png": picture(2), "labels/2.txt": line}
    with pytest.raises(TesseraError, match="No file names them"):
        Imported(write_folder(tmp_path / "two", files), "yolo", dataset)


def test_a_set_without_names_is_refused_with_what_it_uses_and_what_to_write(tmp_path: Path) -> None:
    files = of_numbers(0, 3) | {"labels/0.txt": f"0 {BOX}\n0 0.2 0.2 0.1 0.1\n"}
    path = write_folder(tmp_path / "set", files)
    with pytest.raises(TesseraError) as refused:
        Imported(path, "yolo", ["nsfw", "watermark"], out=tmp_path / "refused")
    message = str(refused.value)
    assert message.startswith(
        "annotations.labels: 's': what do its classes 0 (2 objects in 1 image), 3 (1 object in 1 image) mean?"
    )
    assert "one of nsfw, watermark, or null" in message and message.endswith("classes: {0: …, 3: …}")
    assert not list((tmp_path / "refused").glob("*.parquet"))
    assert Imported(path, "yolo", classes={0: "nsfw", 3: None}).labels == {"s+images%2F0": ["nsfw", "nsfw"], "s+images%2F3": []}
    assert set(map(len, Imported(path, "yolo", out=tmp_path / "any", classes={"*": "nsfw"}).labels.values())) == {1, 2}


def test_a_number_that_the_settings_do_not_give_is_unknown(tmp_path: Path) -> None:
    # Even if a class of the dataset has the number as its name.
    read = Imported(write_folder(tmp_path / "set", of_numbers(0, 1)), "yolo", ["nsfw", "1"], classes={0: "nsfw"})
    assert read.reasons == {"s+images%2F0": "ok", "s+images%2F1": "region lost: unknown label"}


def test_a_number_above_the_names_leaves_out_its_image_even_if_every_label_is_wanted(tmp_path: Path) -> None:
    files = of_numbers(0, 5) | {"data.yaml": "names: [a]"}
    read = Imported(write_folder(tmp_path / "set", files), "yolo", classes={"*": "nsfw"})
    assert read.reasons == {"s+images%2F0": "ok", "s+images%2F5": "region lost: unknown label"}
    assert "5.txt:1: class 5 has no name" in read.details["s+images%2F5"]


@pytest.mark.parametrize(
    "files",
    [
        {"data.yaml": "names: [nsfw, person]", "classes.txt": "person\nnsfw"},
        {"data.yaml": "names: {1: nsfw}", "classes.txt": "nsfw"},
        {"a/classes.txt": "nsfw", "b/classes.txt": "person"},
        {"a.yaml": "names: [nsfw]", "b.yaml": "names: [person]"},
        # Label Studio writes numbers in the order of classes.txt, whatever notes.json says.
        {
            "notes.json": json.dumps({"categories": [{"id": "1", "name": "nsfw"}, {"id": "0", "name": "person"}]}),
            "classes.txt": "nsfw\nperson",
        },
    ],
)
def test_names_that_contradict_each_other_refuse_the_set(tmp_path: Path, files: Files) -> None:
    with pytest.raises(TesseraError) as refused:
        Imported(write_folder(tmp_path / "set", of_numbers(0) | files), "yolo", classes={"*": "nsfw"})
    assert all(Path(name).name in str(refused.value) for name in files) and "contradict each other" in str(refused.value)


def test_names_in_a_file_that_is_missing_are_named(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "set", of_numbers(0) | {"data.yaml": "names: lists/own.txt"})
    with pytest.raises(TesseraError, match=r"data\.yaml' names 'lists/own\.txt', which is missing"):
        Imported(path, "yolo")


@pytest.mark.parametrize("names", ["names: {0: a, 0: b}", "names: {a: 0}", "names: {0: a, x: b}"])
def test_keys_of_names_that_are_no_numbers_or_twice_there_refuse_the_set(tmp_path: Path, names: str) -> None:
    with pytest.raises(TesseraError, match=r"data\.yaml': `names` has the"):
        Imported(write_folder(tmp_path / "set", of_numbers(0) | {"data.yaml": names}), "yolo")


def test_a_label_file_of_an_image_is_no_list_of_names(tmp_path: Path) -> None:
    files: Files = {"classes.png": picture(0), "classes.txt": f"0 {BOX}", "data.yaml": "names: [nsfw]"}
    assert Imported(write_folder(tmp_path / "set", files), "yolo").labels == {"s+classes": ["nsfw"]}


def test_a_name_that_is_the_number_of_another_class_is_ambiguous_in_the_settings(tmp_path: Path) -> None:
    # Label Studio sorts names: 0, 1, number_plate.
    path = write_folder(tmp_path / "set", of_numbers(0, 1) | {"classes.txt": "number_plate\n0\n1"})
    with pytest.raises(TesseraError, match="'0' in `classes` is the name of one class and the number of another"):
        Imported(path, "yolo", classes={"0": "nsfw"})


@pytest.mark.parametrize(
    ("layout", "labels"),
    [
        ("yolo", {"a.txt": f"0 {BOX}", "data.yaml": "names: [person, car]"}),
        ("labelme", {"a.json": json.dumps({"imagePath": "a.png", "shapes": [
            {"label": label, "points": [[1, 1], [20, 20]], "shape_type": "rectangle"} for label in ("person", "car")
        ]})}),
    ],
)  # fmt: skip
def test_a_key_of_classes_that_is_no_label_is_an_error_with_what_was_meant(tmp_path: Path, layout: str, labels: Files) -> None:
    path = write_folder(tmp_path / "set", {"a.png": picture(0)} | labels)
    with pytest.raises(TesseraError) as refused:
        Imported(path, layout, classes={"persn": "nsfw", "car": None}, out=tmp_path / "wrong")
    assert "annotations.labels: 's': `classes` has 'persn', which is no label of the set; did you mean 'person'?" in str(
        refused.value
    )
    assert "'car', 'person'" in str(refused.value)
    read = Imported(path, layout, classes={"Person": "nsfw", "car": None, "*": None})
    assert read.labels == {"s+a": ["nsfw"]}


def test_a_key_may_be_that_of_labels_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_terminal", terminal := io.StringIO())
    shape = {"label": "nsfw", "points": [[1, 1], [20, 20]], "shape_type": "rectangle"}
    files: Files = {f"{name}.png": picture(number) for number, name in enumerate("ab")}
    files |= {"a.json": json.dumps({"imagePath": "a.png", "shapes": [shape]}), "b.json": "{"}
    assert Imported(write_folder(tmp_path / "set", files), "labelme", classes={"dog": None}).labels == {"s+a": ["nsfw"]}
    assert "`classes` has 'dog', which is no label of the set" in terminal.getvalue()


def test_the_log_shows_what_each_label_means(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_terminal", terminal := io.StringIO())
    files = of_numbers(0, 1, 2) | {"images/e.png": picture(9), "labels/e.txt": "", "images/n.png": picture(8)}
    files["data.yaml"] = "names: [person, dog, cat, car]"
    read = Imported(
        write_folder(tmp_path / "set", files), "yolo", classes={"person": "nsfw", "dog": None}, unannotated="negative"
    )
    assert read.counts == [
        (0, "person", "nsfw", 1, 1, 0),
        (1, "dog", "", 1, 1, 0),
        (2, "cat", None, 0, 0, 1),
        (3, "car", None, 0, 0, 0),
    ]
    assert read.negatives == {
        "labels state no region": 1,
        "no label file, taken for a negative": 1,
        "only labels that are not wanted": 1,
    }
    lines = [" ".join(line.split()) for line in terminal.getvalue().splitlines()]
    for line in (
        "annotations.labels: what the labels of 's' mean:",
        "number name class here objects images left out",
        "0 person nsfw 1 1 0",
        "1 dog not wanted 1 1 0",
        "2 cat unknown 0 0 1",
        "3 car unknown 0 0 0",
        "negative: 1 image: labels state no region",
        "left out: 1 image: region lost: unknown label",
    ):
        assert line in lines


# Shapes of lines


def one_line(tmp_path: Path, *lines: str, more: Files | None = None, **stated: object) -> Imported:
    files: Files = {"data.yaml": "names: [nsfw]"} | (more or {})
    for number, line in enumerate(lines):
        files |= {f"{number}.png": picture(number), f"{number}.txt": f"0 {line}\n"}
    return Imported(write_folder(tmp_path / "set", files), "yolo", **stated)


POSE = "0.5 0.5 0.4 0.4 0.35 0.35 0.65 0.35 0.65 0.65 0.35 0.65"


def test_poses_are_read_by_their_declared_shape(tmp_path: Path) -> None:
    read = one_line(tmp_path, POSE, f"{POSE} 0.1", BOX, more={"data.yaml": "kpt_shape: [4, 2]\nnames: {0: nsfw}\n"})
    assert read.boxes == {"s+0": [pytest.approx((12, 9, 28, 21))]} and read.images["s+0"].annotations[0].polygons is None
    assert read.reasons == {"s+0": "keypoints left out", "s+1": "broken YOLO label", "s+2": "broken YOLO label"}
    assert "13 numbers after the class; kpt_shape [4, 2] makes 12" in read.details["s+1"]


def test_keypoints_may_lie_outside_the_image_and_have_a_visibility(tmp_path: Path) -> None:
    read = one_line(tmp_path, f"{BOX} -0.2 1.4 2 0 0 0", more={"data.yaml": "kpt_shape: [2, 3]\nnames: [nsfw]\n"})
    assert read.boxes == {"s+0": [pytest.approx((10, 7.5, 30, 22.5))]}


@pytest.mark.parametrize("shape", ["[4, 5]", "17", "[0, 2]", "[a, 2]", "[4, 2, 1]"])
def test_a_shape_of_keypoints_that_is_none_refuses_the_set(tmp_path: Path, shape: str) -> None:
    with pytest.raises(TesseraError, match="`kpt_shape` should be"):
        one_line(tmp_path, POSE, more={"data.yaml": f"kpt_shape: {shape}\nnames: [nsfw]\n"})


def test_poses_without_a_declared_shape_are_refused(tmp_path: Path) -> None:
    lines = [f"0.5 0.5 0.4 0.{n}4 0.35 0.5 0.65 0.5 0.55 0.5" for n in range(2, 9)] + [
        f"0.5 0.5 0.4{n} 0.4 0.35 0.5 0.65 0.5 0.55 0.5" for n in range(5)
    ]
    with pytest.raises(TesseraError, match="seems to be a box with keypoints"):
        one_line(tmp_path, *lines)


TRACK = "0.5 0.5 0.4 0.4 0.91 7"
TRIANGLE = "0.1 0.1 0.9 0.1 0.5 0.9"
LONGER = "0.1 0.1 0.9 0.1 0.9 0.9 0.1 0.9"


@pytest.mark.parametrize("lines", [(TRACK,), (TRIANGLE,), (TRIANGLE, BOX)])
def test_lines_of_six_numbers_alone_are_refused_until_the_settings_say_what_they_are(
    tmp_path: Path, lines: tuple[str, ...]
) -> None:
    with pytest.raises(TesseraError, match=r"triangles, or boxes with .* `lines: polygons` or `lines: detections`"):
        one_line(tmp_path, *lines)


def test_trackers_write_boxes_with_their_confidence_and_track(tmp_path: Path) -> None:
    read = one_line(tmp_path, TRACK, "0.5 0.5 0.4 0.4 0.91", "0.5 0.5 0.4 0.4", LONGER, lines="detections")
    assert read.boxes == {f"s+{n}": [pytest.approx((12, 9, 28, 21))] for n in range(3)}
    assert read.reasons == {
        "s+0": "confidence or track left out",
        "s+1": "confidence or track left out",
        "s+2": "ok",
        "s+3": "broken YOLO label",
    }


def test_triangles_beside_longer_polygons_are_triangles(tmp_path: Path) -> None:
    for place, read in {
        "auto": one_line(tmp_path / "auto", TRIANGLE, LONGER, BOX),
        "polygons": one_line(tmp_path / "polygons", TRIANGLE, LONGER, BOX, lines="polygons"),
    }.items():
        assert read.boxes["s+0"] == [pytest.approx((4, 3, 36, 27))] and read.images["s+0"].annotations[0].polygons
        assert read.reasons["s+2"] == ("ok" if place == "auto" else "broken YOLO label")


@given(images(score=False, crowd=False))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@pytest.mark.parametrize("task", ["segment", "detect"])
def test_our_own_files_are_never_ambiguous(
    tmp_path_factory: pytest.TempPathFactory, task: str, image: ImageAnnotations
) -> None:
    folder = write_folder(
        tmp_path_factory.mktemp("own") / "set", {"a.png": picture(0), "data.yaml": "names: [nsfw, watermark]"}
    )
    triangle = Annotation.of_parts("nsfw", (Part(np.array([[1.0, 1], [9, 1], [5, 9]])),))
    image = ImageAnnotations("a", WIDTH, HEIGHT, (*image.annotations, triangle))
    written = len(image.annotations) - len(
        [loss for loss in write_yolo(image, ["nsfw", "watermark"], task, folder / "a.txt") if not loss.kept]
    )
    assert (folder / "a.txt").read_text().count("\n") == written
    read = Imported(folder, "yolo", ["nsfw", "watermark"], min_area=0)
    assert read.status == {"s+a": "ok"}


@pytest.mark.parametrize(
    ("line", "box"),
    [
        ("0.5 0.5 1.0000001 1", (0, 0, 40, 30)),
        ("1.0000001 0.5 0.5 0.5", (30, 7.5, 40, 22.5)),
        ("0 0 1.009 0 1 1 -0.009 1", (0, 0, 40, 30)),
    ],
)
def test_coordinates_up_to_one_percent_outside_are_clipped_with_a_remark(
    tmp_path: Path, line: str, box: tuple[float, ...]
) -> None:
    read = one_line(tmp_path, line)
    assert read.boxes["s+0"] == [pytest.approx(box)]
    assert "coordinates up to 1 % outside the image were clipped" in read.reasons["s+0"] and "line 1" in read.details["s+0"]


@pytest.mark.parametrize("line", ["0.5 0.5 1.011 1", "0 0 1.02 0 1 1 0 1", "-0.02 0.5 0.5 0.5", "0.5 0.5 -0.005 0.5"])
def test_coordinates_further_outside_fail_the_image(tmp_path: Path, line: str) -> None:
    read = one_line(tmp_path, line)
    assert read.reasons == {"s+0": "broken YOLO label"} and "0.txt:1: " in read.details["s+0"]


def test_label_files_in_folders_named_after_those_of_images_are_found(tmp_path: Path) -> None:
    files: Files = {"data.yaml": "names: [nsfw]"}
    for number, (pictured, labelled) in enumerate((("train_images", "train_labels"), ("images_val", "labels_val"))):
        files |= {f"{pictured}/{number}.png": picture(number), f"{labelled}/{number}.txt": f"0 {BOX}"}
    read = Imported(write_folder(tmp_path / "set", files), "yolo")
    assert read.splits == {"s+train_images%2F0": "train", "s+images_val%2F1": "val"} and all(read.labels.values())


def test_a_label_file_beside_others_whose_image_is_missing_is_a_row(tmp_path: Path) -> None:
    files: Files = {"obj_train_data/a.png": picture(0), "obj.names": "nsfw", "obj_train_data/README.txt": "made by hand"}
    files |= {"obj_train_data/a.txt": f"0 {BOX}", "obj_train_data/gone.txt": f"0 {BOX}"}
    read = Imported(write_folder(tmp_path / "set", files), "yolo")
    assert read.reasons == {"s+obj_train_data%2Fa": "ok", "s+obj_train_data%2Fgone": "label without an image"}
    assert read.splits == {"s+obj_train_data%2Fa": "train"}


# Masks


def mask(values: np.ndarray, mode: str = "L", palette: list[int] | None = None) -> bytes:
    file = io.BytesIO()
    drawn = Image.fromarray(values).convert("L")
    if palette is not None:
        drawn = Image.frombytes("P", drawn.size, drawn.tobytes())
        drawn.putpalette(palette)
    drawn.convert(mode if palette is None else "P").save(file, format="PNG")
    return file.getvalue()


def square(value: int, x: int = 10, y: int = 5) -> np.ndarray:
    values = np.zeros((HEIGHT, WIDTH), np.uint8)
    values[y : y + 10, x : x + 15] = value
    return values


def of_masks(*masks: bytes, more: Files | None = None) -> Files:
    files: Files = dict(more or {})
    for number, drawn in enumerate(masks):
        files |= {f"images/{number}.png": picture(number), f"masks/{number}.png": drawn}
    return files


def test_a_black_and_white_mask_states_the_one_class_of_the_dataset_and_none_of_several(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "set", of_masks(mask(square(255)), mask(square(255), "1")))
    assert list(Imported(path, "masks", ["watermark"]).labels.values()) == [["watermark"]] * 2
    several = Imported(path, "masks", ["nsfw", "watermark"], out=tmp_path / "several")
    assert set(several.reasons.values()) == {"unknown value in mask"}
    assert "has the values 255, which no class has" in several.details["s+images%2F0"]
    assert "`classes: {255: nsfw}`" in several.details["s+images%2F0"]
    for number, classes in enumerate(({255: "watermark"}, {"*": "watermark"})):
        named = Imported(path, "masks", ["nsfw", "watermark"], out=tmp_path / str(number), classes=classes)
        assert list(named.labels.values()) == [["watermark"]] * 2


def test_values_without_a_name_fail_the_image(tmp_path: Path) -> None:
    both = square(1) + square(3, 26, 17)
    path = write_folder(tmp_path / "set", of_masks(mask(square(1)), mask(both)))
    read = Imported(path, "masks", classes={1: "nsfw"})
    assert read.reasons == {"s+images%2F0": "ok", "s+images%2F1": "unknown value in mask"}
    assert "has the values 3, which no class has" in read.details["s+images%2F1"]
    assert read.status["s+images%2F1"] == "failed"
    assert set(Imported(path, "masks", out=tmp_path / "none").reasons.values()) == {"unknown value in mask"}


@pytest.mark.parametrize(
    "names",
    [
        {"labelmap.txt": "# label:color_rgb:parts:actions\nbackground:0,0,0::\nperson:1,2,3::\nnsfw:3,4,5::\n"},
        {"classes.txt": "_background_\nperson\nnsfw"},
        {"data.yaml": "names: {2: nsfw, 1: person}"},
    ],
)
def test_files_beside_masks_name_their_values(tmp_path: Path, names: Files) -> None:
    files = of_masks(mask(square(2)), mask(square(1)), mask(square(0)), more=names)
    read = Imported(write_folder(tmp_path / "set", files), "masks", classes={"person": None})
    assert list(read.labels.values()) == [["nsfw"], [], []]
    assert read.counts == [(1, "person", "", 1, 1, 0), (2, "nsfw", "nsfw", 1, 1, 0)]


def test_names_that_give_the_background_to_a_class_are_refused(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "set", of_masks(mask(square(1)), more={"classes.txt": "nsfw\nperson"}))
    with pytest.raises(TesseraError, match="gives 0 the name 'nsfw', and 0 is the background in masks"):
        Imported(path, "masks")


def drawn_mask(width: int, height: int, *ellipses: tuple[int, int, int, int]) -> Image.Image:
    drawn = Image.new("L", (width, height))
    for ellipse in ellipses:
        ImageDraw.Draw(drawn).ellipse(ellipse, fill=255)
    return drawn


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "png")
    return file.getvalue()


@pytest.mark.parametrize("quality", [30, 60, 85, 95])
def test_grey_edges_of_a_black_and_white_mask_are_thresholded(tmp_path: Path, quality: int) -> None:
    drawn = drawn_mask(960, 540, (250, 100, 700, 450))
    lossy = io.BytesIO()
    drawn.save(lossy, "jpeg", quality=quality)
    files: Files = {"images/a.png": picture(0, 960, 540), "masks/a.png": png(Image.open(lossy).convert("L"))}
    files |= {"images/b.png": picture(1, 480, 270), "masks/b.png": png(drawn.resize((480, 270), Image.Resampling.BICUBIC))}
    read = Imported(write_folder(tmp_path / "set", files), "masks")
    assert read.labels == {"s+images%2Fa": ["nsfw"], "s+images%2Fb": ["nsfw"]}
    for key, full in (("s+images%2Fa", 1), ("s+images%2Fb", 4)):
        found = read.images[key]
        area = np.count_nonzero(found.annotations[0].mask(found.height, found.width))
        assert area == pytest.approx(np.count_nonzero(np.asarray(drawn)) / full, rel=0.01)
        assert read.reasons[key].startswith("grey pixels of a black and white mask were taken as black below 128")


def test_classes_beside_a_void_border_are_no_noise(tmp_path: Path) -> None:
    void = np.asarray(drawn_mask(WIDTH, HEIGHT, (8, 4, 30, 26))).copy()
    void[np.asarray(drawn_mask(WIDTH, HEIGHT, (10, 6, 28, 24))) > 0] = 15
    many = np.asarray(drawn_mask(WIDTH, HEIGHT, (8, 4, 30, 26))).copy()
    many[10:18, 12:20] = 100
    read = Imported(write_folder(tmp_path / "set", of_masks(mask(void), mask(many))), "masks")
    assert set(read.reasons.values()) == {"unknown value in mask"}
    assert "15, 255" in read.details["s+images%2F0"] and "100, 255" in read.details["s+images%2F1"]


def test_the_index_255_of_a_palette_is_white_or_no_binary_mask(tmp_path: Path) -> None:
    grey = [channel for value in range(256) for channel in (value,) * 3]
    voc = [*grey[:-3], 224, 224, 192]
    files = of_masks(mask(square(255), palette=grey), mask(square(255), palette=voc))
    read = Imported(write_folder(tmp_path / "set", files), "masks")
    assert read.reasons == {"s+images%2F0": "ok", "s+images%2F1": "unknown value in mask"}


def test_pieces_of_a_mask_are_one_object_if_the_settings_say_so(tmp_path: Path) -> None:
    pieces = square(1) + square(1, 26, 17) + square(2, 0, 17)
    path = write_folder(tmp_path / "set", of_masks(mask(pieces)))
    classes = {1: "nsfw", 2: "watermark"}
    separate = Imported(path, "masks", ["nsfw", "watermark"], classes=classes)
    assert sorted(separate.labels["s+images%2F0"]) == ["nsfw", "nsfw", "watermark"]
    joined = Imported(path, "masks", ["nsfw", "watermark"], classes=classes, pieces="joined", out=tmp_path / "joined")
    assert joined.labels["s+images%2F0"] == ["nsfw", "watermark"]
    areas = [np.count_nonzero(one.mask(HEIGHT, WIDTH)) for one in joined.images["s+images%2F0"].annotations]
    assert areas == [np.count_nonzero(pieces == value) for value in (1, 2)]


def test_a_number_in_the_settings_that_no_label_of_a_set_without_names_has_is_refused(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "set", of_numbers(0, 3))
    with pytest.raises(TesseraError, match=r"`classes` has '4', which is no label of the set.*'0', '3'"):
        Imported(path, "yolo", classes={0: "nsfw", 4: None})


def test_objects_that_are_left_out_of_an_image_that_is_used_are_not_counted(tmp_path: Path) -> None:
    region = {"image_id": 1, "category_id": 1, "segmentation": []}
    boxes = [{"id": 1, "bbox": [4, 4, 20, 20], "iscrowd": 1}, {"id": 2, "bbox": [8, 8, 9, 9]}, {"id": 3, "bbox": [1, 1, 2, 2]}]
    document = {
        "images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 30}],
        "categories": [{"id": 1, "name": "nsfw"}],
        "annotations": [{**region, "iscrowd": 0, **box} for box in boxes],
    }
    path = write_folder(tmp_path / "set", {"a.png": picture(1), "a.json": json.dumps(document)})
    read = Imported(path, "coco", min_area=16, iscrowd="ignore")
    assert read.labels == {"s+a": ["nsfw"]} and read.counts == [(1, "nsfw", "nsfw", 1, 1, 0)]
