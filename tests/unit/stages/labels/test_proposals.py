"""Which frames are proposed, and that no work of a person is ever lost."""

import contextlib
import csv
import hashlib
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import cv2
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from source_files import write_source_files

from tessera.core import log
from tessera.core.errors import TesseraError
from tessera.core.ledger import Ledger
from tessera.core.provenance import sha256_file
from tessera.imaging.boxes import mask_box
from tessera.imaging.encode import write_video
from tessera.imaging.images import read_image
from tessera.imaging.masks import encode_rle
from tessera.records.annotation.formats.brushes import decode_brush
from tessera.records.annotation.formats.labelme import load_labelme, read_labelme
from tessera.records.annotation.label_files import is_unsaved
from tessera.records.annotation.model import Annotation, ImageAnnotations
from tessera.records.tables.annotation import Annotations, PredictedFrames
from tessera.records.tables.footage import Sources
from tessera.records.tables.table import types, write_table
from tessera.stages.labels.proposals import (
    ABSENT,
    CHECKSUMS,
    DELETED,
    EDITED,
    HARD,
    JOURNAL,
    PROPOSED,
    SPREAD,
    Proposal,
    ProposalSettings,
    choose,
    fill_up,
    gate_previews,
    propose_labels,
    update_proposals,
    withdraw,
)

HEIGHT, WIDTH = 48, 64


def proposal(key: str, grey: int = 100, left: int = 10) -> Proposal:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[10:30, left : left + 20] = 255
    region = Annotation.of_mask("nsfw", mask, score=0.5)
    return Proposal(np.full((HEIGHT, WIDTH, 3), grey, np.uint8), ImageAnnotations(key, WIDTH, HEIGHT, (region,)))


def state(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())} if folder.exists() else {}


def frames_table(times: list[float | None]) -> pl.DataFrame:
    rows = [
        {"key": f"v-{i:07d}", "source": "v", "index": i, "name": None, "pts": i, "time": time, "width": WIDTH, "height": HEIGHT}
        for i, time in enumerate(times)
    ]
    return pl.DataFrame(rows, schema=types(PredictedFrames))


def regions_table(scores: dict[int, list[float]], mask: np.ndarray | None = None) -> pl.DataFrame:
    x0, y0, x1, y1 = (1.0, 2.0, 9.0, 8.0) if mask is None else mask_box(mask)
    common = {"label": "nsfw", "polygons": None, "rle": None if mask is None else encode_rle(mask), "crowd": False}
    rows = [
        {"key": f"v-{i:07d}", "number": n, **common, "x0": x0, "y0": y0, "x1": x1, "y1": y1, "score": score}
        for i, several in scores.items()
        for n, score in enumerate(several)
    ]
    return pl.DataFrame(rows, schema=types(Annotations))


def test_the_mode_uncertain_takes_scores_close_to_the_threshold_at_a_distance_in_time() -> None:
    frames = frames_table([i / 10 for i in range(40)])
    regions = regions_table({0: [0.9], 5: [0.26], 6: [0.251], 20: [0.2, 0.9], 30: [0.6], 39: [0.99]})
    wanted = ProposalSettings(limit=3, apart_seconds=1.0)
    assert choose(frames, regions, 0.25, wanted, ()) == [6, 20, 30]
    assert choose(frames, regions, 0.25, ProposalSettings(limit=3, apart_seconds=0.0), ()) == [5, 6, 20]
    assert choose(frames, regions, 0.9, ProposalSettings(limit=1), ()) == [0]
    assert choose(frames_table([None] * 40), regions, 0.25, wanted, ()) == [5, 6, 20]
    assert choose(frames, regions_table({}), 0.25, wanted, ()) == []


def test_if_little_is_uncertain_evenly_spaced_frames_are_added() -> None:
    frames = frames_table([i / 10 for i in range(60)])
    wanted = ProposalSettings(limit=4, apart_seconds=1.0)
    assert fill_up(frames, [], wanted) == [0, 10, 30, 40]
    assert fill_up(frames, [25], wanted) == [0, 10, 45]
    assert fill_up(frames, [1, 20, 40, 55], wanted) == []
    assert fill_up(frames_table([None] * 8), [0], wanted) == [1, 3, 5]


