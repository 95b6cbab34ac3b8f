"""Splits hold sources and near-duplicates together, and stand when footage is added."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.errors import TesseraError
from tessera.seeds import fraction
from tessera.splits import SplitSettings, split_samples, split_sources
from tessera.tables import Duplicates, Images, Splits, read_table, types, write_table

HALF = SplitSettings(val=0.25, test=0.25)
NAMES = st.lists(st.text(max_size=3), unique=True, max_size=12)


def pairs(names: Sequence[str]) -> st.SearchStrategy[list[tuple[str, str]]]:
    return st.lists(st.tuples(st.sampled_from(names), st.sampled_from(names)), max_size=6) if names else st.just([])


@given(st.data(), NAMES)
def test_linked_sources_share_a_split(data: st.DataObject, names: list[str]) -> None:
    links = data.draw(pairs(names))
    splits = split_sources(names, {}, links, HALF)
    assert list(splits) == names
    assert all(splits[one] == splits[other] for one, other in links)


@given(st.data(), NAMES)
def test_footage_added_at_the_end_moves_nothing(data: st.DataObject, names: list[str]) -> None:
    known = names[: data.draw(st.integers(0, len(names)))]
    old_links = data.draw(pairs(known))
    before = split_sources(known, {}, old_links, HALF)
    # Each new source may show the same as one that came before it, new or old.
    new_links = [
        (name, data.draw(st.sampled_from(names[:place])))
        for place, name in enumerate(names)
        if place >= max(1, len(known)) and data.draw(st.booleans())
    ]
    after = split_sources(names, {}, [*new_links, *old_links], HALF)
    assert {source: after[source] for source in known} == before


@given(st.data(), NAMES)
def test_links_in_any_order_give_the_same_splits(data: st.DataObject, names: list[str]) -> None:
    links = data.draw(pairs(names))
    turned = [(other, one) for one, other in data.draw(st.permutations(links))]
    assert split_sources(names, {}, links, HALF) == split_sources(names, {}, turned, HALF)


def test_without_links_the_order_of_sources_plays_no_part() -> None:
    names = [f"source {i}" for i in range(50)]
    assert split_sources(names, {}, [], HALF) == split_sources(names[::-1], {}, [], HALF)


def test_a_link_between_groups_that_stood_apart_moves_the_later_one() -> None:
    names = [f"source {i}" for i in range(50)]
    apart = split_sources(names, {}, [], HALF)
    train = next(name for name in names if apart[name] == "train")
    later = next(name for name in names[names.index(train) :] if apart[name] == "val")
    joined = split_sources(names, {}, [(later, train)], HALF)
    assert {name for name in names if joined[name] != apart[name]} == {later}
    assert joined[later] == "train"


def test_fractions_are_met() -> None:
    splits = list(split_sources([f"source {i}" for i in range(10_000)], {}, [], SplitSettings(val=0.2, test=0.1)).values())
    assert splits.count("val") == pytest.approx(2000, abs=150)
    assert splits.count("test") == pytest.approx(1000, abs=120)


@pytest.mark.parametrize("changed", [{"val": 0.4}, {"test": 0.3}])
def test_a_larger_fraction_takes_from_train_only(changed: dict[str, float]) -> None:
    names = [f"source {i}" for i in range(500)]
    before = split_sources(names, {}, [], SplitSettings(val=0.2, test=0.1))
    after = split_sources(names, {}, [], SplitSettings(**{"val": 0.2, "test": 0.1, **changed}))
    moved = {(before[name], after[name]) for name in names if before[name] != after[name]}
    assert moved == {("train", *changed)}


def test_a_fixed_split_wins_and_takes_its_group_along() -> None:
    names = [f"source {i}" for i in range(20)]
    free = split_sources(names, {}, [], HALF)
    train = next(name for name in names if free[name] == "train")
    friend = next(name for name in names if name != train and free[name] == "train")
    splits = split_sources(names, {friend: "test"}, [(train, friend)], HALF)
    assert splits[train] == splits[friend] == "test"


def test_two_fixed_splits_in_one_group_name_both_sources() -> None:
    with pytest.raises(TesseraError, match=r"'a' is fixed to the split 'train' and source 'c' to 'val'"):
        split_sources(["a", "b", "c"], {"a": "train", "c": "val", "b": ""}, [("a", "b"), ("c", "b")], HALF)


def test_fractions_that_leave_nothing_to_train_on_are_refused() -> None:
    with pytest.raises(ValueError, match="nothing to train on"):
        SplitSettings(val=0.5, test=0.5)


def images(path: Path, rows: list[tuple[str, str, str]]) -> Path:
    """Write a table of images: key, source, fixed split."""
    full = [(key, source, f"{key}.png", 8, 6, 0, split, "") for key, source, split in rows]
    write_table(pl.DataFrame(full, schema=types(Images), orient="row"), Images, path)
    return path


def duplicates(path: Path, rows: list[tuple[str, str]]) -> Path:
    write_table(pl.DataFrame([(*row, 2) for row in rows], schema=types(Duplicates), orient="row"), Duplicates, path)
    return path


def of_split(split: str, settings: SplitSettings, start: int = 0) -> str:
    """Return the name of a source that the hash puts in `split`."""
    return next(name for i in range(start, 1000) if split_sources([name := f"s{i}"], {}, [], settings)[name] == split)


def test_an_image_left_out_binds_its_source_to_the_one_that_stays(tmp_path: Path) -> None:
    settings = SplitSettings(val=0.5)
    train, val = of_split("train", settings), of_split("val", settings)
    other = of_split("val", settings, int(val[1:]) + 1)
    # "unlabelled" stays for both x and z, and is itself no candidate: x and z show the same all the same.
    all_of_them = images(tmp_path / "all", [("x", train, ""), ("y", val, ""), ("z", val, ""), ("w", other, "")])
    samples = images(tmp_path / "samples", [("x", train, ""), ("y", val, ""), ("w", other, "")])
    links = duplicates(tmp_path / "duplicates", [("x", "unlabelled"), ("z", "unlabelled")])
    split_samples(samples, [all_of_them], links, [train, val, other], settings, tmp_path / "splits")
    table = pl.read_parquet(tmp_path / "splits")
    assert dict(table.select("key", "split").iter_rows()) == {"x": "train", "y": "train", "w": "val"}
    assert table["key"].to_list() == ["w", "x", "y"]


def test_splits_are_the_same_bytes_whatever_the_tables_they_come_in(tmp_path: Path) -> None:
    rows = [(f"k{i:02}", f"s{i % 7}", "val" if i % 7 == 3 else "") for i in range(40)]
    samples = images(tmp_path / "samples", rows)
    links = duplicates(tmp_path / "duplicates", [("k05", "k10"), ("k20", "k01")])
    parts = [images(tmp_path / f"part{i}", rows[i::3]) for i in range(3)]
    order = [f"s{i}" for i in range(9)]
    split_samples(samples, [samples], links, order, SplitSettings(), tmp_path / "one")
    split_samples(samples, parts[::-1], links, order, SplitSettings(), tmp_path / "three")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "three").read_bytes()
    assert read_table(tmp_path / "one", Splits).height == 40


@pytest.mark.parametrize("missing", ["train", "val"])
def test_nothing_to_train_or_to_validate_on_is_an_error_with_the_mend(tmp_path: Path, missing: str) -> None:
    there = "val" if missing == "train" else "train"
    samples = images(tmp_path / "samples", [("a", "one", there), ("b", "two", there)])
    links = duplicates(tmp_path / "duplicates", [])
    with pytest.raises(TesseraError, match=rf"no sample is in the split '{missing}'(?s:.*)`split: {missing}`"):
        split_samples(samples, [samples], links, ["one", "two"], SplitSettings(), tmp_path / "splits")
    assert not (tmp_path / "splits").exists()


def test_one_source_with_two_fixed_splits_is_an_error(tmp_path: Path) -> None:
    samples = images(tmp_path / "samples", [("a", "one", "val"), ("b", "one", "train")])
    links = duplicates(tmp_path / "duplicates", [])
    with pytest.raises(TesseraError, match="source 'one' is fixed to the splits 'val' and 'train'"):
        split_samples(samples, [samples], links, ["one"], SplitSettings(), tmp_path / "splits")


def test_the_hash_is_the_one_it_has_always_been() -> None:
    # Another hash would move every sample of everyone: a change must be on purpose.
    assert [round(fraction("splits", name), 4) for name in ("dog.mp4", "blocks.mp4", "tennis")] == [0.6817, 0.3476, 0.652]
