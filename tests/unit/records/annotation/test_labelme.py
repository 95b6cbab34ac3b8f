import base64
import contextlib
import io
import json
import math
import os
import re
import signal
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from labelme_program import save_in_labelme
from PIL import Image
from strategies import HEIGHT, WIDTH, images, plain

from tessera.core.errors import Dropped, Failed, TesseraError
from tessera.core.ledger import read_ledger
from tessera.core.provenance import sha256_file
from tessera.imaging.hashing import perceptual_hash
from tessera.imaging.polygons import Part, rectangle
from tessera.records.annotation.annotation_tables import read_annotations
from tessera.records.annotation.formats.labelme import (
    MAX_SHAPES,
    embedded_image,
    image_path,
    is_proposal,
    load_labelme,
    read_labelme,
    write_labelme,
)
from tessera.records.annotation.model import Annotation, ImageAnnotations
from tessera.records.label_sets import LabelledSet
from tessera.records.tables.annotation import Images
from tessera.records.tables.table import read_table
from tessera.stages.labels.sets import import_labels
from tessera.stages.labels.settings import AnnotationSettings

BLOCKLIST = Path(__file__).parents[4] / "config" / "blocklist.tsv"
few = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def shape(points, kind="polygon", label="nsfw", **more):
    return {"label": label, "points": points, "shape_type": kind, "group_id": None, "flags": {}, **more}


def square(x0, y0, x1, y1, **more):
    return shape([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], **more)


def document(*shapes, **more):
    stated = {
        "version": "5.5.0",
        "flags": {},
        "imagePath": "one.jpg",
        "imageData": None,
        "imageHeight": HEIGHT,
        "imageWidth": WIDTH,
    }
    return {**stated, "shapes": list(shapes), **more}


def read(*shapes, **more):
    return read_labelme(document(*shapes, **more), "one", WIDTH, HEIGHT)


def png(mask):
    file = io.BytesIO()
    Image.fromarray(mask).save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode()


@few
@given(images(box_alone=False))
def test_written_annotations_are_read_back(tmp_path, image):
    assert write_labelme(image, tmp_path / "one.json", "one.jpg") == []
    again, losses = read_labelme(load_labelme(tmp_path / "one.json"), "one", WIDTH, HEIGHT)
    assert losses == []
    for found, annotation in zip(again.annotations, image.annotations, strict=True):
        assert np.array_equal(found.mask(HEIGHT, WIDTH), annotation.mask(HEIGHT, WIDTH))
        assert (found.label, found.crowd, found.score) == (annotation.label, annotation.crowd, annotation.score)
        # Rings that labelme would read differently are written as a mask.
        if found.rle is None or annotation.rle is not None:
            assert plain(ImageAnnotations("", 1, 1, (found,))) == plain(ImageAnnotations("", 1, 1, (annotation,)))


def test_holes_and_parts_are_written_as_rings_of_a_group(tmp_path):
    parts = (Part(rectangle((1, 1, 20, 20)), (rectangle((4, 4, 16, 16)),)), Part(rectangle((7, 7, 12, 12))))
    image = ImageAnnotations("one", WIDTH, HEIGHT, (Annotation.of_parts("nsfw", parts),))
    write_labelme(image, tmp_path / "one.json", "one.jpg")
    shapes = load_labelme(tmp_path / "one.json")["shapes"]
    assert [one["shape_type"] for one in shapes] == ["polygon"] * 3 and len({one["group_id"] for one in shapes}) == 1
    again, _ = read_labelme(load_labelme(tmp_path / "one.json"), "one", WIDTH, HEIGHT)
    assert plain(again) == plain(image)


