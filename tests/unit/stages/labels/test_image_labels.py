"""Labels of whole images, from every format, and every fault as a row."""

import io
import json
import unicodedata
from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from label_sets import picture, write_folder, write_zip

from tessera.core import log
from tessera.core.errors import TesseraError
from tessera.core.ledger import read_ledger
from tessera.records.label_sets import key_in_set, name_in_set
from tessera.records.tables.image_labels import ImageLabels
from tessera.records.tables.table import read_table
from tessera.stages.labels.image_labels import has_answers, import_image_labels
from tessera.stages.labels.pictures import ClassFolders
from tessera.stages.labels.settings import ImageLabelSet


class Imported:
    """An imported set of labelled images."""

    def __init__(self, path: Path, layout: str, answers: Mapping[str, str] | None = None, **given: Any) -> None:
        out = path.parent / f"out of {path.name}"
        out.mkdir()
        (out / "blocklist.tsv").write_text("sha256\tphash\treason\n")
        label_set = ImageLabelSet(
            **({"name": "s", "path": path, "content": "general", "rights": "CC0", "format": layout} | given)
        )
        made = out / "labels.parquet", out / "pictures", out / "ledger.jsonl"
        import_image_labels(label_set, out / "blocklist.tsv", 8, Path("results/pictures"), *made, answers=answers)
        self.rows = {row["key"]: row for row in read_table(made[0], ImageLabels).to_dicts()}
        self.labels = {key: row[label_set.values] for key, row in self.rows.items()}
        ledger = read_ledger(made[2])
        self.reasons = {row["key"]: row["reason"] or row["status"] for row in ledger}
        self.details = {row["key"]: row["detail"] for row in ledger}
        assert len(self.reasons) == len(ledger)
        assert set(self.rows) == {row["key"] for row in ledger if row["status"] == "ok"}


def flags(image: str, **stated: bool) -> str:
    return json.dumps({"imagePath": image, "shapes": [], "flags": stated})


def choice(image: str, *choices: str, question: str = "quality", **more: Any) -> dict[str, Any]:
    result = [{"type": "choices", "from_name": question, "value": {"choices": list(choices)}}]
    return {"data": {"image": image}, "annotations": [{"result": result}], **more}


SHARP_AND_SOFT: dict[str, Mapping[str, bytes | str]] = {
    "folders": {"sharp/a.png": picture(0), "soft/b.png": picture(1)},
    "tsv": {"a.png": picture(0), "b.png": picture(1), "all.tsv": "path\tlabel\na.png\tsharp\nb.png\tsoft\n"},
    "labelme": {
        "a.png": picture(0),
        "b.png": picture(1),
        "a.json": flags("a.png", sharp=True, soft=False),
        "b.json": flags("b.png", soft=True),
    },
    "label_studio": {
        "a.png": picture(0),
        "b.png": picture(1),
        "e.json": json.dumps([choice("a.png", "sharp"), choice("x/b.png", "soft")]),
    },
}


def test_a_table_may_be_separated_by_commas(tmp_path: Path) -> None:
    table = 'label,path\n"sharp, or nearly",a.png\nsoft,b.png\n'
    imported = Imported(write_folder(tmp_path / "set", {"a.png": picture(0), "b.png": picture(1), "answers.csv": table}), "tsv")
    assert {key: row["label"] for key, row in imported.rows.items()} == {"s+a.png": "sharp, or nearly", "s+b.png": "soft"}


@pytest.mark.parametrize("layout", SHARP_AND_SOFT)
@pytest.mark.parametrize("packed", [False, True])
def test_every_format_is_read_from_a_folder_and_from_a_zip_file(tmp_path: Path, layout: str, packed: bool) -> None:
    files = SHARP_AND_SOFT[layout]
    path = write_zip(tmp_path / "set.zip", files) if packed else write_folder(tmp_path / "set", files)
    imported = Imported(path, layout, task="quality")
    assert sorted(imported.labels.values()) == ["sharp", "soft"]
    for row in imported.rows.values():
        assert (row["source"], row["origin"], row["score"], row["rights"]) == ("image_labels:s", layout, None, "CC0")
        assert row["task"] == "quality" and len(row["sha256"]) == 64


