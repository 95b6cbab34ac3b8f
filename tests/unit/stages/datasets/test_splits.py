"""Splits keep sources and near-duplicates together, and do not change when footage is added."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.core.errors import TesseraError
from tessera.core.seeds import fraction
from tessera.records.tables.annotation import Images
from tessera.records.tables.embeddings import NearDuplicates
from tessera.records.tables.footage import Duplicates, Frames, Sources
from tessera.records.tables.splits import SourceSplits, Splits, split_of_sources
from tessera.records.tables.table import read_table, types, write_table
from tessera.stages.datasets.splits import SplitSettings, assign_samples, divide_sources, split_sources

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
def test_footage_added_at_the_end_moves_no_earlier_source(data: st.DataObject, names: list[str]) -> None:
    known = names[: data.draw(st.integers(0, len(names)))]
    old_links = data.draw(pairs(known))
    before = split_sources(known, {}, old_links, HALF)
    # Each new source may show the same as an earlier one.
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


def test_without_links_the_order_of_sources_does_not_matter() -> None:
    names = [f"source {i}" for i in range(50)]
    assert split_sources(names, {}, [], HALF) == split_sources(names[::-1], {}, [], HALF)


def test_a_new_link_between_groups_moves_the_later_one() -> None:
    names = [f"source {i}" for i in range(50)]
    apart = split_sources(names, {}, [], HALF)
    train = next(name for name in names if apart[name] == "train")
    later = next(name for name in names[names.index(train) :] if apart[name] == "val")
    joined = split_sources(names, {}, [(later, train)], HALF)
    assert {name for name in names if joined[name] != apart[name]} == {later}
    assert joined[later] == "train"


def test_splits_have_their_fractions() -> None:
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


def test_a_fixed_split_applies_to_the_whole_group() -> None:
    names = [f"source {i}" for i in range(20)]
    free = split_sources(names, {}, [], HALF)
    train = next(name for name in names if free[name] == "train")
    friend = next(name for name in names if name != train and free[name] == "train")
    splits = split_sources(names, {friend: "test"}, [(train, friend)], HALF)
    assert splits[train] == splits[friend] == "test"


def test_two_fixed_splits_in_one_group_name_both_sources() -> None:
    with pytest.raises(TesseraError, match=r"'a' is fixed to the split 'train' and source 'c' to 'val'.*`own_splits: false`"):
        split_sources(["a", "b", "c"], {"a": "train", "c": "val", "b": ""}, [("a", "b"), ("c", "b")], HALF)


def test_fractions_that_leave_nothing_to_train_on_are_refused() -> None:
    with pytest.raises(ValueError, match="nothing to train on"):
        SplitSettings(val=0.5, test=0.5)


def tables(
    folder: Path, labelled: list[tuple[str, str, str]], frames: list[tuple[str, str]], links: list[tuple[str, str]]
) -> list:
    """Write what `divide_sources` reads: labelled images (key, source, fixed split), frames (key, source), near-duplicates."""
    folder.mkdir()
    write_table(pl.DataFrame(schema=types(Sources)), Sources, folder / "sources")
    rows = [(key, source, f"{key}.png", 8, 6, 0, split, "") for key, source, split in labelled]
    write_table(pl.DataFrame(rows, schema=types(Images), orient="row"), Images, folder / "labelled")
    rows = [(key, source, 0, None, 0, 0.0, f"{key}.png", 8, 6, 1.0, 0) for key, source in frames]
    write_table(pl.DataFrame(rows, schema=types(Frames), orient="row"), Frames, folder / "frames")
    near = [(*row, 2) for row in links]
    write_table(pl.DataFrame(near, schema=types(Duplicates), orient="row"), Duplicates, folder / "duplicates")
    return [folder / "sources", [folder / "labelled"], [folder / "frames"], [folder / "duplicates"]]


def divide(
    folder: Path, order: list[str], settings: SplitSettings, labelled: list, frames: list, links: list
) -> dict[str, str]:
    divide_sources(*tables(folder, labelled, frames, links), order, settings, folder / "splits")
    return split_of_sources(folder / "splits")


def of_split(split: str, settings: SplitSettings, start: int = 0) -> str:
    """Return the name of a source that the hash puts in `split`."""
    return next(name for i in range(start, 1000) if split_sources([name := f"s{i}"], {}, [], settings)[name] == split)


def test_sources_with_the_same_footage_have_one_split_but_a_common_picture_links_none(tmp_path: Path) -> None:
    settings = SplitSettings(val=0.5, shared=0.1)
    film, copy = of_split("train", settings), of_split("val", settings)
    other = of_split("val", settings, int(copy[1:]) + 1)
    labelled = [(f"{source}-{i}", source, "") for source in (film, copy, other) for i in range(20)]
    # Two of twenty pictures of the copy resemble unlabelled frames of the film; all sources have a black picture.
    links = [*((f"{source}-{i}", f"frame-{i}") for source in (film, copy) for i in (1, 2))]
    black = [(f"{source}-0", "black") for source in (film, copy, other)]
    assert divide(tmp_path / "a", [film, copy, other], settings, labelled, [], [*links, *black]) == {
        film: "train",
        copy: "train",
        other: "val",
    }
    assert divide(tmp_path / "b", [film, copy, other], settings, labelled, [], black)[copy] == "val"


def test_near_duplicates_of_any_measure_link_sources(tmp_path: Path) -> None:
    settings = SplitSettings(val=0.5)
    film, copy = of_split("train", settings), of_split("val", settings)
    labelled = [(f"{source}-{i}", source, "") for source in (film, copy) for i in range(4)]
    *inputs, by_hash = tables(tmp_path / "a", labelled, [], [])
    near = pl.DataFrame([(f"{copy}-1", f"{film}-3", 0.97, "across sources")], schema=types(NearDuplicates), orient="row")
    write_table(near, NearDuplicates, tmp_path / "near")
    for measures, expected in ((by_hash, "val"), ([*by_hash, tmp_path / "near"], "train")):
        divide_sources(*inputs, measures, [film, copy], settings, tmp_path / "splits")
        assert split_of_sources(tmp_path / "splits") == {film: "train", copy: expected}


def test_many_near_duplicates_within_a_source_are_one_picture(tmp_path: Path) -> None:
    settings = SplitSettings(val=0.5, shared=0.5)
    one, other = of_split("train", settings), of_split("val", settings)
    frames = [(f"{source}-{i}", source) for source in (one, other) for i in range(10)]
    # One of three distinct pictures is shared: nine black frames count once, besides one own frame and one label.
    black = [(f"{source}-{i}", "black") for source in (one, other) for i in range(9)]
    labelled = [(f"{source}-label", source, "") for source in (one, other)]
    splits = divide(tmp_path / "a", [one, other], settings, labelled, frames, black)
    assert splits == {one: "train", other: "val"}


def test_splits_are_the_same_bytes_whatever_the_order_of_the_tables(tmp_path: Path) -> None:
    rows = [(f"k{i:02}", f"s{i % 7}", "val" if i % 7 == 3 else "") for i in range(40)]
    links = [("k05", "k10"), ("k20", "k01")]
    order = [f"s{i}" for i in range(9)]
    divide(tmp_path / "one", order, SplitSettings(), rows, [], links)
    divide(tmp_path / "turned", order, SplitSettings(), rows[::-1], [], links)
    assert (tmp_path / "one" / "splits").read_bytes() == (tmp_path / "turned" / "splits").read_bytes()


def test_the_group_of_a_source_is_the_first_that_shares_pictures_with_it(tmp_path: Path) -> None:
    labelled = [(f"{source}0", source, "") for source in "abcd"]
    divide(tmp_path / "t", ["d", "c", "b"], SplitSettings(), labelled, [], [("a0", "c0"), ("b0", "c0")])
    groups = dict(read_table(tmp_path / "t" / "splits", SourceSplits).select("source", "group").iter_rows())
    assert groups == {"a": "c", "b": "c", "c": "c", "d": "d"}


def test_one_source_with_two_fixed_splits_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TesseraError, match="source 'one' is fixed to the splits 'train' and 'val'"):
        divide(tmp_path / "t", ["one"], SplitSettings(), [("a", "one", "val"), ("b", "one", "train")], [], [])


def samples(folder: Path, sources: dict[str, str]) -> tuple[Path, Path]:
    """Write a sample of each of `sources`, and their splits; return the two tables."""
    rows = [(f"{source}-k", source, "k.png", 8, 6, 0, "", "") for source in sources]
    write_table(pl.DataFrame(rows, schema=types(Images), orient="row"), Images, folder / "samples")
    splits = pl.DataFrame([(*row, row[0]) for row in sources.items()], schema=types(SourceSplits), orient="row")
    write_table(splits, SourceSplits, folder / "sources")
    return folder / "samples", folder / "sources"


def test_a_sample_is_in_the_split_of_its_source(tmp_path: Path) -> None:
    assign_samples(*samples(tmp_path, {"b": "val", "a": "train", "c": "test"}), tmp_path / "splits", settings=HALF)
    assert read_table(tmp_path / "splits", Splits).rows() == [
        ("a-k", "a", "train"),
        ("b-k", "b", "val"),
        ("c-k", "c", "test"),
    ]


def test_a_source_of_an_independent_set_has_its_stated_split_or_that_of_a_hash(tmp_path: Path) -> None:
    rows = [("a", "watermarks:pita/val", "val"), ("b", "watermarks:own/1", ""), ("c", "film", "")]
    full = [(key, source, "k.png", 8, 6, 0, split, "") for key, source, split in rows]
    write_table(pl.DataFrame(full, schema=types(Images), orient="row"), Images, tmp_path / "samples")
    known = pl.DataFrame([("film", "train", "film")], schema=types(SourceSplits), orient="row")
    write_table(known, SourceSplits, tmp_path / "sources")
    assign_samples(tmp_path / "samples", tmp_path / "sources", tmp_path / "splits", settings=HALF)
    drawn = split_sources(["watermarks:own/1"], {}, [], HALF)["watermarks:own/1"]
    assert read_table(tmp_path / "splits", Splits)["split"].to_list() == ["val", drawn, "train"]


@pytest.mark.parametrize("missing", ["train", "val"])
def test_an_empty_train_or_val_split_is_an_error_with_the_fix(tmp_path: Path, missing: str) -> None:
    there = "val" if missing == "train" else "train"
    with pytest.raises(TesseraError, match=rf"no sample is in the split '{missing}'(?s:.*)`split: {missing}`"):
        assign_samples(*samples(tmp_path, {"one": there, "two": there}), tmp_path / "splits", settings=HALF)
    assert not (tmp_path / "splits").exists()


@pytest.mark.parametrize(
    ("source", "divided"), [("one", "cut it into two files"), ("labels:one", "set `split_by: image` for it if its images")]
)
def test_the_error_for_a_single_source_names_what_divides_it(tmp_path: Path, source: str, divided: str) -> None:
    told = rf"1 source went to train\. A single source cannot be divided: add another with `split: val`, or {divided}"
    with pytest.raises(TesseraError, match=told):
        assign_samples(*samples(tmp_path, {source: "train"}), tmp_path / "splits", settings=HALF)


def test_the_hash_never_changes() -> None:
    # Another hash would move every sample of everyone: a change must be on purpose.
    assert [round(fraction("splits", name), 4) for name in ("dog.mp4", "blocks.mp4", "tennis")] == [0.6817, 0.3476, 0.652]