def test_the_mode_every_takes_each_nth_frame_and_thins_evenly_beyond_the_limit() -> None:
    frames = frames_table([None] * 100)
    assert choose(frames, regions_table({}), 0.25, ProposalSettings(choose="every", every_frames=30), ()) == [0, 30, 60, 90]
    assert choose(frames, regions_table({}), 0.25, ProposalSettings(choose="every", every_frames=10, limit=5), ()) == [
        0,
        20,
        40,
        60,
        80,
    ]


def test_the_mode_list_takes_all_listed_frames_with_predictions() -> None:
    listed = ProposalSettings(choose="list", limit=1)
    assert choose(frames_table([None] * 10), regions_table({}), 0.25, listed, (7, 3, 99)) == [3, 7]


def test_a_proposal_can_be_opened_in_labelme_and_read_back(tmp_path: Path) -> None:
    assert update_proposals(tmp_path, [proposal("a"), Proposal(proposal("b").image, ImageAnnotations("b", WIDTH, HEIGHT))]) == [
        ("a", PROPOSED),
        ("b", PROPOSED),
    ]
    document = load_labelme(tmp_path / "a.json")
    assert document["imagePath"] == "a.jpg"
    assert read_image(tmp_path / "a.jpg").shape == (HEIGHT, WIDTH, 3)
    image, losses = read_labelme(document, "a", WIDTH, HEIGHT)
    assert not losses
    assert [region.label for region in image.annotations] == ["nsfw"]
    # No person has confirmed yet that an image without regions shows none.
    assert load_labelme(tmp_path / "b.json")["flags"] == {"sfw": False}


def test_proposing_twice_changes_nothing_and_sha256sum_verifies_the_checksums(tmp_path: Path) -> None:
    first = update_proposals(tmp_path, [proposal("a"), proposal("b")])
    before = state(tmp_path)
    assert update_proposals(tmp_path, [proposal("a"), proposal("b")]) == first
    assert state(tmp_path) == before
    assert set(before) == {"a.jpg", "a.json", "b.jpg", "b.json", CHECKSUMS}
    lines = [f"{hashlib.sha256(before[name]).hexdigest()}  {name}\n" for name in ("a.jpg", "a.json", "b.jpg", "b.json")]
    assert before[CHECKSUMS].decode() == "".join(lines)


def test_unedited_proposals_are_updated(tmp_path: Path) -> None:
    update_proposals(tmp_path, [proposal("a")])
    before = state(tmp_path)
    assert update_proposals(tmp_path, [proposal("a", left=20)]) == [("a", PROPOSED)]
    assert state(tmp_path)["a.json"] != before["a.json"]


@pytest.mark.parametrize("edited", ["a.json", "a.jpg"])
def test_an_edited_file_and_its_image_are_never_touched(tmp_path: Path, edited: str) -> None:
    update_proposals(tmp_path, [proposal("a"), proposal("b")])
    (tmp_path / edited).write_bytes(b"by a person")
    kept = {name: content for name, content in state(tmp_path).items() if name.startswith("a.")}
    for proposals in ([proposal("a", 1), proposal("b")], [proposal("b")], []):
        status = dict(update_proposals(tmp_path, proposals))
        assert status["a"] == EDITED
        assert {name: content for name, content in state(tmp_path).items() if name.startswith("a.")} == kept
    assert not (tmp_path / "b.json").exists()


