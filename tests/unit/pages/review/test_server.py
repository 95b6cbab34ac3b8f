"""The server of the review page writes decisions at once, shows conflicts, and serves nothing to anybody else."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from review_items import CLASSES, WHO, item, write_default_review, write_detections, write_media, write_review
from starlette.testclient import TestClient

from tessera.core.ledger import read_ledger
from tessera.imaging.video import read_frames, read_packets
from tessera.pages.review import media
from tessera.pages.review.actions import actions_of
from tessera.pages.review.guard import LONGEST
from tessera.pages.review.server import STATIC, make_app
from tessera.pages.review.settings import OwnKey
from tessera.pages.review.state import Review
from tessera.records.annotation.formats.labelme import read_labelme
from tessera.records.annotation.label_files import read_label_file
from tessera.records.decision_log import append_row
from tessera.records.decisions import Decision, clip_key, extent_of, read_decisions
from tessera.records.identities import IdentityDecision, read_identity_decisions
from tessera.records.tables.review import ASKED, CLIPS, FACES, FRAMES, IDENTITIES, LABELS, REGIONS

HOST, TOKEN = "127.0.0.1:5000", "secret"
CLASSIFIERS = {"blur": CLASSES, "noise": {"least": 0.0, "most": 10.0}}


class Page:
    """What a page in a browser can do with the server of a project."""

    def __init__(self, folder: Path, who: str = WHO) -> None:
        self.folder, self.who = folder, who
        review = folder / "results" / "review"
        self.client = TestClient(make_app(Review(review, who), TOKEN, lambda: {HOST}), base_url=f"http://{HOST}/{TOKEN}/")
        self.version = self.get("api/state")["version"]

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(path, params=query).raise_for_status().json()

    def items(self, queue: str, **query: Any) -> list[dict[str, Any]]:
        numbers = self.get("api/ids", queue=queue, **query)["ids"]
        parts = (",".join(map(str, numbers[start : start + 200])) for start in range(0, len(numbers), 200))
        return [each for part in parts for each in self.get("api/items", version=self.version, ids=part)["items"]]

    def post(self, path: str, *numbers: Any, **given: Any) -> tuple[int, dict[str, Any]]:
        answer = self.client.post(path, json={"version": self.version, "ids": numbers, **given})
        return answer.status_code, answer.json()

    def decide(self, *numbers: Any, action: str, **given: Any) -> tuple[int, dict[str, Any]]:
        return self.post("api/decide", *numbers, action=action, **given)

    def plan(self) -> list[str]:
        return self.get("api/plan")["changes"]

    def decisions(self) -> list[tuple[str, str, str]]:
        found = read_decisions(self.folder / "config" / "decisions.tsv", CLASSIFIERS)
        return [(each.key, each.decision, each.label) for each in found]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_default_review(tmp_path)
    return tmp_path


@pytest.fixture
def page(folder: Path) -> Page:
    return Page(folder)


def ids(page: Page, queue: str) -> list[int]:
    return [each["id"] for each in page.items(queue)]


def test_each_decision_is_in_the_table_before_it_is_acknowledged(page: Page) -> None:
    first, second = ids(page, CLIPS)
    status, shown = page.decide(first, action="drop")
    assert status == 200
    assert [(row["decision"], row["who"]) for row in shown["changed"][0]["decisions"]] == [("drop", WHO)]
    assert page.decisions() == [("film-0000000-1", "drop", "")]
    page.decide(second, action="keep", reason='a <b>\n"fine"\tone')
    page.decide(first, action="keep")
    assert sorted(page.decisions()) == [("film-0000000-1", "keep", ""), ("film-0000100-1", "keep", "")]
    assert page.post("api/undo", first)[1]["changed"][0]["decisions"][0]["decision"] == "drop", "what was before"
    assert page.post("api/undo", first)[1]["changed"][0]["decisions"] == []
    assert page.decisions() == [("film-0000100-1", "keep", "")]
    status, told = page.post("api/undo", first)
    assert status == 409 and "decided nothing" in told["error"]


def test_a_decision_that_says_the_same_again_is_no_row(page: Page) -> None:
    first, _ = ids(page, CLIPS)
    for action in ("drop", "drop", "drop"):
        assert page.decide(first, action=action)[0] == 200
    assert len((page.folder / "config" / "decisions.tsv").read_text().splitlines()) == 2
    assert page.decide(first, action="drop", reason="logo")[0] == 200
    assert len((page.folder / "config" / "decisions.tsv").read_text().splitlines()) == 3


def test_keys_of_the_user_decide_with_a_reason(page: Page) -> None:
    (queue,) = (each for each in page.get("api/state")["queues"] if each["name"] == CLIPS)
    (own,) = (each for each in queue["actions"][""] if each["key"] == "w")
    assert (own["name"], own["text"], own["reason"]) == ("drop", "drop: watermark", "watermark")
    (labels,) = (each for each in page.get("api/state")["queues"] if each["name"] == IDENTITIES)
    assert "w" not in {each["key"] for each in labels["actions"][""]}, "crops are not dropped"


def test_a_key_of_the_user_is_shown_once(tmp_path: Path) -> None:
    keys = {"d": OwnKey(decision="drop", reason="blurred"), "1": OwnKey(decision="keep", reason="sharp")}
    shown = [(each.key, each.text) for each in actions_of(LABELS, CLASSES, keys, may_label=True)]
    expected = [("d", "drop: blurred"), ("1", "keep: sharp"), ("k", "the label is right"), ("", "drop")]
    assert shown == [*expected, ("", CLASSES[0]), ("2", CLASSES[1])]


def test_decisions_follow_clips_and_regions_that_were_made_anew(folder: Path) -> None:
    columns, table = list(Decision.model_fields), folder / "config" / "decisions.tsv"
    table.parent.mkdir()
    for key in ("film-0000104-7", "film-0000007+33-9-57-25", "film-0000300-1"):
        append_row(table, {"key": key, "decision": "drop", "who": "Bo", "when": "2026-01-31"}, columns)
    page = Page(folder)
    first, second = page.items(CLIPS)
    assert first["decisions"] == [] and second["decisions"][0]["key"] == "film-0000104-7"
    assert page.items(REGIONS)[0]["decisions"][0]["key"] == "film-0000007+33-9-57-25"
    assert [each["id"] for each in page.items(CLIPS, decided="no")] == [first["id"]]
    # A new decision is on the old key, so that the two do not stand side by side.
    assert page.decide(second["id"], action="keep")[0] == 409
    assert page.decide(second["id"], action="keep", overrule=True)[0] == 200
    assert ("film-0000104-7", "keep", "") in page.decisions()


def test_a_decision_is_on_what_a_clip_showed_and_what_matches_nothing_is_listed_with_the_reason(tmp_path: Path) -> None:
    keys = {"film-0000100-1": (100, (0, 0, 50, 50)), "film-0000100-2": (100, (60, 0, 110, 50))}
    targets = {key: clip_key(key, 60, box) for key, (_, box) in keys.items()}
    write_review(tmp_path, [item(CLIPS, key, target=target, frames=60) for key, target in targets.items()])
    page = Page(tmp_path)
    assert page.decide(0, action="drop")[0] == 200
    assert page.decisions() == [(targets["film-0000100-1"], "drop", "")]
    # Another run gives the tracks each other's numbers, begins later, and leaves out one.
    moved = {"film-0000110-2": targets["film-0000100-1"], "film-0000110-1": targets["film-0000100-2"]}
    again = {key: clip_key(key, 60, extent_of(target).box) for key, target in moved.items()}
    write_review(tmp_path, [item(CLIPS, key, target=target, frames=60) for key, target in again.items()])
    page.version = page.get("api/state")["version"]
    assert [bool(each["decisions"]) for each in page.items(CLIPS)] == [True, False]
    assert page.get("api/plan")["changes"] == ["left out of the datasets: 1 clip"]
    # A decision on the other one, which has the number of the first now, takes nothing from it.
    assert page.decide(1, action="keep")[0] == 200
    assert [each["decisions"][0]["decision"] for each in page.items(CLIPS)] == ["drop", "keep"]
    write_review(tmp_path, [item(CLIPS, "film-0000110-1", target=again["film-0000110-1"], frames=60)])
    (lost,) = page.get("api/plan")["unmatched"]
    assert lost == f"{targets['film-0000100-1']}: no clip shows any of it now"
    assert page.get("api/plan")["changes"] == []


def test_a_decision_on_a_crop_follows_its_place_in_the_frame(tmp_path: Path) -> None:
    def write(box: str, other: str) -> Page:
        rows = [("film-0000007-person-0", box), ("film-0000007-person-1", other)]
        write_review(tmp_path, [item(IDENTITIES, key, target=f"{key}+{box}", label="cluster_a") for key, box in rows])
        return Page(tmp_path)

    page = write("0-0-50-50", "60-0-110-50")
    assert page.decide(0, action="move", value="Bo")[0] == 200
    page = write("61-0-111-50", "1-0-51-50")
    assert [bool(each["decisions"]) for each in page.items(IDENTITIES)] == [False, True]
    assert page.decide(0, action="reject")[0] == 200
    assert [each["decisions"][0]["action"] for each in page.items(IDENTITIES)] == ["reject", "move"]
    page = write("200-0-250-50", "1-0-51-50")
    (lost,) = page.get("api/plan")["unmatched"]
    assert lost == "film-0000007-person-0+61-0-111-50: nothing is seen there now"


def face(key: str, box: str, ranks: dict[str, int | None], name: str = "ada", **more: Any) -> dict[str, Any]:
    """Return an item of a face in `box`, with its rank in each sort."""
    texts = [f"{sort} {rank}" for sort, rank in ranks.items()]
    places = {"sorts": list(ranks), "ranks": list(ranks.values()), "sort_texts": texts}
    return item(FACES, key, target=f"{key}+{box}", classifier=name, **places, **more)


def test_faces_are_shown_in_the_order_of_a_sort_one_set_after_the_other(tmp_path: Path) -> None:
    faces = [("f-0000001-face-0", {"blur": 2, "yaw": None}), ("f-0000002-face-0", {"blur": 0, "yaw": None})]
    faces.append(("f-0000003-face-0", {"blur": None, "yaw": None}))
    rows = [face(key, "0-0-9-9", ranks, name, source=name) for name in ("bob", "ada") for key, ranks in faces]
    write_review(tmp_path, rows)
    page = Page(tmp_path)
    (queue,) = page.get("api/state")["queues"]
    assert queue["sorts"] == ["blur"], "nothing has a place in the other"
    found = [(each["classifier"], each["key"][:9]) for each in page.items(FACES, sort="blur")]
    assert found == [(name, f"f-000000{number}") for name in ("ada", "bob") for number in (2, 1, 3)]
    (first, *_) = page.get("api/items", version=page.version, ids="0", sort="blur")["items"]
    assert first["sorted"] == "blur 2" and "ranks" not in first
    assert [each["key"] for each in page.items(FACES, sort="blur", classifier="bob", find="f-0000002")] == ["f-0000002-face-0"]
    assert [each["id"] for each in page.items(FACES)] == list(range(6))


def test_a_decision_on_a_face_is_about_one_set_and_follows_its_place_in_the_frame(tmp_path: Path) -> None:
    def write(box: str, other: str) -> Page:
        faces = [("film-0000007-face-0", box), ("film-0000007-face-1", other)]
        write_review(tmp_path, [face(key, each, {}, name, state="kept") for name in ("ada", "bob") for key, each in faces])
        return Page(tmp_path)

    page = write("0-0-50-50", "60-0-110-50")
    assert {each["name"] for each in page.get("api/state")["queues"][0]["actions"]["ada"]} == {"keep", "drop"}
    assert page.decide(0, action="drop")[0] == 200
    assert page.plan() == ["left out of the datasets: 1 face"]
    (row,) = read_decisions(tmp_path / "config" / "decisions.tsv", {"ada": (), "bob": ()})
    assert (row.key, row.classifier, row.decision) == ("film-0000007-face-0+0-0-50-50", "ada", "drop")
    page = write("61-0-111-50", "1-0-51-50")
    assert [bool(each["decisions"]) for each in page.items(FACES)] == [False, True, False, False]
    assert page.post("api/undo", 1)[0] == 200 and page.decisions() == []
    assert page.decide(1, action="keep")[0] == 200
    page = write("200-0-250-50", "300-0-350-50")
    assert page.get("api/plan")["unmatched"] == ["film-0000007-face-0+0-0-50-50: nothing is seen there now"]


def test_what_people_disagree_about_is_found_and_stops_the_next_run(folder: Path) -> None:
    columns, table = list(Decision.model_fields), folder / "config" / "decisions.tsv"
    table.parent.mkdir()
    for who, decision in (("Bo", "keep"), ("Cy", "drop")):
        append_row(table, {"key": "film-0000000-1", "decision": decision, "who": who, "when": "2026-01-31"}, columns)
    page = Page(folder)
    assert [each["key"] for each in page.items(CLIPS, decided="disputed")] == ["film-0000000-1"]
    assert page.plan() == ["nothing: people disagree about 1 item, see `decided: disputed`"]
    append_row(
        table, {"key": "film-0000000-1", "decision": "drop", "who": "Cy", "when": "2026-01-31", "overrules": "Bo"}, columns
    )
    assert page.items(CLIPS, decided="disputed") == [] and page.plan() == ["left out of the datasets: 1 clip"]


def test_items_are_found_by_a_part_of_their_key_or_source(page: Page) -> None:
    assert [each["key"] for each in page.items(CLIPS, find="00100")] == ["film-0000100-1"]
    assert len(page.items(CLIPS, find="film")) == 2 and page.items(CLIPS, find="fi.m") == []


def test_the_number_of_decided_items_is_known(page: Page) -> None:
    page.decide(ids(page, CLIPS)[0], action="drop")
    page.decide(ids(page, IDENTITIES)[0], action="rename", value="Eve")
    decided = {queue["name"]: queue["decided"] for queue in page.get("api/state")["queues"]}
    assert (decided[CLIPS], decided[FRAMES], decided[IDENTITIES]) == (1, 0, 2)


def test_pictures_of_classifiers_get_only_labels_that_exist(page: Page) -> None:
    one, other = ids(page, LABELS)
    assert page.decide(one, action="relabel", value="soft")[0] == 200
    assert page.decide(other, action="relabel", value="2.5")[0] == 200
    assert page.decide(one, action="relabel", value="dark")[0] == 400
    assert page.decide(other, action="relabel", value="11")[0] == 400
    assert page.decide(one, action="explode")[0] == 400
    assert sorted(page.decisions()) == [("set+1", "relabel", "soft"), ("set+2", "relabel", "2.5")]


def test_a_picture_that_was_asked_for_gets_one_of_the_classes_or_is_left_out(page: Page) -> None:
    (number,) = ids(page, ASKED)
    key = page.items(ASKED)[0]["key"]
    assert page.decide(number, action="relabel", value="dark")[0] == 400 and page.decide(number, action="keep")[0] == 400
    assert page.decide(number, action="relabel", value="soft")[0] == 200
    assert page.plan() == ["labelled: 1 picture"]
    assert page.decisions() == [(key, "relabel", "soft")]
    assert page.decide(number, action="drop")[0] == 200
    assert page.decisions() == [(key, "drop", "")]


def labelled(page: Page) -> dict[str, list[list[float]]]:
    """Return the boxes of the label that each frame has, as a run would read it."""
    found = {}
    for path in (page.folder / "labels").rglob("*.json"):
        image, _ = read_labelme(read_label_file(path), path.stem, 64, 48)
        found[path.stem] = [list(each.box) for each in image.annotations]
    return found


def test_regions_that_a_person_marks_are_the_label_of_the_frame_until_it_is_taken_back(page: Page) -> None:
    (number,) = ids(page, FRAMES)
    assert page.decide(number, action="accept", value="")[0] == 409
    status, shown = page.decide(number, action="accept", value="0")
    assert status == 200 and shown["changed"][0]["decisions"][0]["reason"] == "labelled as shown"
    (box,) = labelled(page)["film-0000007"]
    assert np.allclose(box, (8, 8, 24, 40), atol=1)
    assert page.decisions() == [("film-0000007", "keep", "")]
    assert page.plan() == ["labelled as shown: 1 picture"]
    status, told = page.decide(number, action="accept", value="0,1")
    assert status == 409 and "film-0000007 has a label in" in told["error"]
    assert page.post("api/undo", number)[0] == 200
    assert labelled(page) == {} and page.decisions() == []
    assert page.decide(number, action="accept", value="0,1")[0] == 200
    assert len(labelled(page)["film-0000007"]) == 2


def test_taking_back_never_deletes_what_a_person_drew(page: Page) -> None:
    (number,) = ids(page, FRAMES)
    assert page.decide(number, action="accept", value="0,1")[0] == 200
    (path,) = (page.folder / "labels").rglob("*.json")
    document = json.loads(path.read_text())
    del document["shapes"][1]
    path.write_text(json.dumps({**document, "version": "6.3.1"}))
    assert page.post("api/undo", number)[0] == 200
    assert path.exists() and page.decisions() == []


def test_a_label_that_cannot_be_decided_on_is_not_left_behind(folder: Path) -> None:
    ada, bo = Page(folder), Page(folder, "Bo")
    (number,) = ids(ada, FRAMES)
    assert bo.decide(number, action="drop")[0] == 200
    assert ada.decide(number, action="accept", value="0")[0] == 409
    assert labelled(ada) == {}
    assert ada.decide(number, action="accept", value="0", overrule=True)[0] == 200
    assert labelled(ada).keys() == {"film-0000007"}


def test_what_changes_nothing_cannot_be_decided(tmp_path: Path) -> None:
    media = write_media(tmp_path)
    rows = [item(FRAMES, "film-0000001", state="kept", picture=media["picture"]), item(IDENTITIES, "film-0000001-person-0")]
    write_review(tmp_path, rows)
    page = Page(tmp_path)
    assert page.items(FRAMES)[0]["actions"] == ["drop", "keep", "drop"] and page.items(IDENTITIES)[0]["actions"] == [
        "move",
        "reject",
    ]
    assert page.decide(ids(page, FRAMES)[0], action="negative")[0] == 400, "its label stays"
    assert page.decide(ids(page, IDENTITIES)[0], action="rename", value="Eve")[0] == 400, "it is nobody yet"


def test_what_somebody_else_accepted_stays(folder: Path) -> None:
    ada, bo = Page(folder), Page(folder, "Bo")
    (number,) = ids(ada, FRAMES)
    assert ada.decide(number, action="accept", value="0")[0] == 200
    assert bo.decide(number, action="keep")[0] == 200 and bo.post("api/undo", number)[0] == 200
    assert labelled(ada).keys() == {"film-0000007"}
    # The same again is no other label, as after a kill between the label and the row.
    assert bo.decide(number, action="accept", value="0")[0] == 200
    assert ada.post("api/undo", number)[0] == 200
    assert labelled(ada).keys() == {"film-0000007"}, "Bo accepted it too"
    assert bo.decide(number, action="accept", value="1")[0] == 409


def test_only_regions_that_are_shown_become_a_label(page: Page) -> None:
    (number,) = ids(page, FRAMES)
    assert page.decide(number, action="accept", value="0,2")[0] == 409
    assert page.decide(number, action="accept", value="9" * 5_000)[0] == 409
    write_detections(page.folder, "film-0000007", moved=4)
    status, told = page.decide(number, action="accept", value="0")
    assert status == 409 and "has found other regions since" in told["error"]
    assert labelled(page) == {} and not (page.folder / "config" / "decisions.tsv").exists()


def test_two_servers_never_acknowledge_decisions_that_contradict_each_other(folder: Path) -> None:
    pages = Page(folder), Page(folder, "Bo")
    numbers = ids(pages[0], CLIPS) * 10
    with ThreadPoolExecutor(2) as pool:
        for place, number in enumerate(numbers):
            words = ("keep", "drop") if place % 2 else ("drop", "keep")
            answers = list(pool.map(lambda each: each[0].decide(number, action=each[1])[0], zip(pages, words, strict=True)))  # noqa: B023
            assert 409 in answers or answers == [200, 200]
            read_decisions(folder / "config" / "decisions.tsv", CLASSIFIERS)
            for page in pages:
                page.post("api/undo", number)


def test_whoever_overrules_overrules_all_who_decided_otherwise(folder: Path) -> None:
    columns, table = list(Decision.model_fields), folder / "config" / "decisions.tsv"
    page = Page(folder)
    first, _ = ids(page, CLIPS)
    for who in ("Bo", "Cy"):
        append_row(table, {"key": "film-0000000-1", "decision": "keep", "who": who, "when": "2026-01-31"}, columns)
    status, told = page.decide(first, action="drop")
    assert status == 409 and len(told["others"]) == 2 and len(told["changed"][0]["decisions"]) == 2
    assert page.decide(first, action="drop", overrule=True)[0] == 200
    assert page.decisions() == [("film-0000000-1", "drop", "")]
    assert page.post("api/undo", first)[0] == 200
    assert page.decisions() == [("film-0000000-1", "keep", "")]


def test_names_that_the_next_run_would_refuse_are_not_written(page: Page) -> None:
    one, other = ids(page, IDENTITIES)
    assert page.decide(one, action="move", value="Lea")[0] == 200
    status, told = page.decide(other, action="rename", value="LEA")
    assert status == 423 and "looks like" in told["error"]
    assert page.decide(other, action="rename", value="Eve")[0] == 200
    # The latest is taken back first, whatever it is about.
    assert [row["action"] for row in page.items(IDENTITIES)[0]["decisions"]] == ["rename", "move"]
    assert page.post("api/undo", one)[1]["changed"][0]["decisions"][0]["action"] == "move"


def test_what_another_run_set_is_used(page: Page) -> None:
    found = json.loads((page.folder / "results" / "review" / "page.json").read_text())
    write_review(
        page.folder, [item(CLIPS, "other-0000000-1")], decisions=str(page.folder / "config" / "new.tsv"), identities=None
    )
    page.version = page.get("api/state")["version"]
    assert page.decide(0, action="drop")[0] == 200
    assert (page.folder / "config" / "new.tsv").exists() and not Path(found["decisions"]).exists()


def test_a_table_that_is_a_pipe_is_said_and_waited_for_by_nobody(page: Page) -> None:
    (page.folder / "config").mkdir()
    os.mkfifo(page.folder / "config" / "decisions.tsv")
    assert "is no regular file" in page.get("api/state")["faults"][0]
    assert page.decide(ids(page, CLIPS)[0], action="drop")[0] == 423


@pytest.mark.parametrize("given", [{"reason": None}, {"reason": "\ud800"}, {"value": ["soft"]}, {"action": 3}])
def test_what_is_no_text_is_refused(given: dict[str, Any], page: Page) -> None:
    content = json.dumps({"version": page.version, "ids": [0], "action": "drop", **given})
    answer = page.client.post("api/decide", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400 and not (page.folder / "config").exists()


def test_without_a_folder_for_labels_nothing_is_accepted(tmp_path: Path) -> None:
    review = write_default_review(tmp_path)
    found = json.loads((review / "page.json").read_text())
    (review / "page.json").write_text(json.dumps({**found, "labels": None}))
    page = Page(tmp_path)
    (number,) = ids(page, FRAMES)
    assert page.decide(number, action="accept", value="0")[0] == 400
    assert "accept" not in json.dumps(page.get("api/state"))
    assert "names no folder for labels" in page.post("api/open", number, how="labelme")[1]["error"]


def test_a_region_is_decided_on_by_its_place(page: Page) -> None:
    (number,) = ids(page, REGIONS)
    assert page.decide(number, action="keep")[0] == 200
    assert page.decisions() == [("film-0000007+32-8-56-24", "keep", "")]
    assert page.plan() == ["back in the datasets: 1 region"]


def test_identities_have_a_table_of_their_own(page: Page) -> None:
    one, other = ids(page, IDENTITIES)
    assert page.decide(one, action="move", value="Bo")[0] == 200
    status, shown = page.decide(other, action="rename", value="Eve")
    assert status == 200 and shown["changed"][0]["decisions"][0]["to"] == "Eve"
    status, told = page.decide(one, action="move", value="../x")
    assert status == 423 and "should not contain /" in told["error"]
    found = read_identity_decisions(page.folder / "config" / "identities.tsv")
    assert [(each.target, each.action, each.to) for each in found] == [
        ("film-0000007-person-0", "move", "Bo"),
        ("cluster_a", "rename", "Eve"),
    ]
    # The name is decided for both crops.
    assert {row["action"] for row in page.items(IDENTITIES)[0]["decisions"]} == {"move", "rename"}


def test_a_decision_of_somebody_else_is_shown_and_overruled_only_on_purpose(folder: Path) -> None:
    ada, bo = Page(folder), Page(folder, "Bo")
    (first, _), (frame,) = ids(ada, CLIPS), ids(ada, FRAMES)
    assert bo.decide(first, action="keep")[0] == 200
    status, told = ada.decide(first, action="drop")
    assert status == 409 and [(row["who"], row["decision"]) for row in told["others"]] == [("Bo", "keep")]
    assert ada.decisions() == [("film-0000000-1", "keep", "")]
    assert ada.decide(first, action="keep")[0] == 200, "they agree"
    assert ada.decide(first, action="drop", overrule=True)[0] == 200
    assert ada.decisions() == [("film-0000000-1", "drop", "")]
    assert bo.decide(frame, action="negative")[0] == 200
    assert ada.post("api/undo", frame)[0] == 409, "of somebody else"


def test_a_table_that_people_edit_meanwhile_is_read_again_and_a_damaged_one_is_never_written_to(page: Page) -> None:
    first, _ = ids(page, CLIPS)
    path = page.folder / "config" / "decisions.tsv"
    page.decide(first, action="drop")
    append_row(
        path, {"key": "film-0000100-1", "decision": "drop", "who": "Bo", "when": "2026-01-31"}, list(Decision.model_fields)
    )
    assert [row["decisions"][0]["who"] for row in page.items(CLIPS)] == [WHO, "Bo"]
    whole = path.read_bytes()
    path.write_bytes(whole + b"film-0000000-1\tperhaps\n")
    status, told = page.decide(first, action="keep")
    assert status == 423 and "line 4: decision" in told["error"]
    assert page.get("api/state")["faults"] and path.read_bytes().endswith(b"perhaps\n")


def take_back(page: Page, batch: int) -> tuple[int, dict[str, Any]]:
    answer = page.client.post("api/undo", json={"batch": batch, "who": page.who})
    return answer.status_code, answer.json()


def said(page: Page) -> dict[str, str]:
    """Return the decision on each thing that anything is decided about."""
    return {key: decision for key, decision, _ in page.decisions()}


def test_what_is_taken_back_leaves_what_was_decided_before_also_of_many_and_after_a_start(tmp_path: Path) -> None:
    keys = [f"film-{number:07}-1" for number in range(200)]
    write_review(tmp_path, [item(CLIPS, key) for key in keys])
    page = Page(tmp_path)
    for number in range(20):
        page.decide(number, action="keep", reason="fine")
    status, batch = page.decide(*range(200), action="drop")
    assert status == 200 and (batch["saved"], batch["decided"]) == (200, {CLIPS: 200})
    assert set(said(page).values()) == {"drop"}
    again = Page(tmp_path)
    (latest, *_) = again.get("api/history")
    assert (latest["batch"], latest["count"]) == (batch["batch"], 200)
    status, told = take_back(again, batch["batch"])
    assert status == 200 and told["taken"] == 200 and told["decided"] == {CLIPS: 20}
    assert said(again) == dict.fromkeys(keys[:20], "keep")
    assert again.items(CLIPS)[0]["decisions"][0]["reason"] == "fine"
    assert take_back(again, batch["batch"])[0] == 409, "once"


# Of two tabs of one person: what each does with three clips. A number takes back the decision so many before its last.
ACTS = st.lists(
    st.tuples(st.integers(0, 1), st.one_of(st.tuples(st.integers(0, 2), st.sampled_from(["keep", "drop"])), st.integers(0, 2))),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(ACTS)
def test_no_tab_takes_back_what_another_decided(acts: list[Any]) -> None:
    with TemporaryDirectory() as folder:
        write_review(Path(folder), [item(CLIPS, f"film-{number:07}-1") for number in range(3)])
        page = Page(Path(folder))
        alive: dict[int, list[tuple[int, str]]] = {0: [], 1: [], 2: []}  # for each clip what was decided and not taken back
        own: list[list[tuple[int, int]]] = [[], []]  # clip and batch
        for tab, act in acts:
            if isinstance(act, tuple):
                clip, action = act
                status, told = page.decide(clip, action=action)
                assert status == 200
                alive[clip].append((told["batch"], action))
                own[tab].append((clip, told["batch"]))
            elif act < len(own[tab]):
                clip, batch = own[tab].pop(-1 - act)
                assert take_back(page, batch)[0] == 200
                alive[clip] = [each for each in alive[clip] if each[0] != batch]
            expected = {f"film-{clip:07}-1": batches[-1][1] for clip, batches in alive.items() if batches}
            table = page.folder / "config" / "decisions.tsv"
            assert (said(page) if table.exists() else {}) == expected


def test_a_decision_that_overruled_somebody_is_taken_back_and_the_other_is_heard_again(folder: Path) -> None:
    ada, bo = Page(folder), Page(folder, "Bo")
    first, _ = ids(ada, CLIPS)
    bo.decide(first, action="keep")
    _, told = ada.decide(first, action="drop", overrule=True)
    _, later = ada.decide(first, action="drop", reason="logo")
    assert take_back(ada, later["batch"])[0] == 200
    assert [(row["who"], row["reason"]) for row in ada.items(CLIPS)[0]["decisions"]] == [(WHO, "")], "Bo stays overruled"
    assert take_back(ada, told["batch"])[0] == 200
    assert [row["who"] for row in ada.items(CLIPS)[0]["decisions"]] == ["Bo"]


def test_what_another_program_changed_is_not_taken_back(page: Page) -> None:
    first, second = ids(page, CLIPS)
    _, batch = page.decide(first, second, action="drop")
    row = {"key": "film-0000000-1", "decision": "keep", "who": WHO, "when": "2026-01-31"}
    append_row(page.folder / "config" / "decisions.tsv", row, list(Decision.model_fields))
    status, told = take_back(page, batch["batch"])
    assert (status, told["taken"]) == (200, 1) and "was changed since" in told["failed"][0]
    assert said(page) == {"film-0000000-1": "keep"}


def test_of_many_those_that_fail_are_named_and_the_others_are_saved(folder: Path) -> None:
    ada, bo = Page(folder), Page(folder, "Bo")
    first, second = ids(ada, CLIPS)
    bo.decide(first, action="keep")
    status, told = ada.decide(first, second, action="drop")
    assert status == 200 and told["saved"] == 1
    (failed,) = told["failed"]
    assert failed["id"] == first and failed["others"][0]["who"] == "Bo"
    assert said(ada) == {"film-0000000-1": "keep", "film-0000100-1": "drop"}


def test_two_people_on_one_server_have_a_name_each(page: Page) -> None:
    first, second = ids(page, CLIPS)
    page.decide(first, action="drop", who="Bo")
    page.decide(second, action="drop", who="Cy")
    assert [row["who"] for each in page.items(CLIPS) for row in each["decisions"]] == ["Bo", "Cy"]
    assert [each["text"] for each in page.get("api/history", who="Bo")] == ["drop"] and page.get("api/history") == []
    assert page.decide(first, action="keep", who="Cy")[0] == 409
    assert page.post("api/undo", first, who="Cy")[0] == 409
    for name in ("a\tb", "x" * 101, "a\nb"):
        assert page.decide(first, action="drop", who=name)[0] == 400


def test_keys_that_a_person_chose_are_kept_for_them(page: Page) -> None:
    assert page.client.post("api/keys", json={"who": "Bo", "keys": {"d": "x", "x": "d"}}).status_code == 200
    again = Page(page.folder)
    assert again.get("api/state", who="Bo")["keys"] == {"d": "x", "x": "d"} and again.get("api/state")["keys"] == {}
    assert page.client.post("api/keys", json={"keys": {"d": 3}}).status_code == 400


@pytest.mark.parametrize("remove", [Path.unlink, lambda path: path.write_text(""), lambda path: path.write_text("key\n")])
def test_a_table_that_is_removed_or_emptied_is_said_and_begun_anew_only_on_purpose(
    remove: Callable[[Path], Any], page: Page
) -> None:
    first, second = ids(page, CLIPS)
    path = page.folder / "config" / "decisions.tsv"
    page.decide(first, action="drop")
    whole = path.read_bytes()
    remove(path)
    if path.exists() and path.read_text():
        path.write_bytes(whole.splitlines(keepends=True)[0])
    (notice,) = page.get("api/pulse")["notices"]
    assert ("was removed" if not path.exists() else "was emptied") in notice and "1 row" in notice
    status, told = page.decide(second, action="keep")
    assert status == 409 and "Restore the file" in told["error"]
    path.write_bytes(whole)
    assert page.decide(second, action="keep")[0] == 200
    remove(path)
    if path.exists() and path.read_text():
        path.write_bytes(whole.splitlines(keepends=True)[0])
    assert page.decide(first, action="keep", overrule=True)[0] == 200
    assert page.decisions() == [("film-0000000-1", "keep", "")]


def test_rows_that_another_program_changed_or_removed_are_said_and_added_ones_are_not(page: Page) -> None:
    first, second = ids(page, CLIPS)
    path = page.folder / "config" / "decisions.tsv"
    page.decide(first, second, action="drop")
    row = {"key": "film-0000007", "decision": "drop", "who": "Bo", "when": "2026-01-31"}
    append_row(path, row, list(Decision.model_fields))
    assert page.get("api/pulse")["notices"] == []
    path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if "0000100" not in line))
    (notice,) = page.get("api/pulse")["notices"]
    assert "1 row of 3 are no longer in it" in notice


def test_the_number_of_decided_crops_stays_right_when_an_identity_is_renamed_and_that_is_taken_back(page: Page) -> None:
    one, _ = ids(page, IDENTITIES)
    _, told = page.decide(one, action="rename", value="Eve")
    assert told["decided"][IDENTITIES] == 2 and len(told["changed"]) == 2
    status, told = take_back(page, told["batch"])
    assert status == 200 and told["decided"][IDENTITIES] == 0 and len(told["changed"]) == 2


def test_the_outlines_that_are_shown_are_those_that_accept_saves(page: Page) -> None:
    (number,) = ids(page, FRAMES)
    shown = page.get("api/outlines", version=page.version, id=number)
    page.decide(number, action="accept", value="0,1")
    (path,) = (page.folder / "labels").rglob("*.json")
    saved = [shape["points"] for shape in json.loads(path.read_text())["shapes"]]
    assert shown["label"] is None
    assert np.allclose([np.multiply(rings[0], (64, 48)) for rings in shown["regions"]], saved, atol=0.01)


def test_a_labelled_frame_shows_its_label(tmp_path: Path) -> None:
    media_of = write_media(tmp_path)
    labels = tmp_path / "results" / "labels.parquet"
    shutil.copy(write_detections(tmp_path, "film-0000007")["outlines"], labels)
    write_review(tmp_path, [item(FRAMES, "film-0000007", labelled=str(labels), picture=media_of["picture"])])
    page = Page(tmp_path)
    (row,) = page.items(FRAMES)
    assert row["labelled"] is True
    shown = page.get("api/outlines", version=page.version, id=row["id"])
    assert len(shown["label"]) == 2 and shown["regions"] == []
    x, y = np.array(shown["label"][0][0]).T
    assert np.allclose((x.min() * 64, y.min() * 48), (8, 8), atol=1)


def test_results_of_another_run_are_never_decided_on_by_mistake(page: Page) -> None:
    first, _ = ids(page, CLIPS)
    write_review(page.folder, [item(CLIPS, "other-0000000-1")])
    status, told = page.decide(first, action="drop")
    assert status == 410 and "workflow ran again" in told["error"]
    assert page.client.get(f"media/{page.version}/{first}/clip").status_code == 410
    assert not (page.folder / "config").exists()
    page.version = page.get("api/state")["version"]
    assert [each["key"] for each in page.items(CLIPS)] == ["other-0000000-1"]


def test_items_are_filtered_and_sent_in_pages_that_miss_none(tmp_path: Path) -> None:
    rows = [item(CLIPS, f"film-{number:07}-1", 1 - number / 1000, source="ab"[number % 2]) for number in range(450)]
    write_review(tmp_path, rows)
    page = Page(tmp_path)
    assert [each["key"] for each in page.items(CLIPS)] == [row["key"] for row in rows]
    assert {each["key"] for each in page.items(CLIPS, source="a", least="0.9")} == {
        row["key"] for row in rows if row["source"] == "a" and row["value"] >= 0.9
    }
    page.decide(3, action="drop")
    assert [each["id"] for each in page.items(CLIPS, decided="yes")] == [3]
    assert 3 not in {each["id"] for each in page.items(CLIPS, decided="no")}
    assert page.client.get("api/ids", params={"queue": CLIPS, "least": "nan"}).status_code == 400


def test_the_page_says_what_the_next_run_will_do(page: Page) -> None:
    assert page.plan() == []
    kept, dropped = ids(page, CLIPS)
    page.decide(kept, action="drop")
    page.decide(dropped, action="keep")
    page.decide(ids(page, FRAMES)[0], action="negative")
    page.decide(ids(page, LABELS)[0], action="keep")
    assert page.plan() == [
        "back in the datasets: 1 clip",
        "left out of the datasets: 1 clip",
        "negatives, pictures without a region: 1 picture",
    ]


def test_what_is_decided_about_counts_once_in_what_the_next_run_will_do(page: Page) -> None:
    one, other = ids(page, IDENTITIES)
    page.decide(one, action="rename", value="Eve")
    assert len(page.items(IDENTITIES)[1]["decisions"]) == 1, "both crops are of the identity"
    assert page.plan() == ["renamed: 1 group of crops"]
    page.decide(other, action="reject")
    assert "rejected: 1 crop" in page.plan()


def test_clips_become_small_videos_that_browsers_play(page: Page) -> None:
    first, _ = ids(page, CLIPS)
    plain, outlined = (page.client.get(f"media/{page.version}/{first}/{what}") for what in ("clip", "outlined"))
    assert plain.headers["content-type"] == "video/mp4" and plain.content != outlined.content
    part = page.client.get(f"media/{page.version}/{first}/clip", headers={"Range": "bytes=0-9"})
    assert part.status_code == 206 and part.content == plain.content[:10]
    file = page.folder / "proxy.mp4"
    file.write_bytes(plain.content)
    images = [frame.image() for frame in read_frames(file, read_packets(file))]
    assert len(images) == 60 and images[0].shape == (48, 64, 3)
    for path in (page.folder / "results").glob("a.m*"):
        path.unlink()
    gone = page.client.get(f"media/{page.version}/{first}/clip")
    assert gone.status_code == 404 and "is gone: run the workflow again" in gone.json()["error"]


@pytest.mark.parametrize(
    "place", ["../secret.jpg", "results/link.jpg", "results/a.txt", "results", "results/review/../../secret.jpg"]
)
def test_nothing_outside_the_results_is_served(place: str, tmp_path: Path) -> None:
    paths = write_media(tmp_path)
    (tmp_path / "secret.jpg").write_bytes(Path(paths["picture"]).read_bytes())
    (tmp_path / "results" / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (tmp_path / "results" / "a.txt").write_text("text")
    write_review(tmp_path, [item(FRAMES, "film-0000001", picture=str(tmp_path / place))])
    page = Page(tmp_path)
    assert page.client.get(f"media/{page.version}/0/picture").status_code == 404


@cache
def page_without_files(folder: Path) -> Page:
    write_review(folder, [item(CLIPS, "film-0000000-1")])
    return Page(folder)


@given(names=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_no_path_leads_to_another_file(names: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    # Hypothesis draws constants of the code as well.
    assume(names not in {path.name for path in STATIC.iterdir()} and not names.startswith("api/"))
    client = page_without_files(tmp_path_factory.getbasetemp() / "no files").client
    for place in (names, f"../{names}", f"media/x/0/{names}", f"media/{names}/0/picture"):
        assert client.get(f"http://{HOST}/{TOKEN}/{quote(place)}").status_code in {404, 410}


GOOD = {"Origin": f"http://{HOST}", "Sec-Fetch-Site": "same-origin"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (GOOD, 200),
        ({}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Host": "evil.example:5000"}, 421),
        ({"Host": "127.0.0.1:5001"}, 421),
        ({"Content-Type": "text/plain"}, 403),
    ],
)
def test_only_the_page_itself_decides(headers: dict[str, str], status: int, page: Page) -> None:
    given = {"version": page.version, "ids": [0], "action": "drop"}
    assert page.client.post("api/decide", json=given, headers=headers).status_code == status
    assert (page.folder / "config" / "decisions.tsv").exists() == (status == 200)


@pytest.mark.parametrize("path", ["/", "/wrong/", "/wrong/api/state", "//", "/secretx/", "/api/state", "/SECRET/"])
def test_nobody_without_the_token_reads_anything(path: str, page: Page) -> None:
    answer = page.client.get(f"http://{HOST}{path}")
    assert answer.status_code == 404 and answer.text == "404 Not Found\n"


def test_other_sites_cannot_show_or_read_the_page(page: Page) -> None:
    headers = page.client.get("").headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe-inline" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    cross = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert page.client.get("media/x/0/picture", headers=cross).status_code == 403
    assert page.client.get("api/state", headers={"Origin": "http://evil.example"}).status_code == 403


def test_requests_that_are_too_long_or_no_objects_are_refused_before_they_are_read(page: Page) -> None:
    json = {"Content-Type": "application/json"}
    assert page.client.post("api/decide", content=b"x" * (LONGEST + 1), headers=json).status_code == 413
    # A length that is not stated, or that is a lie, does not help.
    chunks: Iterator[bytes] = (b"x" * 1000 for _ in range(1_000_000))
    assert page.client.post("api/decide", content=chunks, headers=json).status_code == 413
    for content in (b"", b"[]", b"{", b"\xff", b"[" * 10_000):
        assert page.client.post("api/decide", content=content, headers=json).status_code == 400


@pytest.mark.parametrize("number", [-1, 10**9, "0", None, 1.5, True])
def test_items_that_do_not_exist_are_not_found(number: Any, page: Page) -> None:
    assert page.decide(number, action="drop")[0] == 404


def test_a_full_disk_is_said_and_changes_nothing(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = ids(page, CLIPS)
    page.decide(first, action="drop")
    before = (page.folder / "config" / "decisions.tsv").read_bytes()

    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tessera.records.decision_log.os.write", full)
    status, told = page.decide(first, action="keep")
    assert status == 507 and told["error"] == "Not saved: No space left on device. Fix this, then try again."
    assert (page.folder / "config" / "decisions.tsv").read_bytes() == before
    assert page.items(CLIPS)[0]["decisions"][0]["decision"] == "drop"


def test_a_frame_is_exported_to_label_studio_and_labelme_is_asked_for_if_it_is_missing(page: Page) -> None:
    (frame,) = ids(page, FRAMES)
    status, told = page.post("api/open", frame, how="label_studio")
    assert status == 200 and "is a task to import" in told["message"]
    folder = page.folder / "results" / "review" / "label_studio"
    assert (folder / "film-0000007.json").exists() and 'value="nsfw"' in (folder / "label_studio.xml").read_text()
    status, told = page.post("api/open", frame, how="labelme")
    assert status == 424 and "labelme is not installed" in told["error"]
    assert page.post("api/open", ids(page, CLIPS)[0], how="labelme")[0] == 400


def test_a_labelme_that_does_not_start_is_said(page: Page) -> None:
    (frame,) = ids(page, FRAMES)
    program = page.folder / "results" / "environments" / "labelme" / "bin" / "labelme"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho no display >&2\nexit 3\n")
    program.chmod(0o755)
    status, told = page.post("api/open", frame, how="labelme")
    assert status == 424 and told["error"] == "Not opened: labelme ended at once: no display"
    program.write_text("#!/bin/sh\nexec sleep 3\n")
    status, told = page.post("api/open", frame, how="labelme")
    assert status == 200 and "labelme opens" in told["message"]
    # A region is labelled in its frame, and what is no frame has no label there.
    status, told = page.post("api/open", ids(page, REGIONS)[0], how="labelme")
    assert status == 200 and [path.name for path in (page.folder / "labels").rglob("*.json")] == ["film-0000007.json"]
    assert page.post("api/open", ids(page, LABELS)[0], how="labelme")[0] == 424


def test_proxies_are_no_larger_than_they_are_shown(tmp_path: Path) -> None:
    paths = write_media(tmp_path, frames=2)
    proxy = media.Proxies(tmp_path / "proxies").of(Path(paths["clip"]), None)
    assert media.Proxies(tmp_path / "proxies").of(Path(paths["clip"]), None) == proxy
    assert set((tmp_path / "proxies").iterdir()) == set(proxy)


def test_proxies_are_made_before_those_first_that_are_worth_most_within_a_budget(tmp_path: Path) -> None:
    clips = [write_media(tmp_path, name, frames=4) for name in "abc"]
    rows = [item(CLIPS, f"film-{n:07}-1", 1 - n / 4, clip=each["clip"], mask=each["mask"]) for n, each in enumerate(clips)]
    table = write_review(tmp_path, rows) / "items.parquet"
    folder, ledger = tmp_path / "results" / "review" / "proxies", tmp_path / "proxies.jsonl"
    media.make_proxies(table, 1.0, 2, folder=folder, ledger=ledger)
    first, *_ = expected = [media.proxy_of(folder, Path(each["clip"]), Path(each["mask"])) for each in clips]
    assert set(folder.iterdir()) == {path for proxy in expected for path in proxy}
    times = [path.stat().st_mtime_ns for path in sorted(folder.iterdir())]
    media.make_proxies(table, 1.0, 2, folder=folder, ledger=ledger)
    assert [path.stat().st_mtime_ns for path in sorted(folder.iterdir())] == times, "they are not made again"
    media.make_proxies(table, first.size / 1e9, 2, folder=folder, ledger=ledger)
    assert set(folder.iterdir()) == set(first)
    assert [row["reason"] for row in read_ledger(ledger)] == ["", "beyond the budget", "beyond the budget"]
    page = Page(tmp_path)
    assert page.client.get(f"media/{page.version}/0/outlined").content == first.video.read_bytes()
    assert page.client.get(f"media/{page.version}/0/poster").headers["content-type"] == "image/jpeg"


def test_clips_that_are_shown_beyond_the_budget_give_way_to_others(tmp_path: Path) -> None:
    clips = [write_media(tmp_path, str(number), frames=4) for number in range(6)]
    proxies = media.Proxies(tmp_path / "proxies", budget=1e-9)
    made = [proxies.of(Path(each["clip"]), None) for each in clips]
    assert [proxy.is_there() for proxy in made] == [False] * 4 + [True] * 2


def test_the_columns_that_the_page_writes_are_those_of_the_tables() -> None:
    assert {"key", "decision", "who", "overrules"} <= Decision.model_fields.keys()
    assert {"target", "action", "by", "overrules"} <= IdentityDecision.model_fields.keys()
