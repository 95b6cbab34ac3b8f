"""The pictures of a set meet its rules, each candidate has a row in the ledger, and adult footage never has an identity."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from chance_metrics import write_chance

from tessera.core import log
from tessera.core.errors import TesseraError
from tessera.core.ledger import read_ledger
from tessera.extras.image_sets.select import select_set
from tessera.extras.image_sets.settings import SelectionSettings
from tessera.imaging.images import write_image
from tessera.records.decisions import Decision
from tessera.records.tables.classification import Scored
from tessera.records.tables.crops import Crops
from tessera.records.tables.footage import Duplicates, Frames, Sources
from tessera.records.tables.identities import Identities
from tessera.records.tables.image_sets import SetPictures
from tessera.records.tables.table import Table, read_table, types, write_table
from tessera.records.tables.tags import Tags

SOURCES = {
    "film": {"series": "one"},
    "other": {"series": "two"},
    "adult": {"content": "adult"},
    "reserved": {"use": ["mosaic_detection"]},
    "listed": {"use": ["people"], "series": "two"},
    "refused": {},
}


def save(path: Path, schema: type[Table], rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(exist_ok=True)
    text = {name: "" for name, kind in types(schema).items() if kind == pl.String}
    write_table(pl.DataFrame([{**text, **row} for row in rows], schema=types(schema)), schema, path)
    return path


def hash_of(key: str) -> int:
    """Return a hash that is far from those of all other keys."""
    return int(np.random.default_rng(list(key.encode())).integers(0, 2**63))


class Footage:
    """Two frames of each source, and in the first of each a person with a head."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        admitted = {"content": "general", "size": 1, "use": []}
        sources = [{**admitted, "source": name, **own} for name, own in SOURCES.items() if name != "refused"]
        self.sources = save(folder / "sources.parquet", Sources, sources)
        self.frames, self.crops = self._frames(), self._crops()

    def _frames(self) -> list[dict[str, Any]]:
        keys = [(f"{source}-{number}", source, number) for source in SOURCES for number in range(2)]
        size = {"width": 400, "height": 300}
        return [
            {"key": key, "source": source, "index": number, "file": f"{key}.png", "phash": hash_of(key), **size}
            for key, source, number in keys
        ]

    def _crops(self) -> list[dict[str, Any]]:
        found = []
        for source in SOURCES:
            frame = f"{source}-0"
            boxes = {"person": (frame, (50, 0, 250, 300)), "head": (f"{frame}-person-0", (100, 0, 220, 120))}
            for step, (parent, (x0, y0, x1, y1)) in boxes.items():
                key = f"{frame}-{step}-0"
                row = {"key": key, "source": source, "frame": frame, "index": 0, "parent": parent, "step": step}
                row |= {"x0": x0, "y0": y0, "x1": x1, "y1": y1, "width": x1 - x0, "height": y1 - y0, "confidence": 1.0}
                row |= {"found_height": 90.0 if step == "head" else None, "file": f"{key}.png", "sharpness": 50.0}
                found.append(row | {"phash": hash_of(key)})
        return found

    def identify(self, **identities: str) -> list[Path]:
        """Write the table of identities: the identity of each crop, by its key with underscores."""
        rows = []
        for key, identity in identities.items():
            key = key.replace("_", "-")
            own = {"key": key, "source": key.split("-")[0], "frame": "-".join(key.split("-")[:2]), "identity": identity}
            rows.append({**own, "origin": "cluster", "certainty": 0.5, "appearance": "winter" if identity == "ann" else ""})
        return [save(self.folder / "identities.parquet", Identities, rows)]

    def select(self, settings: dict[str, Any] | None = None, **given: Any) -> pl.DataFrame:
        """Select pictures; return the table, and keep the ledger as `rows`."""
        values: dict[str, Any] = {
            "identities": [],
            "tags": [],
            "scored": {},
            "metrics": [],
            "duplicates": [],
            "decisions": {},
            "seed": 0,
        }
        values |= {"series": None, "distance": 4, "uses": "people"}
        frames = save(self.folder / "frames" / "frames.parquet", Frames, self.frames)
        crops = save(self.folder / "crops" / "crops.parquet", Crops, self.crops)
        ledger = self.folder / "ledger.jsonl"
        select_set(
            frames=[frames],
            crops=[crops],
            sources=self.sources,
            settings=SelectionSettings(**{"minimum": 100, **(settings or {})}),
            selected=self.folder / "selected.parquet",
            ledger=ledger,
            **{**values, **given},
        )
        self.rows = {row["key"]: (row["status"], row["reason"]) for row in read_ledger(ledger)}
        return read_table(self.folder / "selected.parquet", SetPictures)


