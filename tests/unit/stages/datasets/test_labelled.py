"""Labelled pictures are divided evenly, and pictures that look alike are in one split."""

from collections import Counter
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.stages.datasets.labelled import Division, divide_labelled, stratify
from tessera.stages.datasets.splits import SplitSettings

SETTINGS = SplitSettings(val=0.2, test=0.1, shared=0.1)
PICTURES = {"key": pl.String, "source": pl.String, "split": pl.String, "label": pl.String, "phash": pl.UInt64}
OTHERS = {"source": pl.String, "split": pl.String, "phash": pl.UInt64}
FAR = [0x00FF << 16 * place for place in range(4)] + [0xF0F0F << 16 * place for place in range(3)]


def divide(pictures: list[tuple[Any, ...]], others: list[tuple[Any, ...]] = [], **more: Any) -> Division:  # noqa: B006
    """Divide pictures: key, source, stated split, label and hash of each; near others: source, split and hash of each."""
    frame = pl.DataFrame(pictures, schema=PICTURES, orient="row")
    known = pl.DataFrame(others, schema=OTHERS, orient="row")
    given: dict[str, Any] = {"groups": {}, "covered": set(), "distance": 4, "settings": SETTINGS, **more}
    division = divide_labelled(frame, known, **given)
    assert divide_labelled(frame.reverse(), known.reverse(), **given) == division
    return division


@given(sizes=st.dictionaries(st.sampled_from("abcd"), st.integers(1, 60)), val=st.sampled_from([0, 0.15, 0.5]))
def test_pictures_of_their_own_meet_the_fractions_of_each_class(sizes: dict[str, int], val: float) -> None:
    names = {f"{label}{number}": Counter([label]) for label, size in sizes.items() for number in range(size)}
    splits = stratify(names, set(), SplitSettings(val=val, test=0.2))
    for label, size in sizes.items():
        found = Counter(splits[name] for name in names if name[0] == label)
        for split, part in (("val", val), ("test", 0.2)):
            # At least one, if there is one for it and one to train on.
            least = 0 if part == 0 or size < 2 or (split == "test" and size < 3) else 1
            assert found[split] >= least
            assert abs(found[split] - part * size) <= 0.5 or found[split] == 1


@given(
    groups=st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(1, 9), min_size=1), max_size=30),
    test=st.sampled_from([0, 0.2]),
)
def test_every_class_trains_and_is_validated_unless_that_leaves_one_without_training(
    groups: list[dict[str, int]], test: float
) -> None:
    counts = {str(number): Counter(group) for number, group in enumerate(groups)}
    splits = stratify(counts, set(), SplitSettings(val=0.2, test=test))
    held = {split: [name for name in counts if splits[name] == split] for split in ("train", "val", "test")}
    for label in {label for group in groups for label in group}:
        assert any(label in counts[name] for name in held["train"])
        if not any(label in counts[name] for name in held["val"]):
            for name in (name for name in held["train"] if label in counts[name]):
                assert any(sum(other in counts[one] for one in held["train"]) == 1 for other in counts[name])
    assert test or not held["test"]


@given(size=st.integers(0, 60), added=st.text(min_size=1, max_size=3))
def test_a_picture_that_is_added_moves_one_other_at_most_into_or_out_of_a_split(size: int, added: str) -> None:
    names = {f"image_labels:s/{number}": Counter(["a"]) for number in range(size)}
    before = stratify(names, set(), SETTINGS)
    after = stratify({**names, f"image_labels:s/x{added}": Counter(["a"])}, set(), SETTINGS)
    for split in ("val", "test"):
        assert sum((before[name] == split) != (after[name] == split) for name in names) <= 1


def test_a_large_group_counts_as_many_as_it_is() -> None:
    groups = {"large": Counter(a=8), **{str(number): Counter(a=1) for number in range(2)}}
    assert stratify(groups, set(), SplitSettings(val=0.2)) == {"large": "train", "0": "val", "1": "val"}
    # Neither group is near a fifth, and one validates all the same: the smaller one.
    assert stratify({"many": Counter(a=30), "few": Counter(a=20)}, set(), SplitSettings(val=0.2)) == {
        "many": "train",
        "few": "val",
    }


