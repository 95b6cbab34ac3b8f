"""Sources that must not be used are refused with a reason, and nothing is left of withdrawn ones."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
import polars as pl
import pytest
from PIL import Image

from tessera.core import log
from tessera.core.errors import Dropped, TesseraError
from tessera.core.ledger import Ledger, read_ledger
from tessera.core.provenance import sha256_file
from tessera.imaging.hashing import perceptual_hash
from tessera.learning.trainings import RECORD, Record
from tessera.records.blocklist import read_blocklist
from tessera.records.manifest import Source
from tessera.records.rights import check_rights
from tessera.records.tables.footage import SourceFiles, Sources
from tessera.records.tables.splits import Splits
from tessera.records.tables.table import read_table, types, write_table
from tessera.stages.footage.admission import SourceSettings, admit_sources, gate_sources, gather_sources
from tessera.stages.footage.withdrawal import remove_withdrawn

HEADER = "sha256\tphash\treason\n"


def picture(seed: int) -> Image.Image:
    """Smooth noise, which differs clearly for different seeds."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)).resize((80, 60))


def row(source: str, path: Path, *earlier: dict[str, Any], **columns: str) -> dict[str, Any]:
    given = {"source": source, "path": str(path), "content": "general", "rights": "CC0", **columns}
    copies = [(other["source"], other["path"]) for other in earlier]
    return {**Source.model_validate(given).model_dump(mode="json"), "earlier": copies, "watched": [], "missing": "leave_out"}


def admit(folder: Path, *rows: dict[str, Any], blocklist: str = "", **settings: Any) -> dict[str, dict[str, Any]]:
    """Admit `rows` and return the report of each source."""
    out = folder / "out"
    out.mkdir(exist_ok=True)
    (out / "blocklist.tsv").write_text(HEADER + blocklist)
    made = {"table": out / "sources.parquet", "files": out / "files.parquet"}
    made |= {"report": out / "report.json", "ledger": out / "ledger.jsonl"}
    admit_sources(list(rows), "shard", out / "blocklist.tsv", SourceSettings(**settings), **made)
    reports = json.loads(made["report"].read_text(encoding="utf-8"))
    table = read_table(made["table"], Sources)
    admitted = [report for report in reports if report["status"] == "admitted"]
    assert table.to_dicts() == [{name: report[name] for name in table.columns} for report in admitted]
    refusals = [entry["reason"] if entry["status"] != "ok" else "" for entry in read_ledger(made["ledger"])]
    assert refusals == [report["reason"] for report in reports]
    return {report["source"]: report for report in reports}


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({}, None),
        ({"rights": ""}, "no rights"),
        ({"rights": " \t"}, "no rights"),
        ({"content": "adult", "adults_verified": "yes", "consent": "release 7"}, None),
        ({"content": "adult", "adults_verified": "no", "consent": "release 7"}, "adults not verified"),
        ({"content": "adult", "consent": "release 7"}, "adults not verified"),
        ({"content": "adult", "adults_verified": "yes", "consent": " "}, "no consent"),
        ({"content": "adult", "adults_verified": "yes", "consent": "release 7", "rights": ""}, "no rights"),
        ({"content": "adult"}, "adults not verified; no consent"),
        ({"content": "adult", "rights": ""}, "no rights; adults not verified; no consent"),
    ],
)
def test_nothing_is_used_without_rights_verified_adults_and_consent(columns: dict[str, str], reason: str | None) -> None:
    source = Source.model_validate({"source": "a", "path": "a.mp4", "content": "general", "rights": "CC0", **columns})
    if reason is None:
        check_rights(source)
    else:
        with pytest.raises(Dropped) as refusal:
            check_rights(source)
        assert refusal.value.reason == reason
        assert len(refusal.value.detail.split("; ")) == len(reason.split("; ")), "a fix for each reason"


def test_a_source_without_rights_is_not_read(tmp_path: Path) -> None:
    picture(0).save(tmp_path / "a.png")
    report = admit(tmp_path, row("a", tmp_path / "a.png", rights=""))["a"]
    assert (report["status"], report["reason"], report["sha256"], report["size"]) == ("refused", "no rights", "", 0)


