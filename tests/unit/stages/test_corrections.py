"""From a proposal to a label: in every way of copying, what a person saved is a label and nothing else is."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from labelme_program import save_in_labelme
from source_files import write_source_files

from tessera.core.ledger import Ledger, read_ledger
from tessera.core.provenance import write_checksums
from tessera.imaging.encode import write_video
from tessera.records.annotation.model import Annotation, ImageAnnotations
from tessera.records.label_sets import LabelledSet
from tessera.records.tables.annotation import Annotations, Images, PredictedFrames
from tessera.records.tables.footage import Frames, Sources
from tessera.records.tables.table import read_table, types, write_table
from tessera.stages.labels.frames import import_frame_labels
from tessera.stages.labels.proposals import LABELLED, PROPOSED, Proposal, ProposalSettings, propose_labels, update_proposals
from tessera.stages.labels.sets import import_labels

HEIGHT, WIDTH = 32, 48
BLOCKLIST = Path(__file__).parents[3] / "config" / "blocklist.tsv"
UNSAVED = "proposal that nobody saved"
UNTOUCHED, RIGHT, CORRECTED, BY_HAND = (f"film-{index:07d}" for index in (1, 2, 3, 4))


def proposal(key: str) -> Proposal:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[4:20, 5:25] = 255
    region = Annotation.of_mask("nsfw", mask, score=0.5)
    return Proposal(np.full((HEIGHT, WIDTH, 3), 100, np.uint8), ImageAnnotations(key, WIDTH, HEIGHT, (region,)))


def accept(document: dict[str, Any]) -> None:
    document["flags"]["accept"] = True


def remove_all(document: dict[str, Any]) -> None:
    document["shapes"].clear()
    document["flags"]["sfw"] = True


@pytest.fixture
def proposed(tmp_path: Path) -> Path:
    """Four proposals. A person saved the second and the third in labelme, and changed the fourth in a text editor."""
    folder = tmp_path / "proposed" / "film"
    update_proposals(folder, [proposal(key) for key in (UNTOUCHED, RIGHT, CORRECTED, BY_HAND)])
    save_in_labelme(folder / f"{RIGHT}.json", accept)
    save_in_labelme(folder / f"{CORRECTED}.json", remove_all)
    edited = folder / f"{BY_HAND}.json"
    edited.write_text(edited.read_text().replace("5.0", "6.5"))
    return folder


def write_sources(folder: Path) -> None:
    write_video(folder / "film.mp4", [np.full((HEIGHT, WIDTH, 3), 20 * index, np.uint8) for index in range(8)], 24)
    known = {"source": "film", "shard": "film", "path": str(folder / "film.mp4"), "kind": "video"}
    known |= {
        "content": "general",
        "rights": "CC0",
        "consent": "",
        "series": "",
        "use": [],
        "split": "",
        "reason": "",
        "sha256": "",
        "size": 1,
    }
    write_table(pl.DataFrame([{**dict.fromkeys(types(Sources)), **known}], schema=types(Sources)), Sources, folder / "sources")


def import_frames(folder: Path, labels: Path) -> tuple[dict[str, str], list[str]]:
    """Return the reasons by key, and the keys that became labels."""
    write_sources(folder)
    write_table(pl.DataFrame(schema=types(Frames)), Frames, folder / "frames")
    outputs = {name: folder / name for name in ("images", "annotations", "unsampled", "ledger")}
    shutil.rmtree(outputs["unsampled"], ignore_errors=True)
    with Ledger(folder / "admission") as entries:
        entries.row("film", "ok")
    stills = write_source_files(folder / "stills")
    tables = (folder / "frames", folder / "sources", folder / "admission", stills, folder / "pictures")
    import_frame_labels(*tables, labels, ["nsfw"], 16, {}, {}, Path("unsampled"), **outputs)
    return {row["key"]: row["reason"] for row in read_ledger(outputs["ledger"])}, sorted(
        read_table(outputs["images"], Images)["key"]
    )


def copy_folder(proposed: Path, labels: Path) -> None:
    shutil.copytree(proposed, labels / "film", dirs_exist_ok=True)


def copy_json(proposed: Path, labels: Path) -> None:
    (labels / "film").mkdir(parents=True)
    for file in proposed.glob("*.json"):
        shutil.copy(file, labels / "film")


def copy_deeper(proposed: Path, labels: Path) -> None:
    shutil.copytree(proposed, labels / "film" / "corrected" / "film")


def move_json(proposed: Path, labels: Path) -> None:
    (labels / "film").mkdir(parents=True)
    for file in proposed.glob("*.json"):
        shutil.move(file, labels / "film")


def link_folder(proposed: Path, labels: Path) -> None:
    labels.mkdir()
    (labels / "film").symlink_to(proposed)


def link_files(proposed: Path, labels: Path) -> None:
    (labels / "film").mkdir(parents=True)
    for file in proposed.glob("*.json"):
        (labels / "film" / file.name).symlink_to(file)


def copy_through_git(proposed: Path, labels: Path) -> None:
    """As git does with `core.autocrlf`."""
    copy_json(proposed, labels)
    for file in (labels / "film").iterdir():
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))


def use_the_proposals(proposed: Path, labels: Path) -> None:
    labels.symlink_to(proposed.parent)


@pytest.mark.parametrize(
    "bring",
    [
        copy_folder,
        copy_json,
        copy_deeper,
        move_json,
        link_folder,
        link_files,
        copy_through_git,
        use_the_proposals,
    ],
)
def test_in_every_way_of_copying_saved_proposals_are_labels_and_untouched_ones_are_not(
    tmp_path: Path, proposed: Path, bring: Callable[[Path, Path], None]
) -> None:
    bring(proposed, tmp_path / "labels")
    reasons, taken = import_frames(tmp_path, tmp_path / "labels")
    assert reasons == {UNTOUCHED: UNSAVED, RIGHT: "", CORRECTED: "", BY_HAND: ""}
    assert taken == [RIGHT, CORRECTED, BY_HAND]


def test_an_untouched_proposal_in_a_folder_of_labelled_images_is_no_label(tmp_path: Path, proposed: Path) -> None:
    label_set = LabelledSet(name="mine", path=proposed, content="general", rights="CC0")
    outputs = {name: tmp_path / name for name in ("images", "annotations", "pictures", "ledger", "counts")}
    import_labels(
        label_set, "annotations.labels", f"labels:{label_set.name}", ["nsfw"], 16, BLOCKLIST, 8, Path("embedded"), **outputs
    )
    rows = {row["key"]: row for row in read_ledger(outputs["ledger"])}
    others = {key: row["reason"] for key, row in rows.items() if row["reason"] not in {"", "the same image twice"}}
    assert others == {f"mine+{UNTOUCHED}": UNSAVED}
    assert f"{UNTOUCHED}.json" in rows[f"mine+{UNTOUCHED}"]["detail"] and "`accept`" in rows[f"mine+{UNTOUCHED}"]["detail"]


def test_an_untouched_proposal_beside_a_label_of_its_frame_does_no_harm(tmp_path: Path, proposed: Path) -> None:
    copy_folder(proposed, tmp_path / "labels")
    own = tmp_path / "labels" / "film" / "mine" / f"{UNTOUCHED}.json"
    own.parent.mkdir()
    shutil.copy(proposed / f"{RIGHT}.json", own)
    reasons, taken = import_frames(tmp_path, tmp_path / "labels")
    assert (reasons[UNTOUCHED], UNTOUCHED in taken) == ("", True)


def test_a_proposal_of_version_0_1_is_known_by_its_checksum(tmp_path: Path, proposed: Path) -> None:
    """Its only mark is SHA256SUMS beside it. Labels whose checksums a person lists there are not taken for proposals."""
    for file in proposed.glob("*.json"):
        file.write_text(file.read_text().replace(json.loads(file.read_text())["version"], "6.3.1"))
    copy_folder(proposed, tmp_path / "labels")
    folder = tmp_path / "labels" / "film"
    write_checksums([folder / f"{key}.json" for key in (UNTOUCHED, RIGHT)], folder, folder / "SHA256SUMS")
    reasons, _ = import_frames(tmp_path, tmp_path / "labels")
    assert reasons == {UNTOUCHED: UNSAVED, RIGHT: "", CORRECTED: "", BY_HAND: ""}


def propose(folder: Path, labels: Path | None, **settings: Any) -> dict[str, str]:
    """Propose frames of a video in which a region is found everywhere, and return the status of each."""
    write_sources(folder)
    keys = [f"film-{index:07d}" for index in range(8)]
    size = {"width": WIDTH, "height": HEIGHT}
    video = {"source": "film", "name": None}
    frames = [{"key": key, **video, "index": i, "pts": i, "time": i / 24, **size} for i, key in enumerate(keys)]
    write_table(pl.DataFrame(frames, schema=types(PredictedFrames)), PredictedFrames, folder / "predicted")
    box = {"x0": 4.0, "y0": 4.0, "x1": 20.0, "y1": 20.0, "polygons": None, "rle": None, "crowd": False}
    regions = [{"key": key, "number": 0, "label": "nsfw", "score": 0.3, **box} for key in keys]
    write_table(pl.DataFrame(regions, schema=types(Annotations)), Annotations, folder / "regions")
    wanted = ProposalSettings(folder=folder / "proposed", **{"choose": "every", "every_frames": 1, **settings})
    tables = (folder / "sources", write_source_files(folder / "stills"), folder / "predicted", folder / "regions")
    propose_labels(*tables, labels, 0.25, wanted, "model", ["nsfw"], (), {}, folder / "report.tsv", folder / "studio.xml")
    rows = [line.split("\t") for line in (folder / "report.tsv").read_text().splitlines()[1:]]
    return {key: status for _, key, status in rows}


def test_a_labelled_frame_is_not_proposed_and_an_untouched_proposal_of_it_is_withdrawn(tmp_path: Path) -> None:
    labels, folder = tmp_path / "labels", tmp_path / "proposed" / "film"
    assert set(propose(tmp_path, None).values()) == {PROPOSED}
    labelled, broken, copied, corrected = (f"film-{index:07d}" for index in (1, 2, 3, 4))
    (labels / "film").mkdir(parents=True)
    for key in (labelled, copied):
        shutil.copy(folder / f"{key}.json", labels / "film")
    save_in_labelme(labels / "film" / f"{labelled}.json")
    (labels / "film" / f"{broken}.json").write_text("{ the work of a person")
    save_in_labelme(folder / f"{corrected}.json", accept)
    shutil.copy(folder / f"{corrected}.json", labels / "film")

    status = propose(tmp_path, labels)
    assert status.keys() == {f"film-{index:07d}" for index in range(8)} - {labelled, broken}
    assert not list(folder.glob(f"{labelled}.*")) + list(folder.glob(f"{broken}.*"))
    assert (folder / f"{copied}.json").exists() and status[copied] == PROPOSED
    assert (folder / f"{corrected}.json").exists() and status[corrected].startswith("edited by a person")
    listed = propose(tmp_path, labels, choose="list", frames={"film": (0, 1, 4)})
    assert listed.pop(corrected).startswith("edited by a person")
    assert listed == {"film-0000000": PROPOSED, labelled: LABELLED}