def test_a_class_of_one_group_trains() -> None:
    assert stratify({"one": Counter(a=1)}, set(), SETTINGS) == {"one": "train"}
    assert stratify({"one": Counter(a=40)}, set(), SETTINGS) == {"one": "train"}


def test_the_only_group_of_a_class_trains_even_if_another_class_would_gain_by_its_move() -> None:
    counts = {"large": Counter(a=10), "only": Counter(a=2, b=1)}
    assert stratify(counts, set(), SplitSettings(val=0.2))["only"] == "train"
    assert stratify(counts, {("train", "b")}, SplitSettings(val=0.2)) == {"large": "train", "only": "val"}


def test_a_class_that_is_validated_by_others_needs_no_picture_there() -> None:
    counts = {"0": Counter(a=1), "1": Counter(a=1)}
    assert sorted(stratify(counts, set(), SplitSettings(val=0.1)).values()) == ["train", "val"]
    assert set(stratify(counts, {("val", "a")}, SplitSettings(val=0.1)).values()) == {"train"}
    # It trains elsewhere, so that its only picture here may validate.
    assert stratify({"0": Counter(a=1)}, {("train", "a")}, SplitSettings(val=0.1)) == {"0": "val"}


hashes = st.sampled_from([far ^ near for far in FAR for near in (0, 1, 0b11, 0b1111, 0b11111)])
rows = st.tuples(st.sampled_from(["one", "two", "a", "b", "c", "d", "e"]), hashes)
stated_splits = st.dictionaries(st.sampled_from(["one", "two", "a", "b"]), st.sampled_from(["train", "val", "test"]))


@settings(deadline=None)
@given(
    pictures=st.lists(rows, max_size=20),
    others=st.lists(st.tuples(st.sampled_from([("film", "val"), ("film 2", "train"), ("film 3", "test")]), hashes), max_size=5),
    stated=stated_splits,
)
def test_no_picture_looks_like_one_in_another_split(
    pictures: list[tuple[str, int]], others: list[tuple[tuple[str, str], int]], stated: dict[str, str]
) -> None:
    table = [(f"k{n}", source, stated.get(source, ""), "x", phash) for n, (source, phash) in enumerate(pictures)]
    known = [(source, split, phash) for (source, split), phash in others]
    division = divide(table, known)
    stay = [(division.splits[source], phash) for key, source, _, _, phash in table if key not in division.refused]
    for split, phash in stay:
        for other_split, other in [*stay, *((split, phash) for _, split, phash in known)]:
            assert split == other_split or (phash ^ other).bit_count() > 4
    assert all(division.splits[source] == split for source, split in stated.items() if source in division.splits)
    assert all(
        len({division.splits[s] for s in division.splits if division.groups[s] == g}) == 1 for g in division.groups.values()
    )


def test_pictures_that_look_alike_are_in_one_group_and_split() -> None:
    table = [(str(n), f"s/{n}", "", "a", FAR[n // 2] ^ (n % 2)) for n in range(6)]
    division = divide(table, settings=SplitSettings(val=0.34))
    assert [division.groups[f"s/{n}"] for n in range(6)] == ["s/0", "s/0", "s/2", "s/2", "s/4", "s/4"]
    assert Counter(division.splits.values()) == {"train": 4, "val": 2} and not division.refused


def test_a_picture_follows_the_frame_that_it_looks_like() -> None:
    division = divide([("k", "s/k", "", "a", 1)], [("film", "val", 0)], groups={"film": "film 1"})
    assert (division.splits, division.groups, division.refused) == ({"s/k": "val"}, {"s/k": "film 1"}, {})


def test_a_set_is_not_moved_by_one_of_its_pictures_which_is_left_out() -> None:
    table = [(str(n), "set", "train", "a", far) for n, far in enumerate(FAR)]
    division = divide(table, [("film", "val", FAR[0])])
    assert division.splits == {"set": "train"}
    assert division.refused == {"0": "'film' shows the same and is in val"}


@pytest.mark.parametrize("splits", [("train", "val"), ("val", "test"), ("train", "test")])
def test_of_two_that_look_alike_the_one_that_trains_is_left_out(splits: tuple[str, str]) -> None:
    division = divide([("weak", "a", splits[0], "x", 0), ("strong", "b", splits[1], "x", 1)])
    assert division.refused == {"weak": f"'strong' shows the same and is in {splits[1]}"}