def test_a_box_without_a_mask_becomes_a_rectangle_and_a_loss(tmp_path):
    image = ImageAnnotations("one", WIDTH, HEIGHT, (Annotation("nsfw", None, None, (1.0, 2.0, 9.0, 8.0)),))
    (loss,) = write_labelme(image, tmp_path / "one.json", "one.jpg")
    assert loss.reason == "labelme has no boxes" and loss.kept
    again, _ = read_labelme(load_labelme(tmp_path / "one.json"), "one", WIDTH, HEIGHT)
    assert again.annotations[0].box == (1, 2, 9, 8)


def test_an_image_without_regions_has_the_flag_sfw_and_one_without_flags_is_unlabelled(tmp_path):
    empty = ImageAnnotations("one", WIDTH, HEIGHT)
    write_labelme(empty, tmp_path / "one.json", "one.jpg")
    assert plain(read_labelme(load_labelme(tmp_path / "one.json"), "one", WIDTH, HEIGHT)[0]) == plain(empty)
    write_labelme(empty, tmp_path / "one.json", "one.jpg", proposal=True)
    with pytest.raises(Dropped, match="unlabelled") as error:
        read_labelme(load_labelme(tmp_path / "one.json"), "one", WIDTH, HEIGHT)
    assert not isinstance(error.value, Failed)


def proposed(folder):
    region = Annotation.of_parts("nsfw", (Part(rectangle((1, 1, 5, 5))),), score=0.5)
    write_labelme(ImageAnnotations("one", WIDTH, HEIGHT, (region,)), folder / "one.json", "one.jpg", proposal=True)
    return folder / "one.json"


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda text: text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: json.dumps(json.loads(text), sort_keys=True),
        lambda text: text.replace("5.0", "5"),
        lambda text: text.replace('"one.jpg"', '"../pictures/one.jpg"'),
    ],
    ids=["as written", "line ends", "order of keys", "way of numbers", "place of the image"],
)
def test_a_proposal_is_known_until_labelme_saves_it(tmp_path, rewrite):
    path = proposed(tmp_path)
    path.write_text(rewrite(path.read_text()), newline="")
    assert is_proposal(load_labelme(path))
    save_in_labelme(path)
    assert not is_proposal(load_labelme(path))


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document["shapes"][0]["points"][0].__setitem__(0, 2.0),
        lambda document: document["shapes"].clear(),
        lambda document: document["flags"].update(accept=True),
    ],
    ids=["point", "shape", "flag"],
)
def test_a_proposal_that_was_changed_by_hand_is_none(tmp_path, change):
    path = proposed(tmp_path)
    document = load_labelme(path)
    change(document)
    path.write_text(json.dumps(document))
    assert not is_proposal(load_labelme(path))


def test_a_proposal_with_lists_nested_too_deeply_is_none(tmp_path):
    document = load_labelme(proposed(tmp_path))
    for _ in range(9999):
        document["flags"] = {"sfw": document["flags"]}
    assert not is_proposal(document)


def test_labelme_can_save_a_proposal_that_is_right(tmp_path):
    """It saves only what was changed: a flag has to be there that means nothing else."""
    path = proposed(tmp_path)
    assert load_labelme(path)["flags"] == {"sfw": False, "accept": False}
    before, _ = read_labelme(load_labelme(path), "one", WIDTH, HEIGHT)
    save_in_labelme(path, lambda document: document["flags"].update(accept=True))
    after, _ = read_labelme(load_labelme(path), "one", WIDTH, HEIGHT)
    assert plain(after) == plain(before)


