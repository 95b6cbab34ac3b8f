"""The server of the review page writes decisions at once, shows conflicts, and serves nothing to anybody else."""

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from review_room import CLASSES, WHO, item, seen_regions, usual_room, write_media, write_room
from starlette.testclient import TestClient

from tessera.imaging.video import read_frames, read_packets
from tessera.pipeline.review import media
from tessera.pipeline.review.guard import LONGEST
from tessera.pipeline.review.server import Review, make_app
from tessera.records.annotation.formats.labelme import read_labelme
from tessera.records.annotation.label_files import read_label_file
from tessera.records.decisions import Decision, read_decisions
from tessera.records.identities import IdentityDecision, read_identity_decisions
from tessera.records.log import append_row
from tessera.records.tables.review import ASKED, CLIPS, FRAMES, IDENTITIES, LABELS, REGIONS

HOST, TOKEN = "127.0.0.1:5000", "secret"
CLASSIFIERS = {"blur": CLASSES, "noise": {"least": 0.0, "most": 10.0}}


class Page:
    """What a page in a browser can do with the server of a room."""

    def __init__(self, folder: Path, who: str = WHO) -> None:
        self.folder = folder
        review = folder / "results" / "review"
        self.client = TestClient(make_app(Review(review, who), TOKEN, lambda: {HOST}), base_url=f"http://{HOST}/{TOKEN}/")
        self.version = self.get("api/state")["version"]

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(path, params=query).raise_for_status().json()

    def items(self, queue: str, **query: Any) -> list[dict[str, Any]]:
        return self.get("api/items", queue=queue, **query)["items"]

    def post(self, path: str, number: int, **given: Any) -> tuple[int, dict[str, Any]]:
        answer = self.client.post(path, json={"version": self.version, "id": number, **given})
        return answer.status_code, answer.json()

    def decide(self, number: int, action: str, **given: Any) -> tuple[int, dict[str, Any]]:
        return self.post("api/decide", number, action=action, **given)

    def decisions(self) -> list[tuple[str, str, str]]:
        found = read_decisions(self.folder / "config" / "decisions.tsv", CLASSIFIERS)
        return [(each.key, each.decision, each.label) for each in found]


@pytest.fixture
def room(tmp_path: Path) -> Path:
    usual_room(tmp_path)
    return tmp_path


@pytest.fixture
def page(room: Path) -> Page:
    return Page(room)


def ids(page: Page, queue: str) -> list[int]:
    return [each["id"] for each in page.items(queue)]


def test_each_decision_is_in_the_table_before_it_is_acknowledged(page: Page) -> None:
    first, second = ids(page, CLIPS)
    status, shown = page.decide(first, "drop")
    assert status == 200
    assert [(row["decision"], row["who"]) for row in shown["decisions"]] == [("drop", WHO)]
    assert page.decisions() == [("film-0000000-1", "drop", "")]
    page.decide(second, "keep", reason='a <b>\n"fine"\tone')
    page.decide(first, "keep")
    assert sorted(page.decisions()) == [("film-0000000-1", "keep", ""), ("film-0000100-1", "keep", "")]
    assert page.post("api/undo", first)[1]["decisions"] == []
    assert page.decisions() == [("film-0000100-1", "keep", "")]
    status, said = page.post("api/undo", first)
    assert status == 409 and "decided nothing" in said["error"]


def test_a_decision_that_says_the_same_again_is_no_row(page: Page) -> None:
    first, _ = ids(page, CLIPS)
    for action in ("drop", "drop", "drop"):
        assert page.decide(first, action)[0] == 200
    assert len((page.folder / "config" / "decisions.tsv").read_text().splitlines()) == 2
    assert page.decide(first, "drop", reason="logo")[0] == 200
    assert len((page.folder / "config" / "decisions.tsv").read_text().splitlines()) == 3


def test_keys_of_the_user_decide_with_a_reason(page: Page) -> None:
    (queue,) = (each for each in page.get("api/state")["queues"] if each["name"] == CLIPS)
    (own,) = (each for each in queue["actions"][""] if each["key"] == "w")
    assert (own["name"], own["text"], own["reason"]) == ("drop", "drop: watermark", "watermark")
    (labels,) = (each for each in page.get("api/state")["queues"] if each["name"] == IDENTITIES)
    assert "w" not in {each["key"] for each in labels["actions"][""]}, "crops are not dropped"