@pytest.fixture
def footage(tmp_path: Path) -> Footage:
    return Footage(tmp_path)


ALL = ["frames", "person", "head"]
USED = {"film", "other", "adult", "listed"}


def test_pictures_are_of_sources_that_are_admitted_and_of_use(footage: Footage) -> None:
    chosen = footage.select({"of": ALL})
    assert set(chosen["source"]) == USED
    assert footage.rows.keys() == {row["key"] for row in [*footage.frames, *footage.crops]}
    assert footage.rows["refused-0"] == ("dropped", "source not admitted")
    assert footage.rows["reserved-0-head-0"] == ("dropped", "source not for people")
    assert chosen["key"].to_list() == sorted(chosen["key"])
    assert set(chosen.filter(step="person")["path"]) == {
        str(footage.folder / "crops" / "images" / f"{source}-0-person-0.png") for source in USED
    }


@pytest.mark.parametrize(
    ("rules", "reason", "left"),
    [
        ({"minimum": 130}, "too small", {"frame", "person"}),
        ({"maximum": 300}, "too large", {"person", "head"}),
        ({"of": ["person"]}, "", {"person"}),
        ({"sources": ["film"]}, "other source", {"frame", "person", "head"}),
        ({"series": ["two"]}, "other series", {"frame", "person", "head"}),
    ],
)
def test_a_rule_leaves_out_what_does_not_meet_it(footage: Footage, rules: dict[str, Any], reason: str, left: set[str]) -> None:
    chosen = footage.select({"of": ALL, **rules})
    assert set(chosen["step"]) == left
    reasons = {reason for _, reason in footage.rows.values()} - {"", "source not admitted", "source not for people"}
    assert reasons == ({reason} if reason else set())
    if "series" in rules:
        assert set(chosen["source"]) == {"other", "listed"}


def test_a_set_of_one_series_has_its_sources_alone(footage: Footage) -> None:
    assert set(footage.select(series="one")["source"]) == {"film"}


def test_sharpness_is_measured_of_frames_and_known_of_crops(footage: Footage) -> None:
    (footage.folder / "frames" / "images").mkdir(parents=True)
    for row in footage.frames:
        levels = np.zeros((300, 400, 3), np.uint8)
        if row["index"]:
            levels[::2] = 255
        write_image(footage.folder / "frames" / "images" / row["file"], levels)
    chosen = footage.select({"of": ALL, "sharpness": 40.0}, threads=2)
    assert set(chosen.filter(step="frame")["key"]) == {f"{source}-1" for source in USED}
    assert chosen.filter(step="person").height == len(USED)
    assert footage.rows["film-0"] == ("dropped", "not sharp")


def test_scores_tags_and_decisions_decide(footage: Footage) -> None:
    scored = [{"key": row["key"], "score": float(row["index"]), "classes": [], "probabilities": []} for row in footage.frames]
    table = save(footage.folder / "scored.parquet", Scored, [{**row, "label": None} for row in scored])
    tagged = [("film-0", "smile"), ("film-1", "smile"), ("film-1", "text"), ("other-0-person-0", "smile")]
    rows = [
        {"key": key, "number": number, "tag": tag, "category": "general", "score": 0.9}
        for number, (key, tag) in enumerate(tagged)
    ]
    tags = [save(footage.folder / "tags.parquet", Tags, rows)]
    limited = footage.select({"of": ["frames", "person"], "scores": {"blur": {"max": 0.5}}}, scored={"blur": [table]})
    assert set(limited["key"]) == {f"{source}-0" for source in USED} | {f"{source}-0-person-0" for source in USED}
    assert footage.rows["film-1"] == ("dropped", "classifier blur")
    guess = [write_chance(footage.folder / "blur.json", False)]
    limits = {"of": ["frames", "person"], "scores": {"blur": {"max": 0.5}}}
    everything = footage.select(limits, scored={"blur": [table]}, metrics=guess)
    assert set(everything["key"]) > set(limited["key"])
    assert footage.rows["film-1"] == ("ok", "no better than chance: not filtered by blur")
    smiling = footage.select({"of": ["frames", "person"], "tags": {"all": ["smile"], "none": ["text"]}}, tags=tags)
    assert smiling["key"].to_list() == ["film-0", "other-0-person-0"]
    drop = Decision(key="film-0", decision="drop", who="me", when="2024-12-31")
    left = footage.select({"of": ALL}, decisions={"film-0": drop})
    assert set(left.filter(source="film")["key"]) == {"film-1"}