@pytest.mark.parametrize("version", ["0.1", "now"])
def test_other_line_ends_make_no_proposal_an_edited_one(tmp_path: Path, version: str) -> None:
    update_proposals(tmp_path, [proposal("a"), proposal("b")])
    if version == "0.1":
        for label in tmp_path.glob("*.json"):
            label.write_text(re.sub("Tessera proposal [0-9a-f]+", "5.5.0", label.read_text()))
        files = sorted(path for path in tmp_path.iterdir() if path.name != CHECKSUMS)
        (tmp_path / CHECKSUMS).write_text("".join(f"{sha256_file(path)}  {path.name}\n" for path in files))
    for label in tmp_path.glob("*.json"):
        label.write_bytes(label.read_bytes().replace(b"\n", b"\r\n"))
        assert is_unsaved(label)
    assert update_proposals(tmp_path, [proposal("a", left=20)]) == [("a", PROPOSED)]
    assert {path.name for path in tmp_path.iterdir()} == {"a.jpg", "a.json", CHECKSUMS}
    assert b"\r" not in (tmp_path / "a.json").read_bytes()


def test_proposals_for_a_withdrawn_source_are_removed_and_edited_ones_are_named(tmp_path: Path) -> None:
    for source in ("stays", "my%20dog", "edited"):
        update_proposals(tmp_path / source, [proposal(f"{source}-0000001"), proposal(f"{source}-0000002")])
    (tmp_path / "edited" / "edited-0000002.json").write_text("by a person")
    update_proposals(tmp_path / "mine", [proposal("mine")])  # checksums of a person's own folder
    (tmp_path / "link").symlink_to(tmp_path / "stays")
    stays, mine = state(tmp_path / "stays"), state(tmp_path / "mine")
    withdrawn = [tmp_path / "edited", tmp_path / "my%20dog"]
    left = [tmp_path / "edited" / f"edited-0000002.{suffix}" for suffix in ("jpg", "json")]
    assert withdraw(tmp_path, ["stays"]) == (withdrawn, left)
    assert (state(tmp_path / "stays"), state(tmp_path / "mine")) == (stays, mine)
    assert not (tmp_path / "my%20dog").exists()
    assert withdraw(tmp_path, ["stays"]) == ([tmp_path / "edited"], left)
    assert withdraw(tmp_path, ["stays", "edited"]) == withdraw(tmp_path / "nowhere", []) == ([], [])


def test_a_file_of_the_user_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("mine")
    (tmp_path / "other.json").write_text("mine too")
    assert update_proposals(tmp_path, [proposal("a"), proposal("b")]) == [("a", EDITED), ("b", PROPOSED)]
    assert update_proposals(tmp_path, []) == []
    assert state(tmp_path) == {"a.json": b"mine", "other.json": b"mine too"}


def test_a_deleted_proposal_is_not_written_again(tmp_path: Path) -> None:
    update_proposals(tmp_path, [proposal("a"), proposal("b")])
    (tmp_path / "a.json").unlink()
    for grey in (100, 50):
        assert update_proposals(tmp_path, [proposal("a", grey), proposal("b", grey)]) == [("a", DELETED), ("b", PROPOSED)]
        assert not (tmp_path / "a.json").exists()


def test_a_proposal_that_is_no_longer_chosen_is_removed_and_can_return(tmp_path: Path) -> None:
    update_proposals(tmp_path, [proposal("a"), proposal("b")])
    assert update_proposals(tmp_path, [proposal("b")]) == [("b", PROPOSED)]
    assert set(state(tmp_path)) == {"b.jpg", "b.json", CHECKSUMS}
    assert update_proposals(tmp_path, [proposal("a"), proposal("b")]) == [("a", PROPOSED), ("b", PROPOSED)]
    assert update_proposals(tmp_path, []) == []
    assert not tmp_path.exists()


def test_checksums_with_paths_outside_the_folder_touch_nothing_there(tmp_path: Path) -> None:
    victim = tmp_path / "victim.json"
    victim.write_text("precious")
    folder = tmp_path / "proposed"
    folder.mkdir()
    digest = hashlib.sha256(b"precious").hexdigest()
    (folder / CHECKSUMS).write_text(f"{digest}  ../victim.json\n{digest}  {victim}\n")
    update_proposals(folder, [])
    assert victim.read_text() == "precious"