def test_decisions_follow_clips_and_regions_that_were_made_anew(room: Path) -> None:
    columns, table = list(Decision.model_fields), room / "config" / "decisions.tsv"
    table.parent.mkdir()
    for key in ("film-0000104-7", "film-0000007+33-9-57-25", "film-0000300-1"):
        append_row(table, {"key": key, "decision": "drop", "who": "Bo", "when": "2026-01-31"}, columns)
    page = Page(room)
    first, second = page.items(CLIPS)
    assert first["decisions"] == [] and second["decisions"][0]["key"] == "film-0000104-7"
    assert page.items(REGIONS)[0]["decisions"][0]["key"] == "film-0000007+33-9-57-25"
    assert [each["id"] for each in page.items(CLIPS, decided="no")] == [first["id"]]
    # A new decision is on the old key, so that the two do not stand side by side.
    assert page.decide(second["id"], "keep")[0] == 409
    assert page.decide(second["id"], "keep", overrule=True)[0] == 200
    assert ("film-0000104-7", "keep", "") in page.decisions()


def test_what_people_disagree_about_is_found_and_stops_the_next_run(room: Path) -> None:
    columns, table = list(Decision.model_fields), room / "config" / "decisions.tsv"
    table.parent.mkdir()
    for who, decision in (("Bo", "keep"), ("Cy", "drop")):
        append_row(table, {"key": "film-0000000-1", "decision": decision, "who": who, "when": "2026-01-31"}, columns)
    page = Page(room)
    assert [each["key"] for each in page.items(CLIPS, decided="disputed")] == ["film-0000000-1"]
    assert page.get("api/plan") == ["nothing: people disagree about 1 item, see `decided: disputed`"]
    append_row(
        table, {"key": "film-0000000-1", "decision": "drop", "who": "Cy", "when": "2026-01-31", "overrules": "Bo"}, columns
    )
    assert page.items(CLIPS, decided="disputed") == [] and page.get("api/plan") == ["left out of the datasets: 1 clip"]


def test_items_are_found_by_a_part_of_their_key_or_source(page: Page) -> None:
    assert [each["key"] for each in page.items(CLIPS, find="00100")] == ["film-0000100-1"]
    assert len(page.items(CLIPS, find="film")) == 2 and page.items(CLIPS, find="fi.m") == []


def test_the_number_of_decided_items_is_known(page: Page) -> None:
    page.decide(ids(page, CLIPS)[0], "drop")
    page.decide(ids(page, IDENTITIES)[0], "rename", value="Eve")
    decided = {queue["name"]: queue["decided"] for queue in page.get("api/state")["queues"]}
    assert (decided[CLIPS], decided[FRAMES], decided[IDENTITIES]) == (1, 0, 2)


def test_pictures_of_classifiers_get_only_labels_that_exist(page: Page) -> None:
    one, other = ids(page, LABELS)
    assert page.decide(one, "relabel", value="soft")[0] == 200
    assert page.decide(other, "relabel", value="2.5")[0] == 200
    assert page.decide(one, "relabel", value="dark")[0] == 400
    assert page.decide(other, "relabel", value="11")[0] == 400
    assert page.decide(one, "explode")[0] == 400
    assert sorted(page.decisions()) == [("set+1", "relabel", "soft"), ("set+2", "relabel", "2.5")]


def test_a_picture_that_was_asked_for_gets_one_of_the_classes_or_is_left_out(page: Page) -> None:
    (number,) = ids(page, ASKED)
    key = page.items(ASKED)[0]["key"]
    assert page.decide(number, "relabel", value="dark")[0] == 400 and page.decide(number, "keep")[0] == 400
    assert page.decide(number, "relabel", value="soft")[0] == 200
    assert page.get("api/plan") == ["labelled: 1 picture"]
    assert page.decisions() == [(key, "relabel", "soft")]
    assert page.decide(number, "drop")[0] == 200
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
    assert page.decide(number, "accept", value="")[0] == 409
    status, shown = page.decide(number, "accept", value="0")
    assert status == 200 and shown["decisions"][0]["reason"] == "labelled as shown"
    (box,) = labelled(page)["film-0000007"]
    assert np.allclose(box, (8, 8, 24, 40), atol=1)
    assert page.decisions() == [("film-0000007", "keep", "")]
    assert page.get("api/plan") == ["labelled as shown: 1 picture"]
    status, said = page.decide(number, "accept", value="0,1")
    assert status == 409 and "film-0000007 has a label in" in said["error"]
    assert page.post("api/undo", number)[0] == 200
    assert labelled(page) == {} and page.decisions() == []
    assert page.decide(number, "accept", value="0,1")[0] == 200
    assert len(labelled(page)["film-0000007"]) == 2


