"""A face set: every face has its places and a reason, and what is selected is linked, masked and packed, unchanged."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from face_pictures import head_landmarks, portrait
from tessera.core.ledger import read_ledger
from tessera.core.provenance import sha256_file
from tessera.extras.face_sets.alignment import transform
from tessera.extras.face_sets.hull import face_hull
from tessera.extras.face_sets.jpeg_metadata import write_metadata
from tessera.extras.face_sets.landmarks import five_points
from tessera.extras.face_sets.masks import mask_faces
from tessera.extras.face_sets.metadata import FaceMetadata
from tessera.extras.face_sets.packs import read_index, unpack
from tessera.extras.face_sets.select import select_faces
from tessera.extras.face_sets.settings import FaceFilterSettings
from tessera.extras.face_sets.sort import faces_in, sort_faces
from tessera.extras.face_sets.sorts import SORTS, sort_by_best
from tessera.extras.face_sets.write import pack_faces, write_face_set, write_masks
from tessera.imaging.images import read_image, write_image
from tessera.learning.mask_settings import MaskModelSettings
from tessera.records.decisions import Decision
from tessera.records.subjects import Subject
from tessera.records.tables.faces import FaceDistances, FaceMasks, FaceOrders, Faces, SelectedFaces
from tessera.records.tables.table import read_table, types, write_table

SIZE = 64
ADA = Subject.model_validate(
    {"name": "Ada", "consent": "release 1", "scope": "face_sets", "adult_attested": "yes", "evidence": "a" * 64}
)
KEEP_ALL = {name: None for name in FaceFilterSettings.model_fields if name.startswith(("max_", "min_"))}


def write_faces(folder: Path, count: int, points: int = 68) -> tuple[list[Path], list[Path]]:
    """Write `count` faces of a set in two shards; faces 0 and 1 are in one frame. Return the tables and the folders."""
    draw = np.random.default_rng(0)
    shards: list[list[dict[str, Any]]] = [[], []]
    for number in range(count):
        name = f"film-{max(number, 1):07d}-face-{int(number == 1)}"
        place = folder / f"shard{number % 2}"
        place.mkdir(exist_ok=True)
        image = portrait(SIZE, draw)
        landmarks = head_landmarks(draw.normal(0, 0.4), draw.normal(0, 0.2), draw.normal(0, 0.1), SIZE)
        write_image(place / f"{name}.jpg", image)
        content = (place / f"{name}.jpg").read_bytes()
        if points == 68:
            (place / f"{name}.jpg").write_bytes(write_metadata(content, FaceMetadata("whole_face", landmarks)))
        else:
            landmarks = five_points(landmarks)
        matrix = np.array([[0.5, 0, 3], [0, 0.5, -4]])
        # In the frame, which is twice as large.
        in_frame = (landmarks - matrix[:, 2]) * 2
        row = dict.fromkeys(("x0", "y0", "cut_off", "misfit", "dark", "bright"), 0.0)
        row |= {
            "x1": 10.0 + number,
            "y1": 20.0,
            "confidence": 0.9,
            "contrast": 50.0,
            "turned": 0,
            "index": number,
            "size": SIZE,
        }
        row |= {"yaw": 0.01, "pitch": 0.01, "roll": 0.0} if points == 68 else {}
        row |= {"key": name, "source": "film", "frame": f"film-{max(number, 1):07d}", "landmarks": in_frame.ravel().tolist()}
        row |= {
            "matrix": matrix.ravel().tolist(),
            "face_type": "whole",
            "placed_by": "detector",
            "file": f"{name}.jpg",
            "sha256": "s",
        }
        shards[number % 2].append(row)
    for number, rows in enumerate(shards):
        frame = pl.DataFrame([{**dict.fromkeys(types(Faces)), **row} for row in rows], schema=types(Faces))
        write_table(frame, Faces, folder / f"faces{number}.parquet")
    return [folder / f"faces{number}.parquet" for number in (0, 1)], [folder / f"shard{number}" for number in (0, 1)]


def change(tables: list[Path], key: str, **values: float | str) -> None:
    """Change the `values` of the row of the face `key`."""
    for path in tables:
        rows = [{**row, **(values if row["key"] == key else {})} for row in read_table(path, Faces).to_dicts()]
        write_table(pl.DataFrame(rows, schema=types(Faces)), Faces, path)


def selected(
    folder: Path, tables: list[Path], folders: list[Path], decided: Mapping[str, str] | None = None, **settings: Any
) -> tuple[list[str], dict[str, str]]:
    """Return the keys that are selected, and the reason of each other face. `decided`: decisions by their keys."""
    out = folder / "selected.parquet"
    orders = folder / "orders.parquet"
    if not orders.exists():
        sort_faces(tables, folders, orders=orders, sheets=folder / "sheets")
    filters = FaceFilterSettings(**{**KEEP_ALL, **settings})
    masks = [folder / "occluded.parquet"] if (folder / "occluded.parquet").exists() else []
    distances = folder / "distances.parquet"
    decisions = [
        Decision(key=key, decision=each, who="Bo", when="2026-01-31", classifier="ada") for key, each in (decided or {}).items()
    ]
    outputs = {"selected": out, "ledger": folder / "ledger.jsonl", "matched": folder / "decisions.jsonl"}
    far = distances if distances.exists() else None
    select_faces(tables, folders, orders, far, masks, filters, decisions, **outputs)
    rows = read_ledger(folder / "ledger.jsonl")
    keys = read_table(out, SelectedFaces)["key"].to_list()
    assert keys == sorted(row["key"] for row in rows if row["status"] == "ok")
    return keys, {row["key"]: row["reason"] for row in rows if row["status"] == "dropped"}


def mask_all(folder: Path, tables: list[Path], folders: list[Path]) -> None:
    """Mask all faces by the hulls of their landmarks, and those of the set in `folder` with a part of these masks."""
    for table, images in zip(tables, folders, strict=True):
        made = {"masks": Path(f"{images}-masks"), "table": Path(f"{images}-masks.parquet")}
        mask_faces(table, images, ADA, None, MaskModelSettings(), None, folder / "outlined", code="1", **made)
    parts = [[Path(f"{images}-masks{suffix}") for images in folders] for suffix in (".parquet", "")]
    write_masks(folder / "faces.parquet", *parts, masks=folder / "masks", table=folder / "masks.parquet")


def test_each_sort_gives_each_face_a_place_and_has_a_sheet(tmp_path: Path) -> None:
    tables, folders = write_faces(tmp_path, 8)
    before = {path: path.read_bytes() for path in tmp_path.glob("shard*/*")}
    sort_faces(tables, folders, orders=tmp_path / "orders.parquet", sheets=tmp_path / "sheets")
    orders = read_table(tmp_path / "orders.parquet", FaceOrders)
    faces = [face for table, folder in zip(tables, folders, strict=True) for face in faces_in(table, folder)]
    for name, sort in SORTS.items():
        places = sort(faces)
        ranks = dict(orders.filter(sort=name).select("key", "rank").iter_rows())
        assert ranks == {key: place.rank for key, place in places.items()} and len(ranks) == 8
        assert read_image(tmp_path / "sheets" / f"{name}.jpg").shape[1] > 8 * 128 / 2
    assert orders.filter(sort="area").sort("rank")["value"].to_list() == sorted(
        (20.0 * (10 + n) for n in range(8)), reverse=True
    )
    assert {path: path.read_bytes() for path in tmp_path.glob("shard*/*")} == before


def test_without_68_landmarks_some_sorts_say_why_they_have_no_ranks(tmp_path: Path) -> None:
    tables, folders = write_faces(tmp_path, 4, points=5)
    keys, _ = selected(tmp_path, tables, folders, min_sharpness=1.0, rare=0)
    assert len(keys) == 4, "what could not be measured leaves out nothing"
    orders = read_table(tmp_path / "orders.parquet", FaceOrders).filter(sort="yaw")
    assert orders["rank"].to_list() == [None] * 4
    assert all(reason.startswith("wrong number of landmarks") for reason in orders["reason"])


@pytest.mark.parametrize(
    ("name", "value", "limit", "reason"),
    [
        ("cut_off", 0.2, {"max_cut_off": 0.1}, "cut off"),
        ("misfit", 0.2, {"max_misfit": 0.1}, "landmarks misplaced"),
        ("dark", 0.6, {"max_dark": 0.5}, "too dark"),
        ("bright", 0.3, {"max_bright": 0.2}, "too bright"),
        ("contrast", 11.0, {"min_contrast": 12.0}, "low contrast"),
    ],
)
def test_a_face_beyond_a_limit_is_left_out(
    tmp_path: Path, name: str, value: float, limit: dict[str, float], reason: str
) -> None:
    tables, folders = write_faces(tmp_path, 4)
    change(tables, "film-0000002-face-0", **{name: value})
    keys, reasons = selected(tmp_path, tables, folders, **limit)
    assert reasons == {"film-0000002-face-0": reason} and len(keys) == 3
    # The limit itself is not beyond it.
    change(tables, "film-0000002-face-0", **{name: next(iter(limit.values()))})
    assert selected(tmp_path, tables, folders, **limit)[1] == {}


def test_a_person_may_place_landmarks_that_are_unlike_the_mean_face(tmp_path: Path) -> None:
    tables, folders = write_faces(tmp_path, 2)
    change(tables, "film-0000001-face-0", misfit=0.3, placed_by="hand")
    change(tables, "film-0000001-face-1", misfit=0.3)
    assert selected(tmp_path, tables, folders, max_misfit=0.1)[1] == {"film-0000001-face-1": "landmarks misplaced"}


def test_a_covered_face_is_left_out_where_that_could_be_measured(tmp_path: Path) -> None:
    tables, folders = write_faces(tmp_path, 4)
    keys = selected(tmp_path, tables, folders, max_occlusion=0.3)[0]
    assert len(keys) == 4, "nothing measures it"
    occlusion = dict(zip(keys, (0.3, 0.31, None, 1.0), strict=True))
    rows = [(key, f"{key}.png", "hull" if value is None else "model", value, "") for key, value in occlusion.items()]
    write_table(pl.DataFrame(rows, schema=types(FaceMasks), orient="row"), FaceMasks, tmp_path / "occluded.parquet")
    reasons = selected(tmp_path, tables, folders, max_occlusion=0.3)[1]
    assert reasons == dict.fromkeys((keys[1], keys[3]), "occluded")
    details = {row["key"]: row["detail"] for row in read_ledger(tmp_path / "ledger.jsonl")}
    assert details[keys[1]] == "0.31 > 0.3"
    assert len(selected(tmp_path, tables, folders, max_occlusion=None)[0]) == 4


def test_a_face_that_is_far_from_the_person_is_another_person(tmp_path: Path) -> None:
    tables, folders = write_faces(tmp_path, 4)
    near, far, unknown = (f"film-000000{number}-face-0" for number in (1, 2, 3))
    write_table(pl.DataFrame({"key": [near, far], "distance": [0.5, 0.7]}), FaceDistances, tmp_path / "distances.parquet")
    keys, reasons = selected(tmp_path, tables, folders, max_distance=0.637)
    assert reasons == {far: "another person"} and near in keys and unknown in keys, "what is not known leaves out nothing"
    assert selected(tmp_path, tables, folders, max_distance=0.7)[1] == {}


def test_a_blurred_face_stays_where_its_direction_is_rare(tmp_path: Path) -> None:
    tables, folders = write_faces(tmp_path, 6)
    change(tables, "film-0000002-face-0", yaw=0.8)
    assert len(selected(tmp_path, tables, folders, min_sharpness=1.0, rare=6)[0]) == 6
    keys, reasons = selected(tmp_path, tables, folders, min_sharpness=1.0, rare=1)
    sharpness = dict(read_table(tmp_path / "orders.parquet", FaceOrders).filter(sort="blur").select("key", "value").iter_rows())
    blurred = {key for key, value in sharpness.items() if value < 1}
    assert blurred - {"film-0000002-face-0"} == reasons.keys() and set(reasons.values()) == {"blurred"}
    assert "film-0000002-face-0" in keys and "film-0000002-face-0" in blurred


def test_faces_that_are_alone_and_the_best_are_selected_with_reasons(tmp_path: Path) -> None:
    tables, folders = write_faces(tmp_path, 6)
    together = ["film-0000001-face-0", "film-0000001-face-1"]
    keys, reasons = selected(tmp_path, tables, folders, alone=True)
    assert reasons == dict.fromkeys(together, "several faces in the frame") and len(keys) == 4
    keys, reasons = selected(tmp_path, tables, folders, alone=True, best=1)
    faces = [face for table, folder in zip(tables, folders, strict=True) for face in faces_in(table, folder)]
    left = [face for face in faces if face.name not in together]
    chosen = sorted(key for key, place in sort_by_best(left, target=1).items() if not place.reason)
    assert keys == chosen
    assert set(reasons.values()) <= {"several faces in the frame", "not among the best"}


def test_a_rejected_face_is_left_out_and_an_accepted_one_stays_whatever_the_filters_say(tmp_path: Path) -> None:
    tables, folders = write_faces(tmp_path, 6)
    accepted, rejected, gone = "film-0000002-face-0", "film-0000003-face-0", "film-0000009-face-0"
    change(tables, accepted, dark=0.9)
    decided = {f"{accepted}+0-0-12-20": "keep", rejected: "drop", gone: "drop"}
    keys, reasons = selected(tmp_path, tables, folders, decided, max_dark=0.5)
    assert reasons == {rejected: "rejected by a person"} and accepted in keys
    details = {row["key"]: (row["reason"], row["detail"]) for row in read_ledger(tmp_path / "ledger.jsonl")}
    assert details[accepted] == ("accepted by a person", "Bo, 2026-01-31; otherwise too dark: 0.9 > 0.5")
    matched = {row["key"]: (row["status"], row["detail"]) for row in read_ledger(tmp_path / "decisions.jsonl")}
    assert matched[f"{accepted}+0-0-12-20"] == ("ok", accepted) and matched[rejected] == ("ok", "")
    assert matched[gone] == ("dropped", "Bo, 2026-01-31; there is no such face") and matched.keys() == set(decided)


def test_a_face_is_alone_in_its_frame_if_the_other_is_rejected(tmp_path: Path) -> None:
    tables, folders = write_faces(tmp_path, 4)
    first, second = "film-0000001-face-0", "film-0000001-face-1"
    assert selected(tmp_path, tables, folders, alone=True)[1].keys() == {first, second}
    keys, reasons = selected(tmp_path, tables, folders, {first: "drop"}, alone=True)
    assert second in keys and reasons == {first: "rejected by a person"}


def test_a_rejected_face_takes_no_place_among_the_best_and_an_accepted_one_needs_none(tmp_path: Path) -> None:
    tables, folders = write_faces(tmp_path, 24)
    best, reasons = selected(tmp_path, tables, folders, best=1)
    other = sorted(reasons)[0]
    keys, reasons = selected(tmp_path, tables, folders, {best[0]: "drop", other: "keep"}, best=1)
    assert other in keys and reasons[best[0]] == "rejected by a person"
    faces = [face for table, folder in zip(tables, folders, strict=True) for face in faces_in(table, folder)]
    places = sort_by_best([face for face in faces if face.name != best[0]], target=1)
    assert set(keys) == {key for key, place in places.items() if not place.reason} | {other}


def test_a_set_is_linked_masked_packed_and_unpacked_without_a_change(tmp_path: Path) -> None:
    tables, folders = write_faces(tmp_path, 5)
    change(tables, "film-0000002-face-0", cut_off=1.0)
    keys, _ = selected(tmp_path, tables, folders, max_cut_off=0.5)
    write_face_set(
        tmp_path / "selected.parquet", tables, folders, aligned=tmp_path / "aligned", table=tmp_path / "faces.parquet"
    )
    files = sorted((tmp_path / "aligned").iterdir())
    assert [file.stem for file in files] == keys and len(keys) == 4
    assert all(file.read_bytes() == next(tmp_path.glob(f"shard*/{file.name}")).read_bytes() for file in files)

    mask_all(tmp_path, tables, folders)
    for row in read_table(tmp_path / "masks.parquet", FaceMasks).to_dicts():
        face = read_table(tmp_path / "faces.parquet", Faces).filter(key=row["key"]).to_dicts()[0]
        points = transform(np.reshape(face["landmarks"], (-1, 2)), np.reshape(face["matrix"], (2, 3)))
        mask = read_image(tmp_path / "masks" / row["file"])[..., 0]
        assert (
            (row["origin"], row["reason"]) == ("hull", "") and mask.shape == (SIZE, SIZE) and set(np.unique(mask)) == {0, 255}
        )
        x, y = face_hull(points, SIZE, SIZE).mean(axis=0).astype(int)
        assert mask[y, x] == 255 and mask[0, 0] == 0

    pack_faces(
        tmp_path / "faces.parquet", tmp_path / "aligned", path=tmp_path / "faceset.pak", ledger=tmp_path / "packed.jsonl"
    )
    assert [(row["key"], row["status"]) for row in read_ledger(tmp_path / "packed.jsonl")] == [(key, "ok") for key in keys]
    assert len(read_index(tmp_path / "faceset.pak")) == 4
    unpack(tmp_path / "faceset.pak", tmp_path / "unpacked")
    assert {file.name: sha256_file(file) for file in (tmp_path / "unpacked").iterdir()} == {
        file.name: sha256_file(file) for file in files
    }


def test_faces_without_68_landmarks_have_no_mask_and_are_not_packed_and_say_so(tmp_path: Path) -> None:
    tables, folders = write_faces(tmp_path, 3, points=5)
    selected(tmp_path, tables, folders)
    write_face_set(
        tmp_path / "selected.parquet", tables, folders, aligned=tmp_path / "aligned", table=tmp_path / "faces.parquet"
    )
    mask_all(tmp_path, tables, folders)
    masks = read_table(tmp_path / "masks.parquet", FaceMasks)
    assert masks["file"].to_list() == [None] * 3 and all(reason.startswith("wrong number") for reason in masks["reason"])
    pack_faces(
        tmp_path / "faces.parquet", tmp_path / "aligned", path=tmp_path / "faceset.pak", ledger=tmp_path / "packed.jsonl"
    )
    assert {row["status"] for row in read_ledger(tmp_path / "packed.jsonl")} == {"failed"}
    assert len(list((tmp_path / "aligned").iterdir())) == 3, "nothing is deleted"


def test_a_set_without_faces_is_empty_tables(tmp_path: Path) -> None:
    tables, folders = write_faces(tmp_path, 2)
    for path in tables:
        write_table(read_table(path, Faces).clear(), Faces, path)
    assert selected(tmp_path, tables, folders, best=10) == ([], {})
    write_face_set(
        tmp_path / "selected.parquet", tables, folders, aligned=tmp_path / "aligned", table=tmp_path / "faces.parquet"
    )
    assert not list((tmp_path / "aligned").iterdir())
