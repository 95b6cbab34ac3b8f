"""Divide labelled pictures into splits: each class evenly, and so that no picture in one split looks like one in another."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

import polars as pl

from tessera.core.seeds import fraction
from tessera.imaging.near_hashes import close_pairs
from tessera.stages.datasets.splits import SplitSettings, group_sources

STRENGTH = ("train", "val", "test")  # of two pictures that look alike in two splits, the one in the later split stays
REFUSED = "looks like a picture of another split"


class Division(NamedTuple):
    """The splits of labelled pictures."""

    splits: dict[str, str]  # by source
    groups: dict[str, str]  # by source: what is never divided
    refused: dict[str, str]  # the pictures that fit into no split, by key, each with the reason in detail


def divide_labelled(
    pictures: pl.DataFrame,
    others: pl.DataFrame,
    groups: Mapping[str, str],
    covered: Collection[tuple[str, str | None]],
    distance: int,
    settings: SplitSettings,
) -> Division:
    """Divide labelled pictures into splits.

    `pictures`: `key`, `source`, `split` (the stated one, or empty), `label` and `phash` of each. `others`: `source`, `split`
    and `phash` of pictures whose splits are known; `groups`: what is never divided, by their source. `covered`: pairs of a
    split and a label of which the dataset has other pictures.

    Two pictures look alike if their perceptual hashes differ in at most `distance` bits. A source is linked to another if that
    is so for the fraction `settings.shared` of its pictures or more. Linked sources have one split: the stated one of a member,
    or that of `others` that they are linked to, the stronger of two; without one, `stratify` divides them. Then every picture
    that still looks like one of another split is refused, where the other is one of `others`, or in a stronger split.

    The result does not depend on the order of the rows.
    """
    sizes = dict(pictures.group_by("source").len().iter_rows())
    inside = _look_alike(pictures, pictures, distance).filter(pl.col("source") != pl.col("near_source"))
    outside = _look_alike(pictures, others.unique(), distance)
    group_of = group_sources(sorted(sizes), _links(inside, sizes, settings.shared))
    stated = {source: split for source, split in pictures.select("source", "split").iter_rows() if split}
    split_of_other = dict(others.select("source", "split").iter_rows())
    wanted: dict[str, set[str]] = defaultdict(set)
    joined: dict[tuple[str, str], set[str]] = defaultdict(set)
    for source, split in stated.items():
        wanted[group_of[source]].add(split)
    for source, other in _links(outside, sizes, settings.shared):
        wanted[group_of[source]].add(split_of_other[other])
        joined[group_of[source], split_of_other[other]].add(groups.get(other, other))
    free: dict[str, Counter[str | None]] = defaultdict(Counter)
    taken = set(covered)
    decided = {group: max(splits, key=STRENGTH.index) for group, splits in wanted.items()}
    for source, label in pictures.select("source", "label").iter_rows():
        group = group_of[source]
        if group in decided:
            taken.add((stated.get(source, decided[group]), label))
        else:
            free[group][label] += 1
    decided |= stratify(free, taken, settings)
    splits = {source: stated.get(source, decided[group]) for source, group in sorted(group_of.items())}
    for source, split in splits.items():
        joined.setdefault((group_of[source], split), {source})
    names = {source: min(joined[group_of[source], split]) for source, split in splits.items()}
    return Division(splits, names, _refused(inside, outside, splits))


def stratify(
    counts: Mapping[str, Counter[str | None]], covered: Collection[tuple[str, str | None]], settings: SplitSettings
) -> dict[str, str]:
    """Return the split of each group: `counts` has the number of its pictures of each label.

    Groups are taken in the order of a hash of their names: for `val` from one end, and for `test` from the other, each if it
    brings the numbers of pictures of its labels closer to the stated fractions, all in all. So groups of one picture meet them
    exactly, rounded, and larger ones as far as this goes. Then a label that lacks in `val` or `test`, and is not `covered`
    there, gets the smallest group that may go there. The last group of a label that trains stays.

    A group of one picture that is added moves at most one other picture of its label into or out of each split.
    """
    order = sorted(counts, key=lambda name: (fraction("splits", name), name))
    total: Counter[str | None] = sum(counts.values(), Counter())
    training = Counter(label for group in counts.values() for label in group)
    training.update(label for split, label in covered if split == "train")
    splits = dict.fromkeys(order, "train")
    present = set(covered)
    parts = (("val", settings.val, order), ("test", settings.test, order[::-1]))

    def may_move(name: str) -> bool:
        return splits[name] == "train" and all(training[label] > 1 for label in counts[name])

    def move(name: str, split: str) -> None:
        splits[name] = split
        training.subtract(dict.fromkeys(counts[name], 1))
        present.update((split, label) for label in counts[name])

    for split, part, names in parts:
        had: Counter[str | None] = Counter()
        for name in names:
            gain = sum(
                abs(part * total[label] - had[label]) - abs(part * total[label] - had[label] - count)
                for label, count in counts[name].items()
            )
            if gain > 0 and may_move(name):
                move(name, split)
                had += counts[name]
    for split, part, names in parts:
        for label in sorted(total, key=str) if part else ():
            if (split, label) not in present and (left := [name for name in names if counts[name][label] and may_move(name)]):
                move(min(left, key=lambda name: counts[name].total()), split)
    return splits


def _look_alike(pictures: pl.DataFrame, others: pl.DataFrame, distance: int) -> pl.DataFrame:
    """Return the pairs of one of `pictures` and one of `others` that look alike; columns of the latter begin with `near_`."""
    ours, theirs = (frame["phash"].unique().sort() for frame in (pictures, others))
    indices, near = close_pairs(ours.to_numpy(), theirs.to_numpy(), distance)
    pairs = pl.DataFrame({"phash": ours[indices], "near_phash": theirs[near]})
    return pictures.join(pairs, on="phash").join(others.rename(lambda name: f"near_{name}"), on="near_phash")


def _links(pairs: pl.DataFrame, sizes: Mapping[str, int], shared: float) -> Iterator[tuple[str, str]]:
    """Yield each source with one that it is linked to, sorted. `pairs`: see `_look_alike`. `sizes`: pictures of each source."""
    counts = pairs.group_by("source", "near_source").agg(pl.col("key").n_unique()).sort("source", "near_source")
    for source, other, count in counts.iter_rows():
        if count >= shared * sizes[source]:
            yield source, other


def _refused(inside: pl.DataFrame, outside: pl.DataFrame, splits: Mapping[str, str]) -> dict[str, str]:
    """Return the keys of the pictures that look like one of another split. The pairs are those of `_look_alike`."""
    refused = {
        key: f"{other!r} shows the same and is in {split}"
        for key, source, other, split in outside.select("key", "source", "near_source", "near_split").sort(pl.all()).iter_rows()
        if split != splits[source]
    }
    rows = inside.select("key", "source", "near_key", "near_source").sort(pl.all()).iter_rows()
    weaker = {
        key: f"{other!r} shows the same and is in {splits[near]}"
        for key, source, other, near in rows
        if STRENGTH.index(splits[source]) < STRENGTH.index(splits[near]) and not {key, other} & refused.keys()
    }
    return refused | weaker