@pytest.mark.parametrize("written", ["long_hair", "long hair"])
@pytest.mark.parametrize("known", ["long_hair", "long hair"])
def test_a_tag_with_spaces_or_underscores_is_the_same_tag(
    footage: Footage, monkeypatch: pytest.MonkeyPatch, written: str, known: str
) -> None:
    monkeypatch.setattr(log, "_terminal", terminal := io.StringIO())
    first = "film-0"
    row = {"key": first, "number": 0, "tag": known, "category": "general", "score": 0.9}
    tags = [save(footage.folder / "tags.parquet", Tags, [row])]
    every = set(footage.select({"of": ["frames"]}, tags=tags)["key"])
    assert set(footage.select({"of": ["frames"], "tags": {"all": [written]}}, tags=tags)["key"]) == {first}
    assert set(footage.select({"of": ["frames"], "tags": {"none": [written]}}, tags=tags)["key"]) == every - {first}
    (footage.folder / "tags.csv").write_text(f"name,category\n{known},0\n")
    footage.select({"tags": {"none": [written, "lnog hair"]}}, tags=tags, tag_list=footage.folder / "tags.csv")
    assert f"select.tags.none`: the tagger has no tag 'lnog hair'; did you mean {known!r}?" in terminal.getvalue()
    assert terminal.getvalue().count("the tagger has no tag") == 1


def test_a_frame_and_a_crop_show_who_is_in_them_and_a_head_who_it_is_of(footage: Footage) -> None:
    people = footage.identify(film_0_person_0="ann", other_0_head_0="bob", listed_0_person_0="")
    chosen = {row["key"]: row for row in footage.select({"of": ALL}, identities=people).to_dicts()}
    for key in ("film-0", "film-0-person-0", "film-0-head-0"):
        assert (chosen[key]["identities"], chosen[key]["appearances"]) == (["ann"], ["winter"])
    for key in ("other-0", "other-0-person-0", "other-0-head-0"):
        assert (chosen[key]["identities"], chosen[key]["appearances"]) == (["bob"], [""])
    assert not any(chosen[key]["identities"] for key in ("film-1", "listed-0-person-0"))
    assert [chosen[key]["head"] for key in ("film-0", "film-0-person-0", "film-0-head-0", "film-1")] == [0.3, 0.3, 0.75, None]
    anyone = footage.select({"of": ["frames"], "identities": "any"}, identities=people)
    assert anyone["key"].to_list() == ["film-0", "other-0"]
    assert footage.select({"of": ["frames"], "identities": ["bob"]}, identities=people)["key"].to_list() == ["other-0"]


def test_a_picture_may_have_to_contain_a_crop_of_a_step(footage: Footage) -> None:
    rows = footage.select({"of": ALL, "contains": ["head"], "unique": False}).to_dicts()
    assert {row["step"] for row in rows} == {"frame", "person", "head"} and {row["frame"][-2:] for row in rows} == {"-0"}
    assert footage.rows["film-1"] == ("dropped", "contains")


def test_a_cluster_is_an_identity_only_if_it_has_a_name_or_the_settings_say_so(footage: Footage) -> None:
    unnamed = "cluster_42a19381cd82"
    people = footage.identify(film_0_person_0="ann", other_0_person_0=unnamed)
    rules: dict[str, Any] = {"of": ["frames"], "identities": "any"}
    assert set(footage.select(rules, identities=people)["identities"].explode()) == {"ann"}
    for also in ({"keep_unnamed": True}, {"identities": ["ann", unnamed]}):
        assert set(footage.select({**rules, **also}, identities=people)["identities"].explode()) == {"ann", unnamed}