class Killed(BaseException):
    """An exception that no code catches, like a kill."""


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_after_a_kill_the_next_call_gives_the_same_result_as_an_undisturbed_one(
    data: st.DataObject, tmp_path_factory: Any
) -> None:
    """After a kill before any write or removal, calling again gives the same files, and no false edits."""
    folder = tmp_path_factory.mktemp("proposed")
    second = [proposal("b", 50), proposal("c")]
    update_proposals(folder, [proposal("a"), proposal("b")])
    steps = data.draw(st.integers(0, 12))
    left = steps

    def step(*_: Any, **__: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        for name in ("replace", "unlink"):
            original = getattr(Path, name)

            def before(self: Path, *arguments: Any, original: Any = original, **named: Any) -> Any:
                step()
                return original(self, *arguments, **named)

            patch.setattr(Path, name, before)
        with contextlib.suppress(Killed):
            update_proposals(folder, second)
    assert update_proposals(folder, second) == [("b", PROPOSED), ("c", PROPOSED)]
    fresh = tmp_path_factory.mktemp("fresh")
    update_proposals(fresh, second)
    assert state(folder) == state(fresh)
    assert JOURNAL not in state(folder)


def test_a_shard_becomes_a_folder_per_source_and_a_report(tmp_path: Path) -> None:
    def footage() -> Iterator[np.ndarray]:
        for grey in range(10):
            yield np.full((HEIGHT, WIDTH, 3), 20 * grey, np.uint8)

    name = "a/b “c”"
    write_video(tmp_path / "v.mp4", footage(), 10)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.circle(mask, (30, 24), 15, 255, -1)
    cv2.circle(mask, (30, 24), 5, 0, -1)
    empty: dict[str, Any] = dict.fromkeys(types(Sources))
    texts = dict.fromkeys(["shard", "reason", "rights", "consent", "split", "series", "sha256"], "")
    source = {"source": name, "path": str(tmp_path / "v.mp4"), "kind": "video", "frames": 10, "size": 1}
    row = {**empty, **texts, "content": "general", "use": [], **source}
    write_table(pl.DataFrame([row], schema=types(Sources)), Sources, tmp_path / "sources.parquet")
    frames = frames_table([i / 10 for i in range(0, 10)]).with_columns(source=pl.lit(name))
    write_table(frames, PredictedFrames, tmp_path / "frames.parquet")
    write_table(regions_table({3: [0.5]}, mask), Annotations, tmp_path / "predictions.parquet")
    wanted = ProposalSettings(folder=tmp_path / "proposed", choose="list", frames={name: (3, 4, 12)})
    write_source_files(tmp_path / "stills.parquet")
    tables = [tmp_path / f"{table}.parquet" for table in ("sources", "stills", "frames", "predictions")]
    propose_labels(*tables, None, 0.25, wanted, "nsfw 1", ["nsfw"], (), {}, tmp_path / "report.tsv", tmp_path / "studio.xml")
    with (tmp_path / "report.tsv").open(newline="") as file:
        rows = list(csv.reader(file, delimiter="\t"))
    assert rows[1:] == [
        [name, "a%2Fb%20%E2%80%9Cc%E2%80%9D-0000012", ABSENT],
        [name, "v-0000003", PROPOSED],
        [name, "v-0000004", PROPOSED],
    ]
    folder = tmp_path / "proposed" / "a%2Fb%20%E2%80%9Cc%E2%80%9D"
    assert abs(int(read_image(folder / "v-0000003.jpg").mean()) - 60) <= 3
    (annotation,) = read_labelme(load_labelme(folder / "v-0000003.json"), "k", WIDTH, HEIGHT)[0].annotations
    assert annotation.polygons is not None
    assert sum(len(part.outer) for part in annotation.polygons) < 40
    again = annotation.mask(HEIGHT, WIDTH) > 0
    assert (again & (mask > 0)).sum() / (again | (mask > 0)).sum() > 0.85
    assert not again[24, 30], "the hole is gone"

    uncertain = ProposalSettings(folder=tmp_path / "uncertain", limit=2, apart_seconds=0.2)
    propose_labels(*tables, None, 0.25, uncertain, "nsfw 1", ["nsfw"], (), {}, tmp_path / "report.tsv", tmp_path / "studio.xml")
    with (tmp_path / "report.tsv").open(newline="") as file:
        rows = list(csv.reader(file, delimiter="\t"))
    assert rows[1:] == [[name, "v-0000000", SPREAD], [name, "v-0000003", PROPOSED]]

    # The region is false if the footage shows none: its frame is proposed as one that shows nothing, and no other.
    free = uncertain.model_copy(update={"folder": tmp_path / "free"})
    propose_labels(*tables, None, 0.25, free, "nsfw 1", ["nsfw"], [name], {}, tmp_path / "report.tsv", tmp_path / "studio.xml")
    with (tmp_path / "report.tsv").open(newline="") as file:
        assert list(csv.reader(file, delimiter="\t"))[1:] == [[name, "v-0000003", HARD]]
    assert load_labelme(tmp_path / "free" / folder.name / "v-0000003.json")["shapes"] == []
    propose_labels(*tables, None, 0.6, free, "nsfw 1", ["nsfw"], [name], {}, tmp_path / "report.tsv", tmp_path / "studio.xml")
    assert not (tmp_path / "free" / folder.name).exists(), "a detection that does not count is no mistake"

    tasks = wanted.model_copy(update={"format": "label_studio", "folder": tmp_path / "tasks"})
    propose_labels(*tables, None, 0.25, tasks, "nsfw 1", ["nsfw"], (), {}, tmp_path / "report.tsv", tmp_path / "studio.xml")
    task = json.loads((tmp_path / "tasks" / folder.name / "v-0000003.json").read_text())
    served = Path("/", parse_qs(urlsplit(task["data"]["image"]).query)["d"][0])
    assert served == tmp_path / "tasks" / folder.name / "v-0000003.jpg" and served.is_file()
    (prediction,) = task["predictions"]
    assert (task["data"]["tessera_id"], prediction["model_version"]) == ("v-0000003", "nsfw 1")
    (result,) = prediction["result"]
    shown = decode_brush(result["value"]["rle"], HEIGHT, WIDTH) > 0
    assert (shown & (mask > 0)).sum() / (shown | (mask > 0)).sum() > 0.85
    assert f'name="{result["from_name"]}"' in (tmp_path / "studio.xml").read_text()


def test_a_failed_source_stops_the_run_and_a_refused_one_only_if_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "_terminal", terminal := io.StringIO())
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        ledger.row("bad", "dropped", "source refused", "no rights")
        ledger.row("good-0000000", "ok")
    report, summary = tmp_path / "proposals.tsv", tmp_path / "summary.json"
    report.write_text("source\tkey\tstatus\ngood\tgood-0000000\tproposed\ngood\tgood-0000001\tedited by a person: kept\n")

    def end(*asked: str) -> None:
        ids = ["good", "bad", "broken"]
        gate_previews([tmp_path / "ledger.jsonl"], [report], [tmp_path], ids, asked, Path("labels/proposed"), summary=summary)

    end()
    assert f"{tmp_path}/SHARD, and 1 frame to correct in labels/proposed/SOURCE" in terminal.getvalue()
    assert json.loads(summary.read_text())["dropped"] == {"source refused": 1}
    end("good")
    with pytest.raises(TesseraError, match="bad: source refused: no rights"):
        end("good", "bad")
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        ledger.row("good-0000000", "failed", "frame cannot be decoded")
        ledger.row("broken", "failed", "no frames", "the stream has no packet")
    for asked in ([], ["good"]):
        with pytest.raises(TesseraError, match="1 of 3 sources cannot be previewed:\n  broken: no frames: the stream has no"):
            end(*asked)