# The rounds of `snakemake ask` in each format, before anybody answered: pictures a and b, and c with a label.
UNANSWERED: dict[str, Mapping[str, bytes | str]] = {
    "folders": {"round-001/train/a.png": picture(0), "round-001/val/b.png": picture(1), "round-001/val/soft/c.png": picture(2)},
    "tsv": {
        **{f"round-001/{name}.png": picture(number) for number, name in enumerate(["train/a", "val/b", "val/c"])},
        "round-001/labels.tsv": "path\tlabel\ntrain/a.png\t\nval/b.png\t\nval/c.png\tsoft\n",
    },
    "labelme": {
        **{f"round-001/{name}.png": picture(number) for number, name in enumerate(["train/a", "val/b", "val/c"])},
        "round-001/train/a.json": flags("a.png", sharp=False),
        "round-001/val/c.json": flags("c.png", soft=True),
    },
    "label_studio": {
        **{f"round-001/{name}.png": picture(number) for number, name in enumerate(["train/a", "val/b", "val/c"])},
        "round-001/e.json": json.dumps([{"data": {"image": "train/a.png"}, "annotations": []}, choice("val/c.png", "soft")]),
    },
}


@pytest.mark.parametrize("layout", UNANSWERED)
def test_answers_of_the_review_page_are_labels_of_pictures_that_have_none(tmp_path: Path, layout: str) -> None:
    path = write_folder(tmp_path / "set", UNANSWERED[layout])
    picture_of = {file.stem: file.relative_to(path) for file in path.rglob("*.png")}
    keys = {name: key_in_set("s", name_in_set(layout, PurePosixPath(file))) for name, file in picture_of.items()}
    answers = {keys["a"]: "sharp", keys["c"]: "sharp", "s+gone": "sharp"}
    imported = Imported(path, layout, answers, task="quality")
    assert imported.labels == {keys["a"]: "sharp", keys["c"]: "soft"}
    assert imported.rows[keys["a"]]["split"] == "train"
    assert list(imported.reasons.values()).count("unlabelled") == 1
    label_set = ImageLabelSet(name="s", path=path, content="general", rights="CC0", format=layout, task="quality")
    assert has_answers(label_set, "round-001/train", answers) and not has_answers(label_set, "round-001/train", {})


few = settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
names = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=8).map(lambda text: f"l{text}l")


@few
@given(labels=st.lists(names, min_size=1, max_size=4))
def test_a_table_that_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, labels: list[str]) -> None:
    files: dict[str, bytes | str] = {f"{number}.png": picture(number) for number in range(len(labels))}
    quoted = [label.replace('"', '""') for label in labels]
    files["all.tsv"] = "path\tlabel\n" + "".join(f'{number}.png\t"{label}"\n' for number, label in enumerate(quoted))
    imported = Imported(write_folder(tmp_path_factory.mktemp("tsv") / "set", files), "tsv")
    assert imported.labels == {f"s+{number}.png": label for number, label in enumerate(labels)}


def test_scores_are_finite_numbers(tmp_path: Path) -> None:
    files = {f"{name}.png": picture(number) for number, name in enumerate("abcdef")}
    rows = {"a": "0.25", "b": "-3", "c": "nan", "d": "inf", "e": "good", "f": ""}
    table = "score\tpath\n" + "".join(f"{score}\t{name}.png\n" for name, score in rows.items())
    imported = Imported(write_folder(tmp_path / "set", {**files, "all.tsv": table}), "tsv", values="score")
    assert imported.labels == {"s+a.png": 0.25, "s+b.png": -3.0}
    wrong = dict.fromkeys(("s+c.png", "s+d.png", "s+e.png"), "score is no number")
    assert imported.reasons == {"s+a.png": "ok", "s+b.png": "ok", **wrong, "s+f.png": "unlabelled"}
    ratings = {"data": {"image": "a.png"}, "annotations": [{"result": [{"type": "rating", "value": {"rating": 4}}]}]}
    export = write_folder(tmp_path / "export", {"a.png": picture(0), "e.json": json.dumps([ratings])})
    assert Imported(export, "label_studio", values="score").labels == {"s+a": 4.0}


def test_two_labels_for_one_picture_fail_it_also_if_they_are_those_of_copies(tmp_path: Path) -> None:
    files = {"sharp/a.png": picture(0), "soft/b.png": picture(0), "soft/c.png": picture(1), "soft/d.png": picture(1)}
    imported = Imported(write_folder(tmp_path / "set", files), "folders")
    two = "two labels for one picture"
    assert imported.reasons == {
        "s+sharp%2Fa.png": two,
        "s+soft%2Fb.png": two,
        "s+soft%2Fc.png": "ok",
        "s+soft%2Fd.png": "the same image twice",
    }
    table = "path\tlabel\na.png\tsharp\na.png\tsoft\nb.png\tsoft\nb.png\tsoft\n"
    twice = write_folder(tmp_path / "twice", {"a.png": picture(0), "b.png": picture(1), "all.tsv": table})
    assert Imported(twice, "tsv").reasons == {"s+a.png": two, "s+b.png": "ok"}
    both = {"a.png": picture(0), "a.json": flags("a.png", sharp=True, soft=True)}
    assert Imported(write_folder(tmp_path / "flags", both), "labelme").reasons == {"s+a": two}
    export = {"a.png": picture(0), "e.json": json.dumps([choice("a.png", "sharp", "soft")])}
    assert Imported(write_folder(tmp_path / "export", export), "label_studio").reasons == {"s+a": two}