def test_an_identity_of_adult_footage_is_refused(footage: Footage) -> None:
    with pytest.raises(TesseraError, match="its source 'adult' is not general"):
        footage.select(identities=footage.identify(adult_0_person_0="ann"))


def test_no_set_has_both_an_identity_and_adult_footage(footage: Footage) -> None:
    people = footage.identify(film_0_person_0="ann", other_0_head_0="")
    mixed = footage.select({"of": ALL}, identities=people)
    assert set(mixed["source"]) == USED - {"adult"} and mixed["identities"].list.len().max()
    assert footage.rows["adult-0"] == ("dropped", "adult source")
    drawn = footage.select({"of": ["frames"], "identities": "any", "others": 99}, identities=people)
    assert set(drawn["source"]) == USED - {"adult"}
    # Nobody is named in the rest.
    rest = footage.select({"of": ALL, "sources": ["adult", "other"]}, identities=people)
    assert set(rest["source"]) == {"adult", "other"} and not rest["identities"].list.len().max()
    only = footage.select({"of": ["frames"], "sources": ["film", "adult"], "identities": ["ann"]}, identities=people)
    assert set(only["source"]) == {"film"}


def test_one_of_several_frames_that_look_alike_is_used_with_its_crops(footage: Footage) -> None:
    pairs = [
        {"key": "film-0", "duplicate_of": "film-1", "distance": 1},
        {"key": "other-0", "duplicate_of": "refused-0", "distance": 1},
    ]
    table = save(
        footage.folder / "duplicates.parquet",
        Duplicates,
        [*pairs, {"key": "other-1", "duplicate_of": "refused-0", "distance": 1}],
    )
    chosen = footage.select({"of": ALL}, duplicates=[table])
    assert set(chosen.filter(source="film")["key"]) == {"film-1"}
    # The picture that was kept elsewhere is not of use here, so the first of the others stays.
    assert set(chosen.filter(source="other")["key"]) == {"other-0", "other-0-person-0", "other-0-head-0"}
    assert footage.select({"of": ALL, "unique": False}, duplicates=[table]).height == 4 * len(USED)


def test_crops_that_look_alike_are_used_once(footage: Footage) -> None:
    next(row for row in footage.crops if row["key"] == "listed-0-person-0")["phash"] = hash_of("film-0-person-0") ^ 3
    footage.select({"of": ["person"]})
    assert footage.rows["listed-0-person-0"] == ("dropped", "near-duplicate")
    assert footage.rows["film-0-person-0"] == ("ok", "")


def test_others_are_drawn_from_what_only_the_content_leaves_out_whatever_the_order(footage: Footage) -> None:
    people = footage.identify(film_0_person_0="ann")
    rules = {"of": ["frames"], "identities": ["ann"], "others": 3}
    chosen = footage.select(rules, identities=people)
    regular = chosen.filter("is_regular")
    assert chosen.filter(~pl.col("is_regular"))["key"].to_list() == ["film-0"] and regular.height == 3
    assert set(regular["source"]) <= USED
    assert all(footage.rows[key] == ("ok", "drawn for regularisation") for key in regular["key"])
    footage.frames = footage.frames[::-1]
    assert footage.select(rules, identities=people).equals(chosen)
    draws = {tuple(footage.select(rules, identities=people, seed=seed)["key"]) for seed in range(5)}
    assert len(draws) > 1
    fewer = footage.select({**rules, "others": 2}, identities=people).filter("is_regular")["key"]
    assert set(fewer) < set(regular["key"])
    assert footage.select({**rules, "others": 99}, identities=people).height == 2 * len(USED - {"adult"})


def test_an_empty_set_says_why(footage: Footage) -> None:
    with pytest.raises(
        TesseraError, match=r"'people' has no pictures \(too small \(8\), .*\); change `image_sets\.people\.select`"
    ):
        footage.select({"minimum": 1000})
    with pytest.raises(TesseraError, match="there are none of half"):
        footage.select({"of": ["half"]})
