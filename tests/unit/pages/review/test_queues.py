"""Each queue begins with what a decision is worth most about, and misses nothing that can be decided."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from clip_tables import clip, score, write_clips, write_scores, write_sources
from hypothesis import given
from hypothesis import strategies as st

from tessera.core.ledger import Ledger
from tessera.pages.review.gather import gather
from tessera.pages.review.queues.asked import Answers, find_asked
from tessera.pages.review.queues.clips import UNSURE, ClipFolder, find_clips, suspicion
from tessera.pages.review.queues.faces import DISTANCE, FaceSetFiles, find_faces
from tessera.pages.review.queues.frames import FrameFolder, find_frames, find_regions
from tessera.pages.review.queues.identities import find_identities
from tessera.pages.review.queues.labels import Checked, find_labels
from tessera.pages.review.queues.pairs import find_pairs
from tessera.records.limits import FilterSettings, ScoreLimit
from tessera.records.rounds import RECORD, AskedPicture, Round, round_name
from tessera.records.tables.annotation import Annotations, Images
from tessera.records.tables.classification import LabelErrors, Pictures, Scored
from tessera.records.tables.crops import Crops
from tessera.records.tables.embeddings import Embeddings, NearDuplicates
from tessera.records.tables.faces import FaceDistances, FaceOrders, Faces
from tessera.records.tables.footage import Duplicates, Frames
from tessera.records.tables.identities import Identities
from tessera.records.tables.image_labels import ImageLabels
from tessera.records.tables.review import FALSE_POSITIVES, FRAMES, ReviewItems
from tessera.records.tables.table import Table, read_table, types, write_table


def write(path: Path, schema: type[Table], rows: list[dict[str, Any]]) -> Path:
    """Write a table whose other columns have no values, or empty ones."""
    usual = {pl.String(): "", pl.Float64(): 0.5, pl.Int64(): 1, pl.UInt64(): 0, pl.Boolean(): False}
    full = [{name: row.get(name, usual.get(kind)) for name, kind in types(schema).items()} for row in rows]
    write_table(pl.DataFrame(full, schema=types(schema)), schema, path)
    return path


def frame_folder(folder: Path, frames: list[dict[str, Any]], regions: list[dict[str, Any]]) -> FrameFolder:
    """Write the files of a shard with these frames and the detections in them."""
    seen = {"nsfw": write(folder / "regions.parquet", Annotations, regions)}
    return FrameFolder(write(folder / "frames.parquet", Frames, frames), folder, seen, folder / "verdicts.jsonl")


# The score of each clip, if it was measured, and whether the clip is kept.
SCORES = st.lists(st.tuples(st.one_of(st.floats(0, 1), st.none()), st.booleans()), min_size=1, max_size=20).filter(
    lambda clips: any(value is not None for value, _ in clips)
)


@given(SCORES, st.floats(0, 1))
def test_a_score_is_suspicious_if_it_is_near_the_limit_and_few_that_are_kept_have_it(clips: list[Any], limit: float) -> None:
    values, kept = np.array([value for value, _ in clips], float), np.array([stays for _, stays in clips])
    found = suspicion(values, limit, kept)
    assert ((found >= 0) & (found <= 1)).all() and not found[np.isnan(values)].any()
    room = abs(float(np.nanmedian(values)) - limit)
    compared = [value for value, stays in clips if stays and value is not None]
    for own, (value, stays) in zip(found, clips, strict=True):
        if value is not None and room:
            way = 1 + (value - limit) / room
            near = min(max(way, 0), 1)
            fraction = max(sum(other >= value for other in compared), 1) / max(len(compared), 1)
            is_beyond = value > limit and not stays
            assert own == pytest.approx(min(way - 1, 1) if is_beyond else near / (near + fraction))


@given(SCORES, st.floats(0, 1))
def test_a_larger_score_is_not_less_suspicious(clips: list[Any], limit: float) -> None:
    values, kept = np.array([value for value, _ in clips], float), np.array([stays for _, stays in clips])
    found = suspicion(values, limit, kept)
    for own in (kept & ~np.isnan(values), ~kept & (values > limit)):
        assert (np.diff(found[own][np.argsort(values[own], kind="stable")]) >= -1e-12).all()


def write_clip_folder(room: Path, rows: dict[str, dict[str, Any]]) -> ClipFolder:
    """Write the tables of clips whose scores differ from good ones by `rows`; `confidence` is that of the detector."""
    room.mkdir(parents=True)
    write_clips(room, [clip(key, score=row.get("confidence", 0.9)) for key, row in rows.items()], {})
    usual = {"watermark": 0.0, "quality": None}
    seen = [{**usual, **{name: value for name, value in row.items() if name != "confidence"}} for row in rows.values()]
    write_scores(room / "scores.parquet", [score(key, **row) for key, row in zip(rows, seen, strict=True)])
    return ClipFolder(room / "clips.parquet", room / "scores.parquet", room / "images", room / "masks")


def write_verdicts(path: Path, keys: list[str], dropped: dict[str, str]) -> Path:
    """Write a ledger of filters that drop clips for the reasons `dropped`."""
    rows = [
        {"key": key, "status": "dropped" if key in dropped else "ok", "reason": dropped.get(key, ""), "detail": ""}
        for key in keys
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_clips_near_a_limit_come_first_with_the_reason(tmp_path: Path) -> None:
    keys = [f"film-{100 * number:07}-1" for number in range(9)]
    odd = {keys[1]: {"watermark": 0.2}, keys[2]: {"jump": 0.9}, keys[3]: {"watermark": 1.0}, keys[8]: {"confidence": 0.55}}
    folder = write_clip_folder(tmp_path / "room", {key: odd.get(key, {}) for key in keys})
    ledger = write_verdicts(tmp_path / "ledger.jsonl", keys, {keys[3]: "watermark", keys[4]: "looks like another clip"})
    found = {each["key"]: each for each in find_clips([folder], {}, [ledger], FilterSettings(), 0.5)}
    assert found.keys() == set(keys)
    first = sorted(found.values(), key=lambda each: -each["value"])[:3]
    assert {(each["key"], each["reason"]) for each in first} == {
        (keys[1], "watermark"),
        (keys[2], "mask jumps"),
        (keys[8], UNSURE),
    }
    assert found[keys[8]]["detail"] == "confidence 0.55, at least 0.5"
    assert found[keys[3]]["state"] == "dropped" and "dropped: watermark" in found[keys[3]]["detail"]
    assert found[keys[0]]["state"] == "kept" and found[keys[0]]["value"] == 0 and found[keys[0]]["reason"] == "as usual"
    assert found[keys[4]]["state"] == "dropped" and found[keys[4]]["value"] == 0
    assert found[keys[0]]["clip"].endswith(f"images/{keys[0]}.mp4") and found[keys[0]]["frames"] == 30


def test_scorers_of_one_fault_are_pooled_and_their_disagreement_is_shown(tmp_path: Path) -> None:
    seen = {  # what the detector and the classifier of watermarks see
        "nothing": (0.0, 0.1),
        "detector": (0.2, 0.1),
        "both": (0.2, 0.8),
        "just beyond": (0.3, 0.1),
        "just beyond, both": (0.3, 0.85),
        "far beyond": (0.9, 0.1),
    }
    keys = {f"film-{100 * number:07}-1": name for number, name in enumerate([*seen, *["nothing"] * 8])}
    folder = write_clip_folder(tmp_path / "room", {key: {"watermark": seen[name][0]} for key, name in keys.items()})
    classes = [
        {"key": key, "classes": ["clean", "watermarked"], "probabilities": [1 - seen[name][1], seen[name][1]], "score": None}
        for key, name in keys.items()
    ]
    tables = {"marks": [write(tmp_path / "scored", Scored, classes)]}
    ledger = write_verdicts(
        tmp_path / "ledger.jsonl", list(keys), {key: "watermark" for key, name in keys.items() if "beyond" in name}
    )
    limit = ScoreLimit(label="watermarked", max=0.9)
    filters = FilterSettings(classifiers={"marks": limit})
    found = {keys[each["key"]]: each for each in find_clips([folder], tables, [ledger], filters, 0.5)}
    value = {name: each["value"] for name, each in found.items()}
    assert value["nothing"] == 0 < value["detector"] < value["both"]
    assert value["far beyond"] == 0 < value["just beyond, both"] < value["just beyond"]
    assert found["detector"]["reason"] == "watermark"
    assert found["detector"]["detail"] == "watermark 0.2, at most 0.25; classifier marks: watermarked 0.1, at most 0.9"
    assert found["both"]["detail"] == "classifier marks: watermarked 0.8, at most 0.9; watermark 0.2, at most 0.25"


def test_the_items_do_not_depend_on_shards_or_their_order(tmp_path: Path) -> None:
    draws = np.random.default_rng(0).uniform(0, 0.25, (8, 2)).tolist()
    rows = {
        f"film-{100 * number:07}-1": {"confidence": 1 - unsure, "jump": jump} for number, (unsure, jump) in enumerate(draws)
    }
    whole = write_clip_folder(tmp_path / "whole", rows)
    shards = [write_clip_folder(tmp_path / key, {key: row}) for key, row in rows.items()]
    one, other = (
        sorted((each["key"], each["value"], each["reason"]) for each in find_clips(folders, {}, [], FilterSettings(), 0.5))
        for folders in ([whole], shards[::-1])
    )
    assert one == other and len({value for _, value, _ in one}) > 4


def test_frames_with_doubtful_regions_come_first_and_false_positives_apart(tmp_path: Path) -> None:
    frames = [
        {"key": f"{source}-000000{number}", "source": source, "file": f"{number}.jpg", "width": 100, "height": 50}
        for source in ("film", "free")
        for number in range(3)
    ]
    seen = {"film-0000000": [0.9, 0.45], "film-0000001": [0.99], "free-0000000": [0.8], "free-0000001": [0.2]}
    regions = [
        {"key": key, "number": number, "label": "nsfw", "score": value, "x0": 10.0, "y0": 10.0, "x1": 50.0, "y1": 20.0}
        for key, values in seen.items()
        for number, value in enumerate(values)
    ]
    folder = frame_folder(tmp_path, frames, regions)
    ledger = tmp_path / "ledger.jsonl"
    ledger.write_text(json.dumps({"key": "film-0000001", "status": "dropped", "reason": "near-duplicate", "detail": ""}) + "\n")
    found = {each["key"]: each for each in find_frames([folder], "nsfw", ["free"], [ledger], 0.5)}
    assert {key: each["queue"] for key, each in found.items()} == {
        "film-0000000": FRAMES,
        "film-0000001": FRAMES,
        "free-0000000": FALSE_POSITIVES,
    }
    assert found["film-0000000"]["value"] > found["film-0000001"]["value"]
    assert found["film-0000000"]["boxes"] == [[0.1, 0.2, 0.5, 0.4]] * 2
    assert found["film-0000000"]["box_texts"] == ["nsfw 0.90", "nsfw 0.45"]
    assert found["film-0000000"]["box_counts"] == [True, False]
    assert found["film-0000001"]["state"] == "dropped" and found["film-0000000"]["state"] == ""


def test_each_region_is_decided_on_alone_those_first_that_are_nearest_to_the_limit(tmp_path: Path) -> None:
    frames = [{"key": "film-0000000", "source": "film", "file": "0.jpg", "width": 100, "height": 50}]
    regions = [
        {
            "key": "film-0000000",
            "number": number,
            "label": "nsfw",
            "score": value,
            "x0": x,
            "y0": 10.0,
            "x1": x + 10,
            "y1": 20.0,
        }
        for number, (value, x) in enumerate([(0.9, 0.0), (0.55, 20.0), (0.2, 40.0), (0.1, 40.2)])
    ]
    folder = frame_folder(tmp_path, frames, regions)
    with Ledger(folder.verdicts) as book:
        book.row("film-0000000#nsfw-0", "ok")
        book.row("film-0000000#nsfw-1", "dropped", "too small")
        for number in (2, 3):
            book.row(f"film-0000000#nsfw-{number}", "dropped", "below the confidence")
    found = sorted(find_regions([folder], {"nsfw": 0.5, "face": 0.8}), key=lambda each: -each["value"])
    assert [(each["key"], each["state"], each["reason"]) for each in found] == [
        ("film-0000000+20-10-30-20", "dropped", "too small"),
        ("film-0000000+40-10-50-20", "dropped", "below the confidence"),
        ("film-0000000+0-10-10-20", "kept", "gets a mosaic"),
    ]
    assert found[0]["boxes"] == [[0.2, 0.2, 0.3, 0.4]] and found[0]["box_texts"] == ["nsfw 0.55"]
    assert {each["picture"] for each in found} == {str(tmp_path / "0.jpg")}


def test_the_least_alike_near_duplicates_come_first_and_each_once(tmp_path: Path) -> None:
    hashed = [{"key": "b", "duplicate_of": "a", "distance": 1}, {"key": "c", "duplicate_of": "a", "distance": 4}]
    looked = [
        {"key": key, "duplicate_of": "a", "similarity": value, "found": "within a source"}
        for key, value in (("b", 0.99), ("d", 0.9), ("gone", 0.9))
    ]
    frames = [{"key": key, "source": "film", "file": f"{key}.jpg"} for key in "ac"]
    images = [{"key": key, "source": "set", "path": f"{key}.jpg"} for key in "bd"]
    pictures = [write(tmp_path / "frames", Frames, frames)], [Path("frames")], [write(tmp_path / "images", Images, images)]
    tables = write(tmp_path / "hashed", Duplicates, hashed), {"look": write(tmp_path / "looked", NearDuplicates, looked)}
    with Ledger(tmp_path / "ledger.jsonl") as book:
        for key in "be":
            book.row(key, "dropped", "near-duplicate of a sample")
        book.row("c", "dropped", "near-duplicate")
        book.row("d", "ok", "kept by decision")
    found = {each["key"]: each for each in find_pairs(*tables, *pictures, {"pets": tmp_path / "ledger.jsonl"}, 4)}
    assert {key: each["state"] for key, each in found.items()} == {"b": "dropped", "c": "dropped", "d": "kept"}
    assert found["b"]["detail"] == "differs in 1 of 64 bits; left out of pets"
    with Ledger(tmp_path / "other.jsonl") as book:
        book.row("b", "dropped", "source not for pets")
    assert not list(find_pairs(*tables, *pictures, {"pets": tmp_path / "other.jsonl"}, 4)), "a decision would change nothing"
    assert found["c"]["value"] == 1 > found["b"]["value"] and found["d"]["value"] == 1
    assert (found["d"]["beside"], found["d"]["source"]) == ("frames/a.jpg", "set") and found["d"]["reason"] == "similar by look"


def test_each_label_that_may_be_wrong_is_asked_once_by_its_strongest_finding(tmp_path: Path) -> None:
    errors = [
        {"key": "p", "source": "s", "kind": "wrong label", "label": "cat", "suggested": "dog", "strength": 0.4},
        {"key": "p", "source": "s", "kind": "near-duplicate with another label", "label": "cat", "strength": 0.9, "other": "q"},
    ]
    for name in "pq":
        (tmp_path / "images" / "train").mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / "train" / f"{name}.png").touch()
    pictures = [
        {"key": name, "source": "s", "group": "s", "split": "train", "label": label, "weight": 1.0}
        for name, label in (("p", "cat"), ("q", "dog"))
    ]
    table = {"key": None, "score": None, "suggested_score": None, "suggested": None, "other": None}
    files = Checked(
        write(tmp_path / "errors", LabelErrors, [{**table, **row} for row in errors]),
        write(tmp_path / "pictures", Pictures, [{**row, "score": None} for row in pictures]),
        tmp_path / "images",
    )
    (found,) = find_labels({"pets": files})
    assert (found["value"], found["reason"], found["label"], found["classifier"]) == (0.9, errors[1]["kind"], "cat", "pets")
    assert found["beside"].endswith("q.png") and found["beside_text"] == "dog: q"


def test_what_the_classifier_is_least_certain_of_is_asked_first_and_what_it_thinks_is_not_shown_for_validation(
    tmp_path: Path,
) -> None:
    asked = [
        [AskedPicture(key="f-0000001", split="val", why="to validate", predicted="cat", margin=0.5)],
        [
            AskedPicture(key=f"f-000000{number}", split="train", why="uncertain", predicted="cat", margin=margin)
            for number, margin in ((2, 0.75), (3, 0.25), (9, 0.0))
        ],
    ]
    for number, pictures in enumerate(asked, 1):
        (tmp_path / round_name(number)).mkdir()
        record = Round(model="pet", reached=None, asked=tuple(pictures))
        (tmp_path / round_name(number) / RECORD).write_text(record.model_dump_json())
    rows = [{"key": f"f-000000{number}", "source": "f", "file": f"f-000000{number}.jpg"} for number in (1, 2, 3)]
    frames = [write(tmp_path / "frames", Frames, rows)]
    known = {"key": "asked+round-002%2Ftrain%2Ff-0000002", "label": "dog", "score": None, "origin": "labelme", "split": "train"}
    labels = write(tmp_path / "labels", ImageLabels, [known])
    found = list(find_asked(Answers("asked", "labelme", tmp_path), frames, [Path("frames")], labels))
    assert [(each["key"], each["value"], each["label"], each["suggested"]) for each in found] == [
        ("asked+round-001%2Fval%2Ff-0000001", 0.5, "", ""),
        ("asked+round-002%2Ftrain%2Ff-0000002", 0.0, "dog", "cat"),
        ("asked+round-002%2Ftrain%2Ff-0000003", 0.75, "", "cat"),
    ]
    assert {(each["classifier"], each["source"]) for each in found} == {("pet", "f")}
    assert found[0]["picture"] == "frames/f-0000001.jpg"


def test_the_least_certain_crops_come_first_beside_the_surest_of_their_identity(tmp_path: Path) -> None:
    rows = [
        ("a", "Ada", 0.9, [1.0, 0.0]),
        ("b", "Ada", 0.2, [0.8, 0.6]),
        ("c", "", 0.5, [0.6, 0.8]),
        ("d", "Bo", 0.7, [0.0, 1.0]),
    ]
    rows += [("e", "", 0.4, [0.0, 0.0])]  # has no direction, and so is similar to nothing
    crops = [
        {"key": key, "identity": name, "certainty": value, "origin": "noise" if not name else "reference", "frame": "f"}
        for key, name, value, _ in rows
    ]
    vectors = [
        {"key": key, "source": "film", "path": f"{key}.png", "vector": vector, "place": None} for key, _, _, vector in rows
    ]
    tables = write(tmp_path / "identities", Identities, crops), [write(tmp_path / "vectors", Embeddings, vectors)]
    boxes = [{"key": key, "x0": 0, "y0": 0, "x1": 9, "y1": 8} for key, *_ in rows]
    found = {each["key"]: each for each in find_identities(*tables, [write(tmp_path / "crops", Crops, boxes)])}
    assert found["a"]["target"] == "a+0-0-9-8"
    assert {key: each["beside"] for key, each in found.items()} == {"a": "b.png", "b": "a.png", "c": "b.png", "d": "", "e": ""}
    assert sorted(found, key=lambda key: -found[key]["value"]) == ["b", "e", "c", "d", "a"]
    assert (found["c"]["suggested"], found["c"]["label"]) == ("Ada", "")
    assert found["c"]["beside_text"] == "the most similar: Ada, similarity 0.96"


def test_items_are_sorted_by_queue_and_value_and_adult_ones_are_blurred(tmp_path: Path) -> None:
    sources = write_sources(tmp_path / "sources", {"film": {}, "private": {"content": "adult"}})
    items = [
        {"queue": "frames", "key": "film-0000001", "source": "film", "value": 0.2},
        {"queue": "frames", "key": "private-0000001", "source": "private", "value": 0.7},
        {"queue": "clips", "key": "film-0000001-1", "source": "film", "value": 0.1},
        {"queue": "labels", "key": "x", "source": "images:unknown", "value": 0.1},
    ]
    gather(items, sources, None, {}, "adult", {"a": 1}, table=tmp_path / "items", settings=tmp_path / "page.json")
    assert json.loads((tmp_path / "page.json").read_text()) == {"a": 1}
    found = read_table(tmp_path / "items", ReviewItems)
    assert found["key"].to_list() == ["private-0000001", "film-0000001", "x", "film-0000001-1"]
    assert found["is_blurred"].to_list() == [True, False, True, False]


def test_each_face_of_a_set_is_shown_with_its_place_in_each_sort_and_why_it_is_left_out(tmp_path: Path) -> None:
    box = {"x0": 0.4, "y0": 2.0, "x1": 50.0, "y1": 60.0, "turned": 0, "face_type": "full", "landmarks": [], "matrix": []}
    box |= {"placed_by": "detector"}
    faces = [{"key": f"film-000000{n}-face-0", "source": "film", "file": f"{n}.jpg", **box} for n in range(3)]
    tables = [write(tmp_path / f"{n}.parquet", Faces, rows) for n, rows in enumerate((faces[:1], faces[1:]))]
    blur = [("blur", faces[n]["key"], value, rank, why) for n, value, rank, why in ((0, 0.25, 1, ""), (1, 0.5, 0, ""))]
    rows = [*blur, ("blur", faces[2]["key"], None, None, "no edges"), ("area", faces[1]["key"], 12345.6, 0, "enough")]
    orders = write(tmp_path / "orders", FaceOrders, [dict(zip(types(FaceOrders), row, strict=True)) for row in rows])
    with Ledger(tmp_path / "selection") as ledger:
        ledger.row(faces[0]["key"], "ok")
        ledger.row(faces[1]["key"], "dropped", "blurred", "0.5 < 0.6")
        ledger.row(faces[2]["key"], "ok", "accepted by a person", "Bo, 2026-01-31")
    near = {"key": faces[0]["key"], "distance": 0.125}, {"key": faces[2]["key"], "distance": 0.75}
    # No picture is there: none is read.
    files = FaceSetFiles(tables, [tmp_path / "one", tmp_path / "two"], orders, tmp_path / "selection")
    first, second, third = find_faces({"ada": files})
    assert first["target"] == "film-0000000-face-0+0-2-50-60" and first["classifier"] == "ada"
    assert first["picture"] == f"{tmp_path}/one/0.jpg" and second["picture"] == f"{tmp_path}/two/1.jpg"
    assert [(each["state"], each["reason"], each["detail"]) for each in (first, second, third)] == [
        ("kept", "selected", ""),
        ("dropped", "blurred", "0.5 < 0.6"),
        ("kept", "accepted by a person", "Bo, 2026-01-31"),
    ]
    assert first["value"] > second["value"]
    shown = [list(zip(each["sorts"], each["ranks"], each["sort_texts"], strict=True)) for each in (first, second, third)]
    assert shown == [
        [("blur", 1, "0.25; rank 1")],
        [("blur", 0, "0.5; rank 0"), ("area", 0, "12,346; rank 0; enough")],
        [("blur", None, "no edges")],
    ]
    # Where people are told apart, the farthest face comes first.
    files = files._replace(distances=write(tmp_path / "distances", FaceDistances, near))
    found = {each["key"]: (each["sorts"], each["ranks"], each["sort_texts"]) for each in find_faces({"ada": files})}
    assert found[faces[2]["key"]] == (["blur", DISTANCE], [None, 0], ["no edges", "0.75; rank 0"])
    assert found[faces[0]["key"]] == (["blur", DISTANCE], [1, 1], ["0.25; rank 1", "0.125; rank 1"])
    assert DISTANCE not in found[faces[1]["key"]][0], "it was not embedded"