def test_only_the_answers_to_the_question_of_the_task_count(tmp_path: Path) -> None:
    task = choice("a.png", "sharp")
    task["annotations"][0]["result"] += choice("", "red", question="colour")["annotations"][0]["result"]
    folder = write_folder(tmp_path / "set", {"a.png": picture(0), "e.json": json.dumps([task])})
    assert Imported(folder, "label_studio", task="colour").labels == {"s+a": "red"}


def test_labels_mean_what_the_settings_say_and_others_are_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_terminal", terminal := io.StringIO())
    files = {f"{folder}/{number}.png": picture(number) for number, folder in enumerate(("soft", "Sharp", "shrap", "other"))}
    meanings = {"soft": "blurred", "sharp": "sharp", "other": None}
    imported = Imported(write_folder(tmp_path / "set", files), "folders", classes=meanings)
    assert imported.labels == {"s+soft%2F0.png": "blurred", "s+Sharp%2F1.png": "sharp"}
    assert imported.reasons["s+shrap%2F2.png"] == "unknown label"
    assert imported.reasons["s+other%2F3.png"] == "label that is not wanted"
    assert "1 image left out, with 1 label of unknown labels:" in terminal.getvalue() and "'shrap' (1)" in terminal.getvalue()


def test_a_key_that_is_no_label_is_an_error_with_what_was_meant(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "set", {"soft/a.png": picture(0), "sharp/b.png": picture(1)})
    with pytest.raises(TesseraError, match=r"image_labels: 's': `classes` has 'sotf', .* did you mean 'soft'\?"):
        Imported(path, "folders", classes={"sotf": "blurred", "*": None})


def test_a_class_with_one_picture_and_a_single_class_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_terminal", terminal := io.StringIO())
    files = {"soft/a.png": picture(0), "sharp/b.png": picture(1), "sharp/c.png": picture(2)}
    Imported(write_folder(tmp_path / "set", files), "folders")
    assert "annotations.image_labels: 's': one image alone has the label 'soft'" in terminal.getvalue()
    Imported(write_folder(tmp_path / "one", {"soft/a.png": picture(0), "soft/b.png": picture(1)}), "folders")
    assert "2 images have the one label 'soft': a classifier needs two classes" in terminal.getvalue()


def test_folders_of_splits_hold_the_folders_of_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_terminal", terminal := io.StringIO())
    files = {"train/soft/deep/a.png": picture(0), "val/sharp/b.png": picture(1), "c.png": picture(2), "test1/d.png": picture(3)}
    imported = Imported(write_folder(tmp_path / "set", files), "folders", split_by="image")
    found = {key: (row["label"], row["source"], row["split"]) for key, row in imported.rows.items()}
    assert found == {
        "s+train%2Fsoft%2Fdeep%2Fa.png": ("soft", "image_labels:s/train", "train"),
        "s+val%2Fsharp%2Fb.png": ("sharp", "image_labels:s/val", "val"),
    }
    assert imported.reasons["s+c.png"] == imported.reasons["s+test1%2Fd.png"] == "unlabelled"
    assert "'s': the folders 'test1', 'train', 'val' are splits, and the folders inside them are classes" in terminal.getvalue()


def test_a_class_may_have_the_name_of_a_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_terminal", terminal := io.StringIO())
    files = {"train/a.png": picture(0), "cat/val/b.png": picture(1), "dog/c.png": picture(2), "train/red/d.png": picture(3)}
    files |= {"round-001/val/train/e.png": picture(4), "round-001/val/f.png": picture(5)}
    imported = Imported(write_folder(tmp_path / "set", files), "folders")
    found = {key: (row["label"], row["source"], row["split"]) for key, row in imported.rows.items()}
    assert found == {
        "s+train%2Fa.png": ("train", "image_labels:s", ""),
        "s+cat%2Fval%2Fb.png": ("cat", "image_labels:s", ""),
        "s+dog%2Fc.png": ("dog", "image_labels:s", ""),
        "s+train%2Fred%2Fd.png": ("train", "image_labels:s", ""),
        "s+round-001%2Fval%2Ftrain%2Fe.png": ("train", "image_labels:s/val", "val"),
    }
    assert imported.reasons["s+round-001%2Fval%2Ff.png"] == "unlabelled"
    said = terminal.getvalue()
    assert "'s': the folders 'cat', 'dog', 'train' are classes; not read as splits: 'train', 'val'." in said