def test_the_same_file_is_admitted_once(tmp_path: Path) -> None:
    picture(0).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes())
    (tmp_path / "c.png").write_bytes((tmp_path / "a.png").read_bytes()[:-1] + b"\0")
    first = row("a", tmp_path / "a.png")
    reports = admit(tmp_path, first, row("b", tmp_path / "b.png", first), row("c", tmp_path / "c.png", first))
    assert (reports["a"]["status"], reports["c"]["status"]) == ("admitted", "admitted")
    assert reports["b"]["reason"] == "same file as another source"
    assert "'a'" in reports["b"]["detail"]
    gone, other = row("gone", tmp_path / "gone.png"), row("c", tmp_path / "c.png")
    assert admit(tmp_path, row("b", tmp_path / "b.png", gone, other))["b"]["status"] == "admitted"
    assert "'a'" in admit(tmp_path, row("b", tmp_path / "b.png", gone, other, first))["b"]["detail"]


def test_the_same_folder_is_admitted_once(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        picture(0).save(tmp_path / folder / "x.png")
    first = row("a", tmp_path / "a")
    assert admit(tmp_path, row("b", tmp_path / "b", first))["b"]["reason"] == "same file as another source"


def test_a_listed_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for number in range(3):
        picture(number).save(tmp_path / "images" / f"{number}.png")
    sha256 = admit(tmp_path, row("a", tmp_path / "images" / "1.png"))["a"]["sha256"]
    listed = f"{sha256.upper()}\t\tcourt order 5\n"
    reports = admit(
        tmp_path,
        row("image", tmp_path / "images" / "1.png"),
        row("folder", tmp_path / "images"),
        row("other", tmp_path / "images" / "2.png"),
        blocklist=listed,
    )
    assert [reports[name]["reason"] for name in ("image", "folder", "other")] == ["on the blocklist", "on the blocklist", ""]
    assert "court order 5" in reports["image"]["detail"]
    assert "1.png" in reports["folder"]["detail"]


def test_an_image_similar_to_a_listed_one_is_refused(tmp_path: Path) -> None:
    import av

    (tmp_path / "images").mkdir()
    picture(1).save(tmp_path / "images" / "alike.jpg", quality=60)
    picture(2).save(tmp_path / "images" / "other.jpg")
    picture(2).save(tmp_path / "other.jpg")
    with av.open(str(tmp_path / "video.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"g": "10"})
        stream.width, stream.height, stream.pix_fmt = 80, 60, "yuv420p"
        for seed in [3] * 15 + [1] * 15:
            container.mux(stream.encode(av.VideoFrame.from_image(picture(seed))))
        container.mux(stream.encode())
    listed = f"\t{imagehash.phash(picture(1))}\tcourt order 6\n"
    rows = [row("image", tmp_path / "images" / "alike.jpg"), row("folder", tmp_path / "images")]
    rows += [row("video", tmp_path / "video.mp4"), row("other", tmp_path / "other.jpg")]
    for check in ("packets", "keyframes", "all"):
        reports = admit(tmp_path, *rows, blocklist=listed, check=check)
        reasons = [reports[name]["reason"] for name in ("image", "folder", "video", "other")]
        assert reasons == [*["looks like a picture on the blocklist"] * 3, ""]
        assert "court order 6" in reports["image"]["detail"]
        assert " at " in reports["video"]["detail"]
        assert reports["other"]["compared"] == 1
    assert {report["status"] for report in admit(tmp_path, *rows).values()} == {"admitted"}


def test_a_listed_picture_of_one_colour_refuses_no_other(tmp_path: Path) -> None:
    for name, colour in (("red", (200, 30, 30)), ("blue", (30, 30, 200)), ("black", (0, 0, 0))):
        Image.new("RGB", (64, 48), colour).save(tmp_path / f"{name}.png")
    rows = [row(name, tmp_path / f"{name}.png") for name in ("red", "blue", "black")]
    phash = imagehash.phash(Image.open(tmp_path / "red.png"))
    reports = admit(tmp_path, *rows, blocklist=f"{sha256_file(tmp_path / 'red.png')}\t{phash}\tmine\n")
    assert [reports[name]["status"] for name in ("red", "blue", "black")] == ["refused", "admitted", "admitted"]
    # The hash in tables of frames contains the colour, and stands for copies as well.
    Image.new("RGB", (640, 480), (200, 31, 30)).save(tmp_path / "red.png")
    red_hash = perceptual_hash(np.full((64, 48, 3), (200, 30, 30), np.uint8))
    reports = admit(tmp_path, *rows, blocklist=f"\t{red_hash:016x}\tmine\n")
    assert [reports[name]["status"] for name in ("red", "blue", "black")] == ["refused", "admitted", "admitted"]
    with pytest.raises(TesseraError, match=f"line 2: many pictures have the phash {phash}, such as all of one colour"):
        admit(tmp_path, *rows, blocklist=f"\t{phash}\tmine\n")


@pytest.mark.parametrize(("distance", "status"), [(2, "admitted"), (3, "refused")])
def test_the_allowed_distance_is_that_of_the_setting(tmp_path: Path, distance: int, status: str) -> None:
    picture(1).save(tmp_path / "a.png")
    listed = int(str(imagehash.phash(picture(1))), 16) ^ 0b10101
    reports = admit(tmp_path, row("a", tmp_path / "a.png"), blocklist=f"\t{listed:016x}\tx\n", blocklist_distance=distance)
    assert reports["a"]["status"] == status


def test_all_faults_of_the_blocklist_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "blocklist.tsv"
    path.write_text(f"# mine\n{HEADER}{'g' * 64}\t\tx\n\t12\tx\n\t\tx\n{'a' * 64}\t{'b' * 16}\tx\ty\n")
    with pytest.raises(TesseraError) as error:
        read_blocklist(path)
    lines = [line.strip().split(":")[0] for line in str(error.value).splitlines()[1:]]
    assert lines == ["line 3", "line 4", "line 5", "line 6"]
    path.write_text("phash\tsha256\n")
    with pytest.raises(TesseraError, match="line 1: the columns are sha256, phash and reason"):
        read_blocklist(path)
    path.write_text("")
    with pytest.raises(TesseraError, match="header is missing"):
        read_blocklist(path)
    with pytest.raises(TesseraError, match="cannot be read"):
        read_blocklist(tmp_path / "gone.tsv")


def test_the_shipped_blocklist_can_be_read() -> None:
    listed = read_blocklist(Path(__file__).parents[4] / "config" / "blocklist.tsv")
    assert (listed.files, listed.hashes.size) == ({}, 0)


def test_a_folder_has_the_properties_that_its_images_have_in_common(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    picture(0).save(folder / "a.png")
    picture(1).resize((40, 60)).save(folder / "b.png")
    (folder / "c.jpg").write_text("no image")
    (folder / "d.jpg").touch()
    (folder / "notes.txt").write_text("not looked at")
    report = admit(tmp_path, row("a", folder))["a"]
    assert (report["status"], report["kind"], report["frames"]) == ("admitted", "folder", 2)
    assert (report["codec"], report["width"], report["height"]) == ("png", None, 60)
    assert {name: fault.split(":")[0] for name, fault in report["unusable"].items()} == {
        "c.jpg": "image cannot be decoded",
        "d.jpg": "empty file",
    }


def test_every_file_of_a_folder_has_a_row_or_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_terminal", terminal := io.StringIO())
    folder = tmp_path / "images"
    (folder / "album").mkdir(parents=True)
    for number, name in enumerate(("a.png", "b.gif", "album/c.png")):
        picture(number).save(folder / name)
    picture(3).save(folder / "d.png", save_all=True, append_images=[picture(4)])
    picture(5).resize((9, 9)).save(folder / "e.png")
    for name in ("a.txt", "a.json", "metadata.jsonl", "._a.png", ".DS_Store", "Thumbs.db", "README.md", "raw.dng", "f.jxl"):
        (folder / name).write_bytes(b"x")
    report = admit(tmp_path, row("a", folder))["a"]
    files = read_table(tmp_path / "out" / "files.parquet", SourceFiles)
    assert files.select("path", "index", "status", "reason").rows() == [
        ("a.png", 0, "ok", ""),
        ("b.gif", 1, "ok", ""),
        ("d.png", 2, "failed", "several pictures in one image"),
        ("e.png", 3, "dropped", "image too small"),
        ("README.md", None, "dropped", "not a picture"),
        ("f.jxl", None, "dropped", "picture of a kind that is not read"),
        ("raw.dng", None, "dropped", "picture of a kind that is not read"),
    ]
    assert files["sha256"].to_list() == [sha256_file(folder / name) for name in ("a.png", "b.gif")] + [""] * 5
    assert (report["frames"], report["sidecars"], report["hidden"], report["below"]) == (2, 3, 3, 1)
    (entry,) = read_ledger(tmp_path / "out" / "ledger.jsonl")
    assert (entry["status"], entry["reason"]) == ("ok", "pictures in subfolders left out")
    assert "1 picture in subfolders, such as 'album/c.png'; set `sources.subfolders: true`" in entry["detail"]
    output = terminal.getvalue()
    assert "3 files of labels or captions, 3 hidden files, 3 other files" in output
    assert "sources.subfolders" in output


def test_pictures_in_subfolders_are_admitted_where_the_setting_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    (folder / "album" / "deeper").mkdir(parents=True)
    picture(0).save(folder / "album" / "a.png")
    picture(1).save(folder / "album" / "deeper" / "a.png")
    assert admit(tmp_path, row("a", folder))["a"]["reason"] == "no images"
    assert "2 pictures lie in its subfolders: set" in admit(tmp_path, row("a", folder))["a"]["detail"]
    first = admit(tmp_path, row("a", folder), subfolders=True)["a"]
    files = read_table(tmp_path / "out" / "files.parquet", SourceFiles)
    assert files["path"].to_list() == ["album/a.png", "album/deeper/a.png"]
    (folder / "album" / "deeper").rename(folder / "other")
    assert admit(tmp_path, row("a", folder), subfolders=True)["a"]["sha256"] != first["sha256"], "the paths count"


def test_a_profile_that_is_ignored_is_a_remark(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    picture(0).save(tmp_path / "images" / "a.png", icc_profile=b"x" * 200)
    admit(tmp_path, row("a", tmp_path / "images"))
    (file,) = read_table(tmp_path / "out" / "files.parquet", SourceFiles).to_dicts()
    assert (file["status"], file["reason"]) == ("ok", "a part of the file is ignored")
    assert "colour profile" in file["detail"]


def test_an_animated_picture_on_the_blocklist_refuses_its_folder(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    picture(0).save(tmp_path / "images" / "a.png")
    picture(1).save(tmp_path / "images" / "b.png", save_all=True, append_images=[picture(2)])
    listed = f"{sha256_file(tmp_path / 'images' / 'b.png')}\t\tx\n"
    assert admit(tmp_path, row("a", tmp_path / "images"), blocklist=listed)["a"]["reason"] == "on the blocklist"
    assert read_table(tmp_path / "out" / "files.parquet", SourceFiles).is_empty()


def test_an_animated_gif_of_its_own_is_a_video(tmp_path: Path) -> None:
    picture(0).save(tmp_path / "a.gif", save_all=True, append_images=[picture(1), picture(2)], duration=100)
    report = admit(tmp_path, row("a", tmp_path / "a.gif"))["a"]
    assert (report["status"], report["kind"], report["frames"]) == ("admitted", "video", 3)


def test_a_folder_without_a_usable_image_is_refused(tmp_path: Path) -> None:
    for name in ("none", "bad"):
        (tmp_path / name).mkdir()
    (tmp_path / "bad" / "a.jpg").write_text("no image")
    reports = admit(tmp_path, row("none", tmp_path / "none"), row("bad", tmp_path / "bad"))
    assert (reports["none"]["reason"], reports["bad"]["reason"]) == ("no images", "no image can be decoded")
    assert "a.jpg" in reports["bad"]["detail"]


def shard(folder: Path, name: str, *rows: dict[str, Any]) -> tuple[Path, Path]:
    admit(folder, *rows)
    (folder / "out").rename(folder / name)
    return folder / name / "sources.parquet", folder / name / "ledger.jsonl"


def test_sources_are_gathered_in_the_order_of_the_manifest(tmp_path: Path) -> None:
    for seed, name in enumerate("ab"):
        picture(seed).save(tmp_path / f"{name}.png")
    (tmp_path / "empty\n.png").touch()
    first = shard(tmp_path, "one", row("d\te\n'\"", tmp_path / "a.png", rights=""), row("a", tmp_path / "a.png"))
    second = shard(tmp_path, "two", row("c", tmp_path / "empty\n.png"), row("b", tmp_path / "b.png"))
    tables, ledgers = map(list, zip(first, second, strict=True))
    order = ["b", "d\te\n'\"", "a", "c"]
    ledger = tmp_path / "ledger.jsonl"
    gather_sources(ledgers, order, [], ledger=ledger, refused=tmp_path / "refused.tsv")
    assert [entry["key"] for entry in read_ledger(ledger)] == order
    with (tmp_path / "refused.tsv").open(encoding="utf-8", newline="") as file:
        refused = list(csv.DictReader(file, delimiter="\t"))
    assert [(entry["source"], entry["reason"]) for entry in refused] == [("d\te\n'\"", "no rights"), ("c", "empty file")]
    gate_sources(tables, ledger, 0.25, admitted=tmp_path / "admitted.parquet", summary=tmp_path / "gate.json")
    assert read_table(tmp_path / "admitted.parquet", Sources)["source"].to_list() == ["b", "a"]
    with pytest.raises(TesseraError, match=r"1 of 4 items failed.*\n  c: empty file"):
        gate_sources(tables, ledger, 0.24, admitted=tmp_path / "admitted.parquet", summary=tmp_path / "gate.json")


def test_two_admitted_sources_that_hold_the_same_stop_the_run(tmp_path: Path) -> None:
    picture(0).save(tmp_path / "a.png")
    tables, ledgers = map(list, zip(*(shard(tmp_path, name, row(name, tmp_path / "a.png")) for name in "ab"), strict=True))
    outputs = {"admitted": tmp_path / "admitted.parquet", "summary": tmp_path / "gate.json"}
    gather_sources(ledgers, ["a", "b"], [], ledger=tmp_path / "ledger.jsonl", refused=tmp_path / "refused.tsv")
    with pytest.raises(TesseraError, match="hold the same were admitted: 'a', 'b'; run again, or keep one row"):
        gate_sources(tables, tmp_path / "ledger.jsonl", 0, **outputs)
    assert not outputs["admitted"].exists()


def test_the_run_stops_if_no_source_was_admitted(tmp_path: Path) -> None:
    table, ledger = shard(tmp_path, "one", row("a", tmp_path / "gone.png"), row("b", tmp_path / "b.png", rights=""))
    with pytest.raises(TesseraError, match=r"no source was admitted.*\n  'a': missing .*\n  'b': no rights"):
        gate_sources([table], ledger, 1.0, admitted=tmp_path / "admitted.parquet", summary=tmp_path / "gate.json")
    ledger = tmp_path / "ledger.jsonl"
    gather_sources([], [], [], ledger=ledger, refused=tmp_path / "refused.tsv")
    # Images that the settings name need no source. Planning refuses an empty manifest if there are none.
    gate_sources([], ledger, 1.0, admitted=tmp_path / "admitted.parquet", summary=tmp_path / "gate.json")
    assert read_table(tmp_path / "admitted.parquet", Sources).is_empty()


def test_only_folders_of_removed_shards_are_deleted(tmp_path: Path) -> None:
    results, outside = tmp_path / "results", tmp_path / "outside"
    gone = ["frames/gone", "frames/g%C3%B6ne", "labels/frames/gone"]
    remaining = ["frames/kept", "frames/.gone", "frames/not ours", "datasets/gone", "labels/gone"]
    for name in [*gone, *remaining, "../outside"]:
        (results / name).mkdir(parents=True)
        (results / name / "file").touch()
    (results / "frames" / "table").touch()
    (results / "frames" / "link").symlink_to(outside)
    (results / "previews").symlink_to(outside.parent)
    folders = [results / name for name in ("frames", "labels/frames", "previews", "scenes")]
    remove_withdrawn(folders, ["kept"], results / "training", [], {}, {}, {}, withdrawn=tmp_path / "withdrawn.tsv")
    assert not any((results / name).exists() for name in gone)
    assert all((results / name / "file").exists() for name in [*remaining, "../outside"])
    assert (results / "frames" / "table").exists() and (results / "frames" / "link").is_symlink()
    with (tmp_path / "withdrawn.tsv").open(encoding="utf-8", newline="") as file:
        listed = {entry["path"]: entry["status"] for entry in csv.DictReader(file, delimiter="\t")}
    assert listed == {str(results / name): "removed" for name in gone}


def test_results_of_a_withdrawn_source_are_removed_behind_the_link_of_their_folder(tmp_path: Path) -> None:
    results, disk = tmp_path / "results", tmp_path / "disk"
    for name in ("frames/gone", "frames/holidays", "frames/stays", "training/model/runs/1"):
        (disk / name).mkdir(parents=True)
    record = Record(identity={}, made_with=[], sources=("gone",))
    (disk / "training" / "model" / "runs" / "1" / RECORD).write_text(record.model_dump_json(), encoding="utf-8")
    for name in ("sources/gone", "sources/stays", "clips", "training"):
        (results / name).mkdir(parents=True)
    for name in ("gone", "stays"):
        (results / "sources" / name / "sources.parquet").touch()
    (results / "frames").symlink_to(disk / "frames")
    (results / "training" / "model").symlink_to(disk / "training" / "model")
    given = [results / name for name in ("clips", "frames", "sources")], ["stays"], results / "training", ["stays"]
    remove_withdrawn(*given, {}, {}, {}, withdrawn=tmp_path / "withdrawn.tsv")
    assert sorted(path.name for path in (disk / "frames").iterdir()) == ["holidays", "stays"]
    assert [path.name for path in (results / "sources").iterdir()] == ["stays"]
    assert not list((disk / "training" / "model" / "runs").iterdir())


def test_a_link_in_place_of_a_single_result_of_a_withdrawn_source_stops_the_run(tmp_path: Path) -> None:
    results, disk = tmp_path / "results", tmp_path / "disk"
    disk.mkdir()
    for name in ("sources/gone", "clips/gone", "frames"):
        (results / name).mkdir(parents=True)
    (results / "sources" / "gone" / "sources.parquet").touch()
    (results / "frames" / "gone").symlink_to(disk)
    folders = [results / name for name in ("clips", "frames", "sources")]
    for _ in range(2):
        with pytest.raises(TesseraError, match=f"^{results}/frames/gone: delete these links and what they lead to"):
            remove_withdrawn(folders, [], tmp_path, [], {}, {}, {}, withdrawn=tmp_path / "withdrawn.tsv")
        assert disk.exists() and not (results / "clips" / "gone").exists()


def test_a_shard_whose_sources_are_in_other_shards_now_is_not_called_withdrawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = tmp_path / "sources" / "shards"
    for name, sources in {"shard-0": "ab", "shard-1": "cd", "c": "c"}.items():
        (tmp_path / "frames" / name).mkdir(parents=True)
        made = shard(tmp_path, name, *(row(source, tmp_path / f"{source}.png") for source in sources))
        (shards / name).mkdir(parents=True)
        for path in made:
            path.rename(shards / name / path.name)
    monkeypatch.setattr(log, "_terminal", terminal := io.StringIO())
    withdrawn = tmp_path / "withdrawn.tsv"
    remove_withdrawn([tmp_path / "frames", shards], ["a", "b", "c"], tmp_path, ["a", "b", "c"], {}, {}, {}, withdrawn=withdrawn)
    removed = dict(line.split("\t") for line in withdrawn.read_text().splitlines()[1:])
    moved = "removed, its sources are in other shards now"
    assert removed == {
        **dict.fromkeys([str(folder / "shard-0") for folder in (tmp_path / "frames", shards)], moved),
        **dict.fromkeys([str(folder / "shard-1") for folder in (tmp_path / "frames", shards)], "removed"),
    }
    output = terminal.getvalue()
    assert "removed 2 folders of 1 shard, whose sources are in other shards now (`shards`, or the column `shard`)" in output
    assert "removed 2 folders of 1 shard, whose sources are no longer in the manifest" in output


def test_a_training_that_learned_from_a_withdrawn_source_is_removed(tmp_path: Path) -> None:
    learned = {"stays": ("a", "watermarks:set/1"), "goes": ("a", "b"), "old": ("labels:gone",), "unknown": ()}
    for name, sources in learned.items():
        for run in (tmp_path / "model" / "runs" / name, tmp_path / "model" / "stage" / "runs" / name):
            run.mkdir(parents=True)
            record = Record(identity={}, made_with=[], sources=sources)
            (run / RECORD).write_text(record.model_dump_json(), encoding="utf-8")
    remove_withdrawn([], [], tmp_path, ["a", "watermarks:set"], {}, {}, {}, withdrawn=tmp_path / "withdrawn.tsv")
    for folder in (tmp_path / "model" / "runs", tmp_path / "model" / "stage" / "runs"):
        assert sorted(run.name for run in folder.iterdir()) == ["stays", "unknown"]
    assert (tmp_path / "withdrawn.tsv").read_text().count("learned from a withdrawn source") == 4


def test_what_is_switched_off_is_removed_with_its_withdrawn_sources(tmp_path: Path) -> None:
    switched_off = {}
    for name, source in (("stays", "a"), ("goes", "b")):
        dataset, training = tmp_path / "datasets" / name, tmp_path / "training" / name
        for folder in (dataset, training / "stage", tmp_path / "weights" / name):
            folder.mkdir(parents=True)
        rows = [{"key": f"{source}-{split}", "source": source, "split": split} for split in ("train", "test")]
        write_table(pl.DataFrame(rows, schema=types(Splits)), Splits, dataset / "splits.parquet")
        record = Record(identity={}, made_with=[], sources=(source,))
        (training / "stage" / RECORD).write_text(record.model_dump_json(), encoding="utf-8")
        metrics = tmp_path / "metrics" / name
        metrics.parent.mkdir(exist_ok=True)
        metrics.touch()
        switched_off |= {dataset / "splits.parquet": [dataset], training: [metrics, tmp_path / "weights" / name, training]}
    switched_off[tmp_path / "datasets" / "never made" / "splits.parquet"] = [tmp_path / "datasets" / "never made"]
    remove_withdrawn([], [], tmp_path / "training", ["a"], switched_off, {}, {}, withdrawn=tmp_path / "withdrawn.tsv")
    for results in ("datasets", "training", "weights", "metrics"):
        assert [path.name for path in (tmp_path / results).iterdir()] == ["stays"]
    assert (tmp_path / "withdrawn.tsv").read_text().count("/goes\tremoved, it is not made any more\n") == 4


def test_a_dataset_of_withdrawn_sources_alone_is_removed_because_it_may_not_be_made_again(tmp_path: Path) -> None:
    made = {}
    for name, sources in {"goes": "b", "is made again": "ab", "never made": ""}.items():
        (tmp_path / name).mkdir()
        made[tmp_path / name / "splits.parquet"] = [tmp_path / name]
        if sources:
            rows = [{"key": source, "source": source, "split": "train"} for source in sources]
            write_table(pl.DataFrame(rows, schema=types(Splits)), Splits, tmp_path / name / "splits.parquet")
    remove_withdrawn([], [], tmp_path / "training", ["a"], {}, made, {}, withdrawn=tmp_path / "withdrawn.tsv")
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["is made again", "never made"]


def test_a_refused_face_set_and_the_pages_that_show_it_are_removed(tmp_path: Path) -> None:
    refused = [tmp_path / name for name in ("report.html", "items.parquet", "ada")]
    for path in (*refused[:2], tmp_path / "other.html"):
        path.touch()
    refused[2].mkdir()
    remove_withdrawn([], [], tmp_path / "training", [], {}, {}, {}, refused, withdrawn=tmp_path / "withdrawn.tsv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.html", "withdrawn.tsv"]


def test_crops_of_a_withdrawn_source_are_removed_although_none_are_made_any_more(tmp_path: Path) -> None:
    keys = {
        "stays": ["a.b-0000001", "a%2Eb-0000001-person-0-head-12", "c-0000000-person-1-10000000"],
        "frame": ["a.b-0000001", "a-0000002"],
        "crop": ["a%2Eb-0000002-person-0", "c-0000000-person-1"],
        "named alike": ["a.b-c-0000001"],
    }
    for name, listed in keys.items():
        (tmp_path / name).mkdir()
        with Ledger(tmp_path / name / "ledger.jsonl") as ledger:
            for key in listed:
                ledger.row(key, "ok")
    switched_off = {tmp_path / name / "ledger.jsonl": [tmp_path / name] for name in [*keys, "never made"]}
    known = ["a.b", "c-0000000-person-1"]
    remove_withdrawn([], [], tmp_path / "training", known, switched_off, {}, {}, withdrawn=tmp_path / "withdrawn.tsv")
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["stays"]


def test_what_embeddings_found_is_removed_once_they_are_no_longer_declared(tmp_path: Path) -> None:
    for name in ("look", "other"):
        (tmp_path / "near" / name).mkdir(parents=True)
    (tmp_path / "near" / "file").touch()
    declared = {tmp_path / "near": ["look"], tmp_path / "gone": ["look"]}
    remove_withdrawn([], [], tmp_path / "training", [], {}, {}, declared, withdrawn=tmp_path / "withdrawn.tsv")
    assert sorted(path.name for path in (tmp_path / "near").iterdir()) == ["file", "look"]
    assert f"{tmp_path / 'near' / 'other'}\tremoved" in (tmp_path / "withdrawn.tsv").read_text()