def test_taking_back_never_deletes_what_a_person_drew(page: Page) -> None:
    (number,) = ids(page, FRAMES)
    assert page.decide(number, "accept", value="0,1")[0] == 200
    (path,) = (page.folder / "labels").rglob("*.json")
    document = json.loads(path.read_text())
    del document["shapes"][1]
    path.write_text(json.dumps({**document, "version": "6.3.1"}))
    assert page.post("api/undo", number)[0] == 200
    assert path.exists() and page.decisions() == []


def test_a_label_that_cannot_be_decided_on_is_not_left_behind(room: Path) -> None:
    ada, bo = Page(room), Page(room, "Bo")
    (number,) = ids(ada, FRAMES)
    assert bo.decide(number, "drop")[0] == 200
    assert ada.decide(number, "accept", value="0")[0] == 409
    assert labelled(ada) == {}
    assert ada.decide(number, "accept", value="0", overrule=True)[0] == 200
    assert labelled(ada).keys() == {"film-0000007"}


def test_what_changes_nothing_cannot_be_decided(tmp_path: Path) -> None:
    media = write_media(tmp_path)
    rows = [item(FRAMES, "film-0000001", state="kept", picture=media["picture"]), item(IDENTITIES, "film-0000001-person-0")]
    write_room(tmp_path, rows)
    page = Page(tmp_path)
    assert page.items(FRAMES)[0]["actions"] == ["drop", "keep", "drop"] and page.items(IDENTITIES)[0]["actions"] == [
        "move",
        "reject",
    ]
    assert page.decide(ids(page, FRAMES)[0], "negative")[0] == 400, "its label stays"
    assert page.decide(ids(page, IDENTITIES)[0], "rename", value="Eve")[0] == 400, "it is nobody yet"


def test_what_somebody_else_accepted_stays(room: Path) -> None:
    ada, bo = Page(room), Page(room, "Bo")
    (number,) = ids(ada, FRAMES)
    assert ada.decide(number, "accept", value="0")[0] == 200
    assert bo.decide(number, "keep")[0] == 200 and bo.post("api/undo", number)[0] == 200
    assert labelled(ada).keys() == {"film-0000007"}
    # The same again is no other label, as after a kill between the label and the row.
    assert bo.decide(number, "accept", value="0")[0] == 200
    assert ada.post("api/undo", number)[0] == 200
    assert labelled(ada).keys() == {"film-0000007"}, "Bo accepted it too"
    assert bo.decide(number, "accept", value="1")[0] == 409


def test_only_regions_that_are_shown_become_a_label(page: Page) -> None:
    (number,) = ids(page, FRAMES)
    assert page.decide(number, "accept", value="0,2")[0] == 409
    assert page.decide(number, "accept", value="9" * 5_000)[0] == 409
    seen_regions(page.folder, "film-0000007", moved=4)
    status, said = page.decide(number, "accept", value="0")
    assert status == 409 and "has found other regions since" in said["error"]
    assert labelled(page) == {} and not (page.folder / "config" / "decisions.tsv").exists()


def test_two_servers_never_acknowledge_decisions_that_contradict_each_other(room: Path) -> None:
    pages = Page(room), Page(room, "Bo")
    numbers = ids(pages[0], CLIPS) * 10
    with ThreadPoolExecutor(2) as pool:
        for place, number in enumerate(numbers):
            words = ("keep", "drop") if place % 2 else ("drop", "keep")
            answers = list(pool.map(lambda each: each[0].decide(number, each[1])[0], zip(pages, words, strict=True)))  # noqa: B023
            assert 409 in answers or answers == [200, 200]
            read_decisions(room / "config" / "decisions.tsv", CLASSIFIERS)
            for page in pages:
                page.post("api/undo", number)


