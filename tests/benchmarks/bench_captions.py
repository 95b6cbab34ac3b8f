"""Tags to captions to arrangement to balance for 100,000 pictures, also compared with a loop over one JSON file per picture."""

import io
import json
import time
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import slow_captions
from timing import seconds

from tessera.core import log
from tessera.extras.image_sets.arrange import arrange_set
from tessera.extras.image_sets.arrangement_settings import ArrangementSettings
from tessera.extras.image_sets.balance import multiplies, probabilities
from tessera.extras.image_sets.caption_settings import CaptionSettings
from tessera.extras.image_sets.captions import caption_set
from tessera.records.tables.identities import Identities
from tessera.records.tables.image_sets import Arrangement, Captions, SetPictures
from tessera.records.tables.splits import Splits
from tessera.records.tables.table import read_table, types, write_table
from tessera.records.tables.tags import Tags

PICTURES, LOOPED = 100_000, 2_000
TAGS = 25  # of a picture
IDENTITIES, SOURCES = 20, 24
LIMIT, RATIO = 60, 20
CAPTIONS = CaptionSettings(parts={"copyright": 1}, tags={"blacklist": ["7_cat", "white_9_sky"]}, maximum=10_000)
ARRANGEMENT = ArrangementSettings(folders=("n_characters", "character"))


def vocabulary() -> list[tuple[str, str]]:
    """Return 6,000 tags with their categories. Some are part of others by whole words, and some describe a character."""
    words = ["", "long_", "white_", "very_long_", "mole_"]
    kinds = ["tag", "eyes", "cat", "horn", "sky"]
    general = ["1girl", "1boy", "2girls", "solo"]
    general += [f"{word}{number}_{kinds[number % 5]}" for number in range(1_000) for word in words]
    return [*((tag, "general") for tag in general), *((f"series_{number}", "copyright") for number in range(996))]


def make(folder: Path, count: int) -> None:
    """Write the tables of `count` pictures to `folder`. The tags of a picture are drawn as unevenly as in real pictures."""
    rng = np.random.default_rng(0)
    known = vocabulary()
    drawn = (len(known) * rng.random((count, TAGS + 5)) ** 4).astype(int)
    pairs = (
        pl.DataFrame({"picture": np.repeat(np.arange(count), TAGS + 5), "number": drawn.ravel()})
        .unique()
        .sort("picture", "number")
    )
    keys = pl.Series([f"film{number % SOURCES:02}-{number:08}" for number in range(count)])
    tags = pairs.select(
        key=keys.gather(pairs["picture"]),
        number="number",
        tag=pl.Series([tag for tag, _ in known]).gather(pairs["number"]),
        category=pl.Series([category for _, category in known]).gather(pairs["number"]),
        score=pl.Series(0.36 + 0.64 * rng.random(len(pairs))),
    )
    names = [sorted({f"person {each}" for each in rng.integers(0, IDENTITIES, rng.integers(0, 3))}) for _ in range(count)]
    pictures = pl.DataFrame(
        {
            "key": keys,
            "source": keys.str.slice(0, 6),
            "split": "",
            "series": "",
            "frame": keys,
            "step": "frame",
            "path": keys + ".webp",
            "width": 640,
            "height": 480,
            "identities": names,
            "appearances": [[""] * len(each) for each in names],
            "head": rng.random(count),
            "is_regular": False,
        },
        schema=types(SetPictures),
    )
    people = pictures.select("key", "source", "frame", "series", identity="identities").explode("identity").drop_nulls()
    identities = people.with_row_index().with_columns(
        key=pl.format("{}-head-{}", "key", "index"),
        cluster=pl.lit(""),
        appearance=pl.lit(""),
        origin=pl.lit("decision"),
        certainty=1.0,
    )
    folder.mkdir()
    write_table(tags.sort("key", "number"), Tags, folder / "tags")
    write_table(pictures.sort("key"), SetPictures, folder / "pictures")
    write_table(identities, Identities, folder / "identities")
    write_table(pictures.select("key", "source", split=pl.lit("train")).sort("key"), Splits, folder / "splits")


