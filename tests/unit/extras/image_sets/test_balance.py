from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tessera.core.errors import TesseraError
from tessera.extras.image_sets.arrange import arrange, arrange_set
from tessera.extras.image_sets.arrangement_settings import ArrangementSettings
from tessera.extras.image_sets.balance import balance, read_weights, unmatched, weigh
from tessera.records.tables.image_sets import Arrangement, Distribution, SetPictures
from tessera.records.tables.splits import Splits
from tessera.records.tables.table import read_table, types, write_table

COUNTS = {"1_character/class1": 10, "1_character/class2": 30, "others/class1": 5, "others/class3": 50}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "weights.tsv"
    path.write_text("pattern\tweight\n1_character\t3\nclass1\t4\n*class2\t6\n", encoding="utf-8")
    return path


def test_the_worked_example_of_the_document_is_met(weights: Path) -> None:
    shares, repeats = balance(COUNTS, weights, ArrangementSettings())
    assert list(shares.values()) == pytest.approx([0.3, 0.45, 0.2, 0.05])
    assert list(repeats.values()) == [30, 15, 40, 1]


def test_loose_pictures_are_one_more_choice_with_the_weight_of_their_folder(weights: Path) -> None:
    shares, _ = balance({"1_character": 4, **COUNTS}, weights, ArrangementSettings())
    assert list(shares.values()) == pytest.approx([0.1731, 0.2308, 0.3462, 0.2, 0.05], abs=5e-5)


def test_repeats_are_bounded_and_whole_on_request(weights: Path) -> None:
    settings = ArrangementSettings(repeats="integer", min_multiply=2, max_multiply=50)
    _, repeats = balance({**COUNTS, "1_character/class2": 31}, weights, settings)
    assert list(repeats.values()) == [50, 29, 50, 2]


def test_an_epoch_that_is_drawn_as_planned_gives_each_folder_its_share(weights: Path) -> None:
    shares, repeats = balance(COUNTS, weights, ArrangementSettings())
    folders = np.repeat(list(COUNTS), [round(COUNTS[name] * repeats[name]) for name in COUNTS])
    drawn = np.random.default_rng(0).choice(folders, 20_000)
    for name, share in shares.items():
        assert abs((drawn == name).mean() - share) < 4 * (share * (1 - share) / len(drawn)) ** 0.5


@pytest.mark.parametrize("weight", ["-1", "0", "nan", "inf", "many", "1e308", "5e-324"])
def test_a_weight_that_is_no_positive_number_of_a_usual_size_is_refused_with_its_line(tmp_path: Path, weight: str) -> None:
    path = tmp_path / "weights.tsv"
    path.write_text(f"pattern\tweight\na\t1\nb\t{weight}\n", encoding="utf-8")
    with pytest.raises(TesseraError, match="line 3: weight"):
        read_weights(path)


def test_the_largest_and_the_least_weight_are_computed_with_at_any_depth(tmp_path: Path) -> None:
    path = tmp_path / "weights.tsv"
    path.write_text("pattern\tweight\nmuch\t1e9\nlittle\t1e-9\n", encoding="utf-8")
    levels = 8  # as many as there are names of levels
    folders = ["/".join(["little"] * depth + ["much"]) for depth in range(levels)] + ["/".join(["little"] * levels)]
    shares, repeats = balance(dict.fromkeys(folders, 5), path, ArrangementSettings(max_multiply=7))
    assert shares[folders[-1]] == pytest.approx(1e-18**levels)
    assert [repeats[folder] for folder in folders] == [7] * levels + [1]


def test_a_pattern_that_looks_like_a_trap_is_matched_at_once(tmp_path: Path) -> None:
    path = tmp_path / "weights.tsv"
    path.write_text(f"pattern\tweight\n{'*a' * 40}b\t2\n[\t3\n", encoding="utf-8")
    assert weigh(("a" * 120,), [each for _, each in read_weights(path)]) == 1