def test_whoever_overrules_overrules_all_who_decided_otherwise(room: Path) -> None:
    columns, table = list(Decision.model_fields), room / "config" / "decisions.tsv"
    page = Page(room)
    first, _ = ids(page, CLIPS)
    for who in ("Bo", "Cy"):
        append_row(table, {"key": "film-0000000-1", "decision": "keep", "who": who, "when": "2026-01-31"}, columns)
    status, said = page.decide(first, "drop")
    assert status == 409 and len(said["others"]) == 2 and len(said["item"]["decisions"]) == 2
    assert page.decide(first, "drop", overrule=True)[0] == 200
    assert page.decisions() == [("film-0000000-1", "drop", "")]
    assert page.post("api/undo", first)[0] == 200
    assert page.decisions() == [("film-0000000-1", "keep", "")]


def test_names_that_the_next_run_would_refuse_are_not_written(page: Page) -> None:
    one, other = ids(page, IDENTITIES)
    assert page.decide(one, "move", value="Lea")[0] == 200
    status, said = page.decide(other, "rename", value="LEA")
    assert status == 423 and "looks like" in said["error"]
    assert page.decide(other, "rename", value="Eve")[0] == 200
    # The latest is taken back first, whatever it is about.
    assert [row["action"] for row in page.items(IDENTITIES)[0]["decisions"]] == ["rename", "move"]
    assert page.post("api/undo", one)[1]["decisions"][0]["action"] == "move"


def test_what_another_run_set_is_used(page: Page) -> None:
    settings = json.loads((page.folder / "results" / "review" / "page.json").read_text())
    write_room(
        page.folder, [item(CLIPS, "other-0000000-1")], decisions=str(page.folder / "config" / "new.tsv"), identities=None
    )
    page.version = page.get("api/state")["version"]
    assert page.decide(0, "drop")[0] == 200
    assert (page.folder / "config" / "new.tsv").exists() and not Path(settings["decisions"]).exists()


def test_a_table_that_is_a_pipe_is_said_and_waited_for_by_nobody(page: Page) -> None:
    (page.folder / "config").mkdir()
    os.mkfifo(page.folder / "config" / "decisions.tsv")
    assert "is no regular file" in page.get("api/state")["faults"][0]
    assert page.decide(ids(page, CLIPS)[0], "drop")[0] == 423


