"""Of near-duplicates, the labelled and then the sharpest picture stays, within the limits of each pair of sources."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tessera.configuration.read import load_configuration
from tessera.core.errors import TesseraError
from tessera.core.ledger import read_ledger
from tessera.extras.near_duplicates.near_duplicates import find_near_duplicates
from tessera.extras.near_duplicates.settings import NearDuplicateSettings
from tessera.records.tables.annotation import Images
from tessera.records.tables.embeddings import Embeddings, NearDuplicates
from tessera.records.tables.footage import Sources
from tessera.records.tables.table import read_table, types, write_table

Row = dict[str, Any]


def picture(key: str, degrees: float, **values: Any) -> Row:
    """Return a row of `tables.Embeddings`: its vector points in a direction, so that the cosine of two is that of the angle."""
    vector = [float(np.cos(np.radians(degrees))), float(np.sin(np.radians(degrees)))]
    return {"key": key, "source": key[0], "path": f"{key}.jpg", "place": None, "sharpness": 1.0, "vector": vector, **values}


def run(folder: Path, tables: list[list[Row]], labelled: list[str] = [], **settings: Any) -> tuple[list[Row], list[Row]]:  # noqa: B006
    """Return the near-duplicates among the rows of `tables`, and the ledger. The source z is not admitted."""
    paths = []
    for number, rows in enumerate(tables):
        paths.append(folder / f"{number}.parquet")
        write_table(pl.DataFrame(rows, schema=types(Embeddings)), Embeddings, paths[-1])
    known = {
        **dict.fromkeys(types(Images)),
        "source": "a",
        "path": "",
        "width": 1,
        "height": 1,
        "phash": 0,
        "split": "",
        "rights": "x",
    }
    write_table(pl.DataFrame([{**known, "key": key} for key in labelled], schema=types(Images)), Images, folder / "labelled")
    source = {**dict.fromkeys(types(Sources)), "shard": "s", "path": "", "content": "general", "rights": "x"}
    source |= {"consent": "", "use": [], "split": "", "series": "", "kind": "video", "sha256": "", "size": 1}
    stated = [{**source, "source": name} for name in "abc"]
    write_table(pl.DataFrame(stated, schema=types(Sources)), Sources, folder / "sources")
    outputs = {"table": folder / "found", "ledger": folder / "ledger"}
    limits = NearDuplicateSettings(**{"within": None, "across": None, **settings})
    find_near_duplicates(paths, [folder / "labelled"], folder / "sources", limits, **outputs)
    return read_table(outputs["table"], NearDuplicates).to_dicts(), read_ledger(outputs["ledger"])


def pairs(found: list[Row]) -> dict[str, str]:
    return {row["key"]: row["duplicate_of"] for row in found}


def test_labelled_pictures_stay_first_and_then_the_sharpest(tmp_path: Path) -> None:
    rows = [picture("a1", 0, sharpness=5.0), picture("a2", 1, sharpness=9.0), picture("a3", 2, sharpness=7.0)]
    assert pairs(run(tmp_path, [rows], within=0.99)[0]) == {"a1": "a2", "a3": "a2"}
    assert pairs(run(tmp_path, [rows], ["a1"], within=0.99)[0]) == {"a2": "a1", "a3": "a1"}


def test_there_are_no_chains(tmp_path: Path) -> None:
    # Each is 10 degrees from the next, which is within the limit of 12, but the third is 20 degrees from the first.
    rows = [picture(f"a{place}", 10 * place, sharpness=9.0 - place) for place in range(4)]
    found, ledger = run(tmp_path, [rows], within=float(np.cos(np.radians(12))))
    assert pairs(found) == {"a1": "a0", "a3": "a2"}
    assert found[0]["similarity"] == pytest.approx(np.cos(np.radians(10)), abs=1e-3)
    assert [(row["status"], row["reason"]) for row in ledger] == [
        ("ok", ""),
        ("dropped", "near-duplicate within a source"),
        ("ok", ""),
        ("dropped", "near-duplicate within a source"),
    ]
    assert ledger[1]["detail"] == "a0, similarity 0.9848"


def test_each_pass_has_its_own_limit(tmp_path: Path) -> None:
    rows = [picture("a1", 0, place=0.1, sharpness=9.0), picture("a2", 15, place=0.9, sharpness=8.0)]
    rows += [picture("b1", 5, place=0.2), picture("b2", 15.5, place=0.5), picture("c1", 180 + 15, place=None), picture("z1", 0)]
    at = {degrees: float(np.cos(np.radians(degrees))) for degrees in (1, 6, 20)}
    assert pairs(run(tmp_path, [rows], within=at[20])[0]) == {"a2": "a1", "b2": "b1"}
    assert pairs(run(tmp_path, [rows], across=at[6])[0]) == {"b1": "a1", "b2": "a2"}
    found = run(tmp_path, [rows], across=at[1], ends=at[6])[0]
    assert {row["key"]: row["found"] for row in found} == {"b1": "openings or endings", "b2": "across sources"}
    assert run(tmp_path, [rows])[0] == []


def test_the_order_and_the_division_into_tables_do_not_matter(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    rows = [
        picture(f"{'abc'[place % 3]}{place}", draw.uniform(0, 90), sharpness=float(draw.integers(3))) for place in range(60)
    ]
    expected = run(tmp_path, [rows], within=0.999, across=0.9995)
    assert expected[0]
    turned = [rows[int(place)] for place in draw.permutation(60)]
    assert run(tmp_path, [turned[:7], turned[7:20], [], turned[20:]], within=0.999, across=0.9995) == expected


def test_without_pictures_there_are_no_near_duplicates(tmp_path: Path) -> None:
    assert run(tmp_path, [], within=0.9) == ([], [])


def test_vectors_of_two_lengths_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TesseraError, match=r"its vectors have \[3\] numbers, those of other pictures 2; delete the folder"):
        run(tmp_path, [[picture("a1", 0)], [picture("b1", 0, vector=[1.0, 0.0, 0.0])]], within=0.9)


WEIGHTS = {"source": "w.pt", "sha256": "0123456789abcdef" * 4}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"embeddings": {"look": {"kind": "detector", "weights": "trained", "detector": "x"}}},
            "detector` is 'x', which is not",
        ),
        (
            {"embeddings": {"look": {"kind": "detector", "weights": WEIGHTS, "detector": "nsfw_detection"}}},
            "is for `weights: trained` alone",
        ),
        ({"duplicates": {"embeddings": ["look"]}}, r"names 'look', but `embeddings.look` has no `near_duplicates`"),
        (
            {
                "duplicates": {"embeddings": ["look"]},
                "embeddings": {
                    "look": {"kind": "detector", "weights": "trained", "detector": "nsfw_detection", "near_duplicates": {}}
                },
            },
            "it would decide which pictures it is trained on. Copy its weights, and declare them",
        ),
        ({"embeddings": {"a/b": {"kind": "detector", "weights": WEIGHTS}}}, "embeddings.a/b"),
        (
            {
                "embeddings": {"look": {"kind": "detector", "weights": WEIGHTS, "clips": 3}},
                "scenes": {"detect": {"weights": None}},
            },
            "`embeddings.look.clips` is 3, and `scenes.detect.weights: null` makes no clips",
        ),
    ],
)
def test_embeddings_that_cannot_be_made_are_named(settings: Row, message: str) -> None:
    with pytest.raises(TesseraError, match=message):
        load_configuration(settings)