def test_a_weight_names_a_folder_as_people_write_it_and_a_pattern_of_its_path_matches_at_the_top_too(tmp_path: Path) -> None:
    path = tmp_path / "weights.csv"
    path.write_text("Cyn Doe,3\n*/alice,2\n2_characters,0.5\n*/Cyn*+*,7\n")
    weights = [each for _, each in read_weights(path)]
    nodes = {("1_character", "Cyn%20Doe"): 3, ("alice",): 2, ("1_character", "alice"): 2, ("2_characters",): 0.5, ("bob",): 1}
    nodes |= {("2_characters", "Cyn%20Doe+alice"): 7}
    assert {node: weigh(node, weights) for node in nodes} == nodes
    assert unmatched(["/".join(node) for node in nodes], read_weights(path)) == []
    path.write_text("alice,3,4\n")
    with pytest.raises(TesseraError, match="line 1: 3 fields, the header has 2"):
        read_weights(path)


def test_a_pattern_that_is_given_twice_is_refused_with_both_lines(tmp_path: Path) -> None:
    path = tmp_path / "weights.tsv"
    path.write_text("pattern\tweight\na\t1\na\t2\n", encoding="utf-8")
    with pytest.raises(TesseraError, match="line 3: the pattern 'a' is already on line 2"):
        read_weights(path)


def test_a_weight_that_matches_nothing_is_reported_with_its_line(weights: Path) -> None:
    assert unmatched(["others/class3"], read_weights(weights)) == [(2, "1_character"), (3, "class1"), (4, "*class2")]


def _pictures(identities: list[list[str]], heads: list[float | None]) -> pl.DataFrame:
    rows = [
        {"key": f"{number:04}", "source": "a", "split": "", "series": "", "frame": f"{number:04}", "step": "frame"}
        | {"path": "x", "width": 1, "height": 1, "identities": names, "appearances": [""] * len(names)}
        | {"head": head, "is_regular": False}
        for number, (names, head) in enumerate(zip(identities, heads, strict=True))
    ]
    return pl.DataFrame(rows, schema=types(SetPictures))


def test_pictures_are_arranged_by_number_identities_and_height_of_the_head() -> None:
    names = [["ann"], ["ann"], ["ann", "bob"], list("abcdefg"), []]
    heads = [0.25, float(np.nextafter(0.25, 0)), 1.0, 0.5, None]
    settings = ArrangementSettings(folders=("n_characters", "character", "fh_ratio"), minimum_per_combination=2)
    assert arrange(_pictures(names, heads), settings)["folder"].to_list() == [
        "1_character/ann/face_height_ratio_25-50",
        "1_character/ann/face_height_ratio_0-25",
        "2_characters/character_others/face_height_ratio_75-100",
        "6+_characters/character_others/face_height_ratio_50-75",
        "0_characters/no_character/no_face",
    ]


def test_only_pictures_of_train_are_counted_and_repeated(tmp_path: Path) -> None:
    pictures = _pictures([["ann"]] * 3 + [["bob"]] * 2, [None] * 5)
    write_table(pictures, SetPictures, tmp_path / "pictures")
    paths = [tmp_path / name for name in ("pictures", "splits")]
    outputs = [tmp_path / name for name in ("arrangement", "distribution")]
    settings = ArrangementSettings(folders=("character",), minimum_per_combination=1)
    for split, last in (("train", "val"), ("val", "val")):
        splits = pl.DataFrame({"key": pictures["key"], "source": "a", "split": [split] * 4 + [last]})
        write_table(splits, Splits, paths[1])
        if split == "val":
            with pytest.raises(TesseraError, match="no picture is in the split 'train'"):
                arrange_set(*paths, None, settings, *outputs)
            continue
        arrange_set(*paths, None, settings, *outputs)
        arranged = read_table(outputs[0], Arrangement)
        assert arranged["folder"].to_list() == ["ann"] * 3 + ["bob"] * 2
        assert arranged["repeats"].to_list() == [1, 1, 1, 3, 1]
        shares = read_table(outputs[1], Distribution).select("kind", "name", "pictures", "before", "after")
        assert shares.rows() == [
            (kind, *row) for kind in ("folder", "identity") for row in (("ann", 3, 0.75, 0.5), ("bob", 1, 0.25, 0.5))
        ]


def test_a_name_cannot_lead_out_of_the_set() -> None:
    settings = ArrangementSettings(folders=("character_string",))
    (folder,) = arrange(_pictures([["../x"]], [None]), settings)["folder"]
    assert "/" not in folder
    assert not folder.startswith(".")