def product(folder: Path) -> None:
    """Do the work as the rules do it."""
    outputs = {name: folder / name for name in ("captions", "core", "wildcards", "ledger")}
    caption_set(folder / "pictures", [folder / "tags"], [folder / "identities"], CAPTIONS, seed=0, **outputs)
    arrange_set(folder / "pictures", folder / "splits", None, ARRANGEMENT, folder / "arrangement", folder / "distribution")


def write_metadata(folder: Path) -> list[Path]:
    """Write one JSON file for each picture, and return their paths."""
    tags = read_table(folder / "tags", Tags).partition_by("key", as_dict=True, include_key=False)
    paths = []
    for key, people in read_table(folder / "pictures", SetPictures).select("key", "identities").iter_rows():
        paths.append(folder / f"{key}.json")
        rows = tags[(key,)].to_dicts() if (key,) in tags else []
        paths[-1].write_text(json.dumps({"path": f"{key}.webp", "characters": people, "tags": rows}), encoding="utf-8")
    return paths


def loop(paths: list[Path]) -> tuple[dict[str, str], dict[str, float]]:
    """Do the same with one JSON file for each picture, which each step reads and writes; return captions and repeats.

    The steps are those of anime_screenshot_pipeline: clean tags and core tags, prune and caption, arrange, balance.
    """

    def read(path: Path) -> dict:
        return json.loads(path.read_text(encoding="utf-8"))

    def write(path: Path, record: dict) -> None:
        path.write_text(json.dumps(record), encoding="utf-8")

    settings = CAPTIONS.tags
    seen = []
    for path in paths:
        record = read(path)
        record["clean"] = slow_captions.clean(record["tags"], settings, ())
        seen.append((record["clean"], record["characters"]))
        write(path, record)
    cores = slow_captions.core(seen, settings)
    captions = {}
    for path in paths:
        record = read(path)
        record["processed"] = slow_captions.finish(record["clean"], record["characters"], cores, settings)
        series = [tag for group, tag in record["processed"] if group == "copyright"]
        general = [tag for group, tag in record["processed"] if group == "general"]
        parts = [", ".join(record["characters"]), "from " + ", ".join(series) if series else "", ", ".join(general)]
        record["caption"] = captions[path.stem] = ", ".join(part for part in parts if part)
        path.with_suffix(".txt").write_text(record["caption"], encoding="utf-8")
        write(path, record)
    combinations = Counter("+".join(read(path)["characters"]) for path in paths)
    folders = {}
    for path in paths:
        record = read(path)
        count, combination = len(record["characters"]), "+".join(record["characters"])
        if combination and combinations[combination] < ARRANGEMENT.minimum_per_combination:
            combination = "character_others"
        record["folder"] = folders[path.stem] = f"{count}_character{'s' * (count != 1)}/{combination or 'no_character'}"
        write(path, record)
    counts = Counter(folders.values())
    repeats = multiplies(probabilities(list(counts), lambda node: 1.0), counts, ARRANGEMENT)
    return captions, {key: repeats[folder] for key, folder in folders.items()}


def test_captions_and_arrangement_of_many_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_terminal", io.StringIO())
    large, small = tmp_path / "large", tmp_path / "small"
    make(large, PICTURES)
    make(small, LOOPED)
    paths = write_metadata(small)
    product(small)
    captions, repeats = loop(paths)
    assert dict(read_table(small / "captions", Captions).select("key", "caption").iter_rows()) == captions
    assert dict(read_table(small / "arrangement", Arrangement).select("key", "repeats").iter_rows()) == repeats
    scale = PICTURES / LOOPED
    ours, theirs = seconds(partial(product, large), partial(loop, paths))
    cpu, their_cpu = seconds(partial(product, large), partial(loop, paths), repeats=1, clock=time.process_time)
    print(
        f"\n{PICTURES:,} pictures with {TAGS} tags each: {ours:.1f} s (at most {LIMIT}), of the cores {cpu:.1f} s;"
        f" a loop over JSON files {theirs * scale:.0f} s, of the cores {their_cpu * scale:.0f} s"
        f" (measured with {LOOPED:,} pictures, in proportion); {theirs * scale / ours:.1f} times as long (at least {RATIO})"
    )
    assert ours <= LIMIT
    assert theirs * scale / ours >= RATIO