folder_names = st.sampled_from(["train", "Training", "val", "valid", "test", "test2", "cat", "trains", "round-001", "round-1"])
trees = st.sets(st.lists(folder_names, max_size=4).map(lambda folders: "/".join([*folders, "a.png"])), max_size=6)
MEANT = {"train": "train", "Training": "train", "val": "val", "valid": "val", "test": "test", "test2": "test"}


@settings(max_examples=300, deadline=None)
@given(trees)
def test_a_set_has_splits_only_above_its_classes(tree: set[str]) -> None:
    own = [path.split("/") for path in tree if "/" in path and not path.startswith("round-001/")]
    divided = [parts for parts in own if parts[0] in MEANT]
    has_splits = len(divided) == len(own) and max(map(len, own), default=0) > 2
    for path in tree:
        folders = path.split("/")[:-1]
        in_round = folders[:1] == ["round-001"]
        if in_round:
            folders = folders[1:]
        split = ""
        if (in_round or has_splits) and folders and folders[0] in MEANT:
            split, folders = MEANT[folders[0]], folders[1:]
        read = ClassFolders(PurePosixPath(each) for each in tree)
        assert (read.split(PurePosixPath(path)), read.label(PurePosixPath(path))) == (split, (folders or [""])[0])


def test_faults_of_tables_and_images_are_rows(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {"a.png": picture(0), "html.jpg": b"<html>", "alone.png": picture(1), "none.tsv": "a\tb\n"}
    files |= {"bytes.tsv": b"path\tlabel\n\xff\tx\n", "quote.tsv": 'path\tlabel\na.png\t"x\n'}
    files["all.tsv"] = "path\tlabel\na.png\tx\nhtml.jpg\tx\n../../etc/passwd\tx\ngone.png\tx\n\t\nC:\\a.png\tx\n"
    imported = Imported(write_folder(tmp_path / "set", files), "tsv")
    assert imported.reasons == {
        "s+a.png": "ok",
        "s+alone": "unlabelled",
        "s+all.tsv%234": "path leaves the set",
        "s+all.tsv%235": "image missing",
        "s+all.tsv%236": "image missing",
        "s+all.tsv%237": "path leaves the set",
        "s+bytes.tsv": "broken table",
        "s+html.jpg": "image is HTML",
        "s+none.tsv": "no such columns",
        "s+quote.tsv": "broken table",
    }
    assert "line 4" in imported.details["s+all.tsv%234"]


@pytest.mark.parametrize(("layout", "fault"), [("tsv", r"contains no \.tsv or \.csv file"), ("labelme", "contains no labels")])
def test_a_set_without_labels_is_an_error_with_its_name(tmp_path: Path, layout: str, fault: str) -> None:
    with pytest.raises(TesseraError, match=rf"annotations\.image_labels: 's': .*{fault}"):
        Imported(write_folder(tmp_path / "set", {"a.png": picture(0)}), layout)


def test_names_are_matched_as_they_are_then_as_they_look_then_in_another_case(tmp_path: Path) -> None:
    """The case `names-nfd`: macOS decomposes the letters of names, and `A.jpg` lies beside `a.jpg`."""
    names = ["caf\u00e9.jpg", "M\u00fcller.jpg", "\u212bngstrom.jpg", "\ud55c\uae00.jpg", "A.jpg", "a.jpg", "UP.JPG"]
    names += ["img 1.jpg", "100%.jpg", "a.b.c.jpg", "\u65e5\u672c.jpg", "q'uote\".jpg", "#hash.jpg", "stra\u00dfe.jpg"]
    files: dict[str, bytes | str] = {
        f"pics/{unicodedata.normalize('NFD', name) if number < 4 else name}": picture(number, kind="jpg")
        for number, name in enumerate(names)
    }
    lines = [f"pics/{name}\t{'xy'[number % 2]}" for number, name in enumerate(names)]
    files["labels.tsv"] = "\n".join(["path\tlabel", *lines, "pics/up.jpeg\tx"]) + "\n"
    imported = Imported(write_folder(tmp_path / "set", files), "tsv")
    reasons = Counter(imported.reasons.values())
    assert reasons == {"ok": len(names), "image missing": 1}
    found = {Path(row["path"]).name: row["label"] for row in imported.rows.values()}
    expected = {
        unicodedata.normalize("NFD", name) if number < 4 else name: "xy"[number % 2] for number, name in enumerate(names)
    }
    assert found == expected