@pytest.mark.parametrize("given", [{"reason": None}, {"reason": "\ud800"}, {"value": ["soft"]}, {"action": 3}])
def test_what_is_no_text_is_refused(given: dict[str, Any], page: Page) -> None:
    content = json.dumps({"version": page.version, "id": 0, "action": "drop", **given})
    answer = page.client.post("api/decide", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400 and not (page.folder / "config").exists()


def test_without_a_folder_for_labels_nothing_is_accepted(tmp_path: Path) -> None:
    review = usual_room(tmp_path)
    settings = json.loads((review / "page.json").read_text())
    (review / "page.json").write_text(json.dumps({**settings, "labels": None}))
    page = Page(tmp_path)
    (number,) = ids(page, FRAMES)
    assert page.decide(number, "accept", value="0")[0] == 400
    assert "accept" not in json.dumps(page.get("api/state"))
    assert "names no folder for labels" in page.post("api/open", number, how="labelme")[1]["error"]


def test_a_region_is_decided_on_by_its_place(page: Page) -> None:
    (number,) = ids(page, REGIONS)
    assert page.decide(number, "keep")[0] == 200
    assert page.decisions() == [("film-0000007+32-8-56-24", "keep", "")]
    assert page.get("api/plan") == ["back in the datasets: 1 region"]


def test_identities_have_a_table_of_their_own(page: Page) -> None:
    one, other = ids(page, IDENTITIES)
    assert page.decide(one, "move", value="Bo")[0] == 200
    status, shown = page.decide(other, "rename", value="Eve")
    assert status == 200 and shown["decisions"][0]["to"] == "Eve"
    status, said = page.decide(one, "move", value="../x")
    assert status == 423 and "should not contain /" in said["error"]
    found = read_identity_decisions(page.folder / "config" / "identities.tsv")
    assert [(each.target, each.action, each.to) for each in found] == [
        ("film-0000007-person-0", "move", "Bo"),
        ("cluster_a", "rename", "Eve"),
    ]
    # The name is decided for both crops.
    assert {row["action"] for row in page.items(IDENTITIES)[0]["decisions"]} == {"move", "rename"}


def test_a_decision_of_somebody_else_is_shown_and_overruled_only_on_purpose(room: Path) -> None:
    ada, bo = Page(room), Page(room, "Bo")
    (first, _), (frame,) = ids(ada, CLIPS), ids(ada, FRAMES)
    assert bo.decide(first, "keep")[0] == 200
    status, said = ada.decide(first, "drop")
    assert status == 409 and [(row["who"], row["decision"]) for row in said["others"]] == [("Bo", "keep")]
    assert ada.decisions() == [("film-0000000-1", "keep", "")]
    assert ada.decide(first, "keep")[0] == 200, "they agree"
    assert ada.decide(first, "drop", overrule=True)[0] == 200
    assert ada.decisions() == [("film-0000000-1", "drop", "")]
    assert bo.decide(frame, "negative")[0] == 200
    assert ada.post("api/undo", frame)[0] == 409, "of somebody else"


def test_a_table_that_people_edit_meanwhile_is_read_again_and_a_damaged_one_is_never_written_to(page: Page) -> None:
    first, _ = ids(page, CLIPS)
    path = page.folder / "config" / "decisions.tsv"
    page.decide(first, "drop")
    append_row(
        path, {"key": "film-0000100-1", "decision": "drop", "who": "Bo", "when": "2026-01-31"}, list(Decision.model_fields)
    )
    assert [row["decisions"][0]["who"] for row in page.items(CLIPS)] == [WHO, "Bo"]
    whole = path.read_bytes()
    path.write_bytes(whole + b"film-0000000-1\tperhaps\n")
    status, said = page.decide(first, "keep")
    assert status == 423 and "line 4: decision" in said["error"]
    assert page.get("api/state")["faults"] and path.read_bytes().endswith(b"perhaps\n")
    path.unlink()
    assert page.decide(first, "keep")[0] == 200, "a deleted table is begun again"
    assert page.decisions() == [("film-0000000-1", "keep", "")]


def test_results_of_another_run_are_never_decided_on_by_mistake(page: Page) -> None:
    first, _ = ids(page, CLIPS)
    write_room(page.folder, [item(CLIPS, "other-0000000-1")])
    status, said = page.decide(first, "drop")
    assert status == 410 and "workflow ran again" in said["error"]
    assert page.client.get(f"media/{page.version}/{first}/clip").status_code == 410
    assert not (page.folder / "config").exists()
    page.version = page.get("api/state")["version"]
    assert [each["key"] for each in page.items(CLIPS)] == ["other-0000000-1"]


def test_items_are_filtered_and_sent_in_pages_that_miss_none(tmp_path: Path) -> None:
    rows = [item(CLIPS, f"film-{number:07}-1", 1 - number / 1000, source="ab"[number % 2]) for number in range(450)]
    write_room(tmp_path, rows)
    page = Page(tmp_path)
    found: list[dict[str, Any]] = []
    while part := page.items(CLIPS, after=found[-1]["id"] if found else -1):
        found += part
    assert [each["key"] for each in found] == [row["key"] for row in rows]
    assert {each["key"] for each in page.items(CLIPS, source="a", least="0.9")} == {
        row["key"] for row in rows if row["source"] == "a" and row["value"] >= 0.9
    }
    page.decide(3, "drop")
    assert [each["id"] for each in page.items(CLIPS, decided="yes")] == [3]
    assert 3 not in {each["id"] for each in page.items(CLIPS, decided="no")}
    assert page.client.get("api/items", params={"queue": CLIPS, "least": "nan"}).status_code == 400


def test_the_page_says_what_the_next_run_will_do(page: Page) -> None:
    assert page.get("api/plan") == []
    kept, dropped = ids(page, CLIPS)
    page.decide(kept, "drop")
    page.decide(dropped, "keep")
    page.decide(ids(page, FRAMES)[0], "negative")
    page.decide(ids(page, LABELS)[0], "keep")
    assert page.get("api/plan") == [
        "back in the datasets: 1 clip",
        "left out of the datasets: 1 clip",
        "negatives, pictures without a region: 1 picture",
    ]


def test_what_is_decided_about_counts_once_in_what_the_next_run_will_do(page: Page) -> None:
    one, other = ids(page, IDENTITIES)
    page.decide(one, "rename", value="Eve")
    assert len(page.items(IDENTITIES)[1]["decisions"]) == 1, "both crops are of the identity"
    assert page.get("api/plan") == ["renamed: 1 group of crops"]
    page.decide(other, "reject")
    assert "rejected: 1 crop" in page.get("api/plan")


def test_clips_become_small_videos_that_browsers_play(page: Page) -> None:
    first, _ = ids(page, CLIPS)
    plain, outlined = (page.client.get(f"media/{page.version}/{first}/{what}") for what in ("clip", "outlined"))
    assert plain.headers["content-type"] == "video/mp4" and plain.content != outlined.content
    part = page.client.get(f"media/{page.version}/{first}/clip", headers={"Range": "bytes=0-9"})
    assert part.status_code == 206 and part.content == plain.content[:10]
    file = page.folder / "proxy.mp4"
    file.write_bytes(plain.content)
    images = [frame.image() for frame in read_frames(file, read_packets(file))]
    assert len(images) == 6 and images[0].shape == (48, 64, 3)
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
    write_room(tmp_path, [item(FRAMES, "film-0000001", picture=str(tmp_path / place))])
    page = Page(tmp_path)
    assert page.client.get(f"media/{page.version}/0/picture").status_code == 404


@cache
def page_without_files(folder: Path) -> Page:
    write_room(folder, [item(CLIPS, "film-0000000-1")])
    return Page(folder)


@given(names=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_no_path_leads_to_another_file(names: str, tmp_path_factory: pytest.TempPathFactory) -> None:
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
    given = {"version": page.version, "id": 0, "action": "drop"}
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
    assert page.decide(number, "drop")[0] == (200 if number is True else 404)


def test_a_full_disk_is_said_and_changes_nothing(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = ids(page, CLIPS)
    page.decide(first, "drop")
    before = (page.folder / "config" / "decisions.tsv").read_bytes()

    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tessera.records.log.os.write", full)
    status, said = page.decide(first, "keep")
    assert status == 507 and said["error"] == "Not saved: No space left on device. Fix this, then try again."
    assert (page.folder / "config" / "decisions.tsv").read_bytes() == before
    assert page.items(CLIPS)[0]["decisions"][0]["decision"] == "drop"


def test_a_frame_is_exported_to_label_studio_and_labelme_is_asked_for_if_it_is_missing(page: Page) -> None:
    (frame,) = ids(page, FRAMES)
    status, said = page.post("api/open", frame, how="label_studio")
    assert status == 200 and "is a task to import" in said["told"]
    folder = page.folder / "results" / "review" / "label_studio"
    assert (folder / "film-0000007.json").exists() and 'value="nsfw"' in (folder / "label_studio.xml").read_text()
    status, said = page.post("api/open", frame, how="labelme")
    assert status == 424 and "labelme is not installed" in said["error"]
    assert page.post("api/open", ids(page, CLIPS)[0], how="labelme")[0] == 400


def test_a_labelme_that_does_not_start_is_said(page: Page) -> None:
    (frame,) = ids(page, FRAMES)
    program = page.folder / "results" / "environments" / "labelme" / "bin" / "labelme"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho no display >&2\nexit 3\n")
    program.chmod(0o755)
    status, said = page.post("api/open", frame, how="labelme")
    assert status == 424 and said["error"] == "Not opened: labelme ended at once: no display"
    program.write_text("#!/bin/sh\nexec sleep 3\n")
    status, said = page.post("api/open", frame, how="labelme")
    assert status == 200 and "labelme opens" in said["told"]
    # A region is labelled in its frame, and what is no frame has no label there.
    status, said = page.post("api/open", ids(page, REGIONS)[0], how="labelme")
    assert status == 200 and [path.name for path in (page.folder / "labels").rglob("*.json")] == ["film-0000007.json"]
    assert page.post("api/open", ids(page, LABELS)[0], how="labelme")[0] == 424


def test_proxies_are_no_larger_than_they_are_shown(tmp_path: Path) -> None:
    paths = write_media(tmp_path, frames=2)
    proxy = media.Proxies(tmp_path / "proxies").of(Path(paths["clip"]), None)
    assert media.Proxies(tmp_path / "proxies").of(Path(paths["clip"]), None) == proxy
    assert [path.name for path in (tmp_path / "proxies").iterdir()] == [proxy.name]


def test_the_columns_that_the_page_writes_are_those_of_the_tables() -> None:
    assert {"key", "decision", "who", "overrules"} <= Decision.model_fields.keys()
    assert {"target", "action", "by", "overrules"} <= IdentityDecision.model_fields.keys()