def test_the_writer_writes_what_labelme_requires(tmp_path):
    annotations = (Annotation.of_parts("nsfw", (Part(rectangle((1, 1, 5, 5))),), score=0.5),)
    write_labelme(ImageAnnotations("one", WIDTH, HEIGHT, annotations), tmp_path / "one.json", "../one.jpg")
    written = json.loads((tmp_path / "one.json").read_text())
    assert set(written) == {"version", "flags", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth"}
    assert set(written["shapes"][0]) >= {"label", "points", "group_id", "description", "shape_type", "flags", "mask"}
    assert written["flags"] == {"sfw": False}


def test_rectangles_circles_and_masks_become_the_regions_that_labelme_draws():
    mask = np.array([[0, 1, 1], [1, 0, 1]], np.uint8)
    image, losses = read(
        shape([[9, 8], [2, 3]], "rectangle"),
        shape([[20, 15], [23, 19]], "circle"),
        shape([[30, 5], [32, 6]], "mask", mask=png(mask)),
        shape([[5, 20], [9, 22], [8, 25], [4, 23]], "oriented_rectangle"),
    )
    assert losses == []
    box, disc, drawn, _ = image.annotations
    assert box.box == (2, 3, 9, 8)
    assert disc.box == pytest.approx((15, 10, 25, 20), abs=0.3)
    assert drawn.box == (30, 5, 33, 7)
    assert np.array_equal(drawn.mask(HEIGHT, WIDTH)[5:7, 30:33], mask * 255)


def test_shapes_of_one_label_and_group_are_one_region_and_inner_rings_are_holes():
    image, _ = read(
        square(1, 1, 20, 20, group_id=4),
        square(5, 5, 10, 10, group_id=4),
        square(25, 1, 30, 9, group_id=4),
        square(6, 6, 9, 9, group_id=4, label="watermark"),
        square(6, 6, 9, 9),
    )
    assert [(one.label, [len(part.holes) for part in one.polygons]) for one in image.annotations] == [
        ("nsfw", [1, 0]),
        ("watermark", [0]),
        ("nsfw", [0]),
    ]


def test_labels_that_differ_only_in_case_or_spaces_are_one_label_in_a_group():
    image, losses = read(
        square(1, 1, 9, 9, label="Nsfw", group_id=1), square(11, 1, 19, 9, label=" nsfw\n", group_id=1), square(1, 1, 9, 9)
    )
    assert [(one.label, len(one.polygons)) for one in image.annotations] == [("Nsfw", 2), ("nsfw", 1)]
    assert not losses


def test_a_mask_and_rings_of_one_group_are_united():
    image, _ = read(
        square(1, 1, 5, 5, group_id=1), shape([[20, 20], [21, 21]], "mask", group_id=1, mask=png(np.ones((2, 2), np.uint8)))
    )
    (region,) = image.annotations
    assert np.count_nonzero(region.mask(HEIGHT, WIDTH)) == 5 * 5 + 4


def test_a_line_is_a_loss_a_point_a_minor_one_and_the_others_stay():
    image, losses = read(
        square(1, 1, 9, 9),
        shape([[1, 1], [9, 9]], "line"),
        shape([[1, 1], [9, 9], [3, 2]], "linestrip"),
        shape([[1, 1]], "point"),
        square(30, 20, 60, 25),
    )
    assert len(image.annotations) == 2 and image.annotations[1].box == (30, 20, WIDTH, 25)
    assert [(loss.key, loss.reason, loss.kept, loss.minor) for loss in losses] == [
        ("one#1", "a line has no area", False, False),
        ("one#2", "a linestrip has no area", False, False),
        ("one#3", "a point has no area", False, True),
        ("one#4", "cut at the border of the image", True, False),
    ]


HOSTILE = [
    ("broken shape", [shape([[1, 1], [5, 5]])]),
    ("broken shape", [shape([])]),
    ("broken shape", [shape(None)]),
    ("broken shape", [shape([[1, 2, 3]] * 3)]),
    ("broken shape", [shape([[1, math.nan], [5, 5], [1, 5]])]),
    ("broken shape", [shape([[1, math.inf], [5, 5], [1, 5]])]),
    ("broken shape", [shape([[1, 10**400], [5, 5], [1, 5]])]),
    ("broken shape", [shape([[1, 1e300], [5, 5], [1, 5]])]),
    ("broken shape", [shape([[1, "a"], [5, 5], [1, 5]])]),
    ("broken shape", [shape([["1", "1"], ["5", "5"], ["1", "5"]])]),
    ("broken shape", [shape([[True, False], [5, 5], [1, 5]])]),
    ("broken shape", [shape([[1, 1], [5, 5], [1, 5]], group_id=True)]),
    ("broken shape", [shape([[1, 1], [5, 5], [1, 5]], score=True)]),
    ("broken shape", [shape([[1, 1], [5, 5], [1, 5]], kind="star")]),
    ("broken shape", [shape([[1, 1], [5, 5], [1, 5]], kind=3)]),
    ("broken shape", [shape([[1, 1], [5, 5], [1, 5]], label=None)]),
    ("broken shape", [shape([[1, 1], [5, 5], [1, 5]], group_id="a")]),
    ("broken shape", [shape([[1, 1], [5, 5], [1, 5]], score=7)]),
    ("broken shape", [shape([[1, 1], [5, 5], [3, 3]], kind="rectangle")]),
    ("broken shape", [shape([[1, 1], [2, 2]], kind="mask")]),
    ("broken shape", [shape([[1, 1], [2, 2]], kind="mask", mask="AAAA")]),
    ("broken shape", [shape([[1, 1], [2, 2]], kind="mask", mask="ü")]),
    ("broken shape", [shape([[1, 1], [2, 2]], kind="mask", mask=png(np.ones((2, 100), np.uint8)))]),
    ("shape without area", [shape([[1, 1], [2, 2]], kind="mask", mask=png(np.zeros((2, 2), np.uint8)))]),
    ("shape without area", [shape([[1, 1], [5, 5], [3, 3]])]),
    ("shape without area", [shape([[1, 1], [1, 1]], kind="rectangle")]),
    ("shape without area", [shape([[1, 1], [1, 1]], kind="circle")]),
    ("shape outside the image", [square(-9, -9, -1, -1)]),
    ("shape outside the image", [shape([[100, 100], [101, 101]], kind="mask", mask=png(np.ones((2, 2), np.uint8)))]),
]


@pytest.mark.parametrize(("reason", "shapes"), HOSTILE)
def test_a_shape_that_cannot_be_read_fails_its_image(reason, shapes):
    with pytest.raises(Failed) as error:
        read(square(1, 1, 9, 9), *shapes)
    assert error.value.reason == reason and "shape 1" in error.value.detail


@pytest.mark.parametrize(
    ("reason", "more"),
    [
        ("flagged sfw, yet there are shapes", {"flags": {"sfw": True}}),
        ("size differs from the image", {"imageWidth": WIDTH + 1}),
        ("size differs from the image", {"imageHeight": "30"}),
    ],
)
def test_a_contradiction_fails_the_image(reason, more):
    with pytest.raises(Failed, match=reason):
        read(square(1, 1, 9, 9), **more)


@pytest.mark.parametrize(
    ("reason", "data"),
    [
        ("empty file", b""),
        ("broken JSON", b"{"),
        ("broken JSON", b"\xff\xfe\xfd"),
        ("broken JSON", b"[" * 200_000),
        ("broken JSON", b'{"shapes": ' + b"9" * 5000 + b"}"),
        ("not a labelme file", b"[]"),
        ("not a labelme file", b"3"),
        ("not a labelme file", b'{"images": []}'),
        ("not a labelme file", b'{"shapes": [3]}'),
        ("not a labelme file", b'{"shapes": [], "flags": [1]}'),
        ("too many shapes", json.dumps({"shapes": [{}] * (MAX_SHAPES + 1)}).encode()),
    ],
)
def test_a_file_that_is_not_from_labelme_fails(tmp_path, reason, data):
    (tmp_path / "one.json").write_bytes(data)
    with pytest.raises(Failed) as error:
        load_labelme(tmp_path / "one.json")
    assert error.value.reason == reason
    assert str(tmp_path / "one.json") in error.value.detail
    assert re.search("; (correct|copy|remove)", error.value.detail), "no fix"
    assert not re.search(r"recursion|sys\.", error.value.detail), "it is for programmers"


def test_a_huge_file_is_not_read(tmp_path):
    with (tmp_path / "one.json").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(Failed, match="label file too large"):
        load_labelme(tmp_path / "one.json")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["nsfw", "mask", "polygon", "circle"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)
POINTS = JSON | st.lists(st.lists(st.floats() | st.integers(), min_size=2, max_size=2), max_size=5)
SHAPES = st.fixed_dictionaries(
    {},
    optional={
        "label": st.just("nsfw") | JSON,
        "points": POINTS,
        "shape_type": st.sampled_from(["polygon", "rectangle", "circle", "mask", "line"]) | JSON,
        "group_id": st.integers(0, 1) | JSON,
        "mask": st.just(png(np.ones((3, 3), np.uint8))) | JSON,
        "score": JSON,
        "crowd": JSON,
    },
)
DOCUMENTS = JSON | st.fixed_dictionaries(
    {"shapes": st.lists(SHAPES, max_size=4) | JSON},
    optional={"flags": JSON, "imagePath": JSON, "imageData": JSON, "imageWidth": JSON, "imageHeight": JSON},
)


@pytest.mark.slow
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(DOCUMENTS)
def test_no_document_crashes_the_reader(tmp_path, value):
    (tmp_path / "one.json").write_text(json.dumps(value))
    with contextlib.suppress(Dropped):
        read = load_labelme(tmp_path / "one.json")
        embedded_image(read)
        with contextlib.suppress(Dropped):
            image_path(read, tmp_path / "one.json", PurePosixPath("one.json"))
        image, _ = read_labelme(read, "one", WIDTH, HEIGHT)
        for annotation in image.annotations:
            assert annotation.mask(HEIGHT, WIDTH).any()


@pytest.mark.parametrize(
    "name",
    [
        "/etc/hostname",
        "../one.jpg",
        "a/../../one.jpg",
        "C:\\one.jpg",
        "\\\\host\\one.jpg",
        "..\\one.jpg",
    ],
)
def test_an_image_path_that_leaves_its_folder_fails(tmp_path, name):
    with pytest.raises(Failed, match="image path leaves its folder"):
        image_path({"imagePath": name}, tmp_path / "one.json", PurePosixPath("one.json"))


def test_an_image_path_inside_the_folder_may_have_either_slash(tmp_path):
    path = tmp_path / "one.json"
    assert image_path({"imagePath": "a\\b.jpg"}, path, PurePosixPath("one.json")) == "a/b.jpg"
    assert image_path({"imagePath": "../b.jpg"}, path, PurePosixPath("drawn/one.json")) == "b.jpg"
    with pytest.raises(Failed, match="image path leaves its folder"):
        image_path({"imagePath": "a\0.jpg"}, path, PurePosixPath("one.json"))


class Folder:
    """A folder of labels, and the result of its import."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "labels"
        self.root.mkdir()

    def image(self, name: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(len(name)).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
        Image.fromarray(pixels).save(path)

    def label(self, name: str, **more) -> None:
        stem = Path(name).with_suffix(".png").name
        (self.root / name).write_text(json.dumps(document(square(1, 1, 9, 9), **{"imagePath": stem, **more})))

    def run(self, **more):
        label_set = LabelledSet(name="my set", path=self.root, content="general", rights="CC0", **more)
        tables = [self.folder / name for name in ("images", "annotations", "embedded", "ledger", "counts")]
        import_labels(
            label_set,
            "annotations.labels",
            f"labels:{label_set.name}",
            ["nsfw"],
            16,
            BLOCKLIST,
            8,
            Path("results/embedded"),
            *tables,
        )
        rows = {row["key"]: (row["status"], row["reason"]) for row in read_ledger(self.folder / "ledger")}
        assert len(rows) == len(read_ledger(self.folder / "ledger"))
        for row in read_ledger(self.folder / "ledger"):
            says = row["detail"]
            assert row["status"] == "ok" or (str(self.root) in says and re.search("[;:] ", says)), f"no file or no fix: {row}"
        images = read_table(self.folder / "images", Images)
        assert set(images["key"]) == {key for key, (status, _) in rows.items() if status == "ok"}
        assert [image.key for image in read_annotations(self.folder / "annotations", self.folder / "images")] == images[
            "key"
        ].to_list()
        return rows, images


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def test_a_folder_becomes_tables_and_every_image_is_a_row(folder):
    for name in ("a.png", "b.jpg", "deep/ü &.png", "c.png", "c.jpg", "alone.png", "empty.png"):
        folder.image(name)
    for name in ("a.json", "c.json", "deep/ü &.json", "gone.json", "again.json"):
        folder.label(name)
    folder.label("again.json", imagePath="a.png")
    folder.label("b.json", imagePath="b.jpg", shapes=[], flags={"sfw": True})
    folder.label("empty.json", shapes=[])
    (folder.root / ".hidden.json").write_text("{")
    (folder.root / "text.json").write_text("{")
    rows, images = folder.run(split="val")
    assert rows == {
        "my%20set+a": ("ok", ""),
        "my%20set+again": ("failed", "image is labelled twice"),
        "my%20set+alone": ("dropped", "unlabelled"),
        "my%20set+b": ("ok", ""),
        "my%20set+c": ("failed", "several files of one name"),
        "my%20set+deep%2F%C3%BC%20%26": ("ok", ""),
        "my%20set+empty": ("dropped", "unlabelled"),
        "my%20set+gone": ("failed", "image missing"),
        "my%20set+text": ("failed", "broken JSON"),
    }
    assert images["source"].unique().to_list() == ["labels:my set"]
    assert images["split"].unique().to_list() == ["val"] and images["rights"].unique().to_list() == ["CC0"]
    assert all(Path(path).exists() for path in images["path"])


def test_a_label_file_may_name_an_image_with_another_stem(folder):
    folder.image("photo.png")
    folder.label("label.json", imagePath="photo.png")
    assert folder.run()[0] == {"my%20set+label": ("ok", "")}


def test_of_names_that_differ_only_in_case_the_equal_one_is_meant(folder):
    for name in ("a.png", "A.png"):
        folder.image(name)
    folder.label("a.json")
    rows, images = folder.run()
    assert {key: row[1] for key, row in rows.items()} == {"my%20set+a": "", "my%20set+A": "unlabelled"}
    assert [Path(path).name for path in images["path"]] == ["a.png"]


def test_a_missing_image_is_taken_from_its_label_file_and_noted(folder):
    data = base64.b64decode(png(np.zeros((HEIGHT, WIDTH, 3), np.uint8)))
    folder.label("v1.0.json", imagePath="v1.0.jpg", imageData=base64.b64encode(data).decode())
    folder.label("text.json", imageData="AAAA")
    rows, images = folder.run()
    assert rows == {
        "my%20set+text": ("failed", "image missing"),
        "my%20set+v1.0": ("ok", "image missing, the copy in its label file was taken"),
    }
    assert images["path"].to_list() == ["results/embedded/my%20set+v1.0.png"]
    assert (folder.folder / "embedded" / "my%20set+v1.0.png").read_bytes() == data


def test_an_embedded_copy_is_ignored_if_the_image_exists(folder):
    folder.image("a.png")
    folder.label("a.json", imageData="AAAA")
    assert folder.run()[0] == {"my%20set+a": ("ok", "")}


def test_a_broken_image_and_a_name_that_is_not_utf8_fail(folder):
    (folder.root / "a.png").write_bytes(b"text")
    folder.label("a.json")
    folder.image("b.png")
    (folder.root / "b.png").rename(folder.root / "b\udcff.png")
    folder.label("b.json", imagePath="b\udcff.png")
    rows, _ = folder.run()
    assert rows["my%20set+a"] == ("failed", "image cannot be decoded")
    assert rows["my%20set+b%ED%B3%BF.png"] == ("failed", "file name is not UTF-8")
    assert rows["my%20set+b"] == ("failed", "image missing")


def test_a_pipe_fails_without_blocking(folder):
    os.mkfifo(folder.root / "pipe.png")
    os.mkfifo(folder.root / "label.json")
    for name in ("pipe", "folder", "long"):
        folder.label(f"{name}.json", imagePath={"pipe": "pipe.png", "folder": ".", "long": 5000 * "x"}[name])

    def give_up(*_: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(10)
    rows, _ = folder.run()
    signal.alarm(0)
    assert {key.removeprefix("my%20set+"): reason for key, (_, reason) in rows.items()} == {
        "folder": "image missing",
        "label": "not a regular file",
        "long": "image missing",
        "pipe": "not a regular file",
    }


def test_a_link_to_a_label_that_is_gone_fails(folder):
    folder.image("a.png")
    (folder.root / "a.json").symlink_to("gone.json")
    rows, _ = folder.run()
    assert rows == {"my%20set+a": ("failed", "missing")}


def test_a_missing_folder_is_an_error_that_names_it(folder):
    folder.root.rmdir()
    with pytest.raises(TesseraError, match=r"annotations\.labels: 'my set': .* is not there"):
        folder.run()


def test_labels_need_the_same_rights_as_sources():
    row = {"name": "a", "path": "a", "rights": "CC0"}
    adult = {**row, "content": "adult", "consent": "release 7", "adults_verified": "yes"}
    AnnotationSettings(labels=[adult])
    blank = {**adult, "consent": " "}, {**adult, "rights": " "}
    for bad in (row, {**adult, "consent": ""}, {**adult, "adults_verified": "no"}, {**adult, "rights": ""}, *blank):
        with pytest.raises(ValueError):
            AnnotationSettings(labels=[bad])
    with pytest.raises(ValueError, match="differ in more than case"):
        AnnotationSettings(labels=[adult, {**adult, "name": "A"}])
    with pytest.raises(ValueError, match="listed twice"):
        AnnotationSettings(classes=["nsfw", "nsfw"])


def test_a_labelled_image_on_the_blocklist_is_left_out(tmp_path: Path) -> None:
    root = tmp_path / "labels"
    root.mkdir()
    rng = np.random.default_rng(0)
    for name in ("fine", "same", "alike"):
        Image.fromarray(rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)).save(root / f"{name}.png")
        label = document(square(1, 1, 9, 9), imagePath=f"{name}.png")
        (root / f"{name}.json").write_text(json.dumps(label))
    listed = tmp_path / "blocklist.tsv"
    alike = perceptual_hash(np.asarray(Image.open(root / "alike.png")))
    rows = [("sha256", "phash", "reason"), (sha256_file(root / "same.png"), "", "a"), ("", f"{alike ^ 0b101:016x}", "b")]
    listed.write_text("\n".join("\t".join(row) for row in rows))
    label_set = LabelledSet(name="set", path=root, content="general", rights="CC0")
    tables = [tmp_path / name for name in ("images", "annotations", "embedded", "ledger", "counts")]
    import_labels(
        label_set, "annotations.labels", f"labels:{label_set.name}", ["nsfw"], 16, listed, 2, Path("results/embedded"), *tables
    )
    reasons = {row["key"]: row["reason"] for row in read_ledger(tmp_path / "ledger")}
    assert reasons == {"set+fine": "", "set+same": "on the blocklist", "set+alike": "looks like a picture on the blocklist"}
    assert read_table(tmp_path / "images", Images)["key"].to_list() == ["set+fine"]
