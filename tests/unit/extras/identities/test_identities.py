"""Crops are identified in general sources alone, by references, clusters and decisions, in any order."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import DBSCAN
from sklearn.metrics import adjusted_rand_score

from tessera.core.errors import Dropped, TesseraError
from tessera.core.ledger import read_ledger
from tessera.extras.identities.admit import admit, check_named
from tessera.extras.identities.decide import decide_identities
from tessera.extras.identities.identify import _by_references, identify_crops
from tessera.extras.identities.settings import IdentitySettings, ReferenceSettings
from tessera.learning.embedding import density
from tessera.learning.embedding.density import dense_clusters
from tessera.learning.embedding.representatives import all_cosines, cosines, l2_normalise
from tessera.records.decisions import region_key
from tessera.records.identities import (
    IdentityDecision,
    cluster_name,
    find_crops,
    identity_fault,
    read_identity_decisions,
    read_references,
)
from tessera.records.manifest import Source
from tessera.records.tables.crops import Crops
from tessera.records.tables.embeddings import Embeddings
from tessera.records.tables.footage import Sources
from tessera.records.tables.identities import Identities
from tessera.records.tables.table import read_table, types, write_table

DIMENSIONS = 32
HEADER = "target\taction\tto\tby\tdate\tnote\n"


def near(identity: int, seed: int, spread: float = 0.2) -> list[float]:
    """Return a vector around the centre of an identity."""
    centre = np.random.default_rng(identity).standard_normal(DIMENSIONS)
    numbers = centre + spread * np.random.default_rng([seed, 7]).standard_normal(DIMENSIONS)
    return [float(number) for number in numbers / np.linalg.norm(numbers)]


def identified(
    folder: Path, crops: Sequence[tuple[str, list[float]]], references: dict[str, list[float]], shards: int = 1
) -> Any:
    """Return the table and the ledger of `crops`, each a source and a vector. `x` is adult, `z` is not admitted."""
    blank = dict.fromkeys(types(Sources)) | dict.fromkeys(["shard", "path", "rights", "consent", "split", "sha256"], "")
    blank |= {"use": [], "kind": "video", "size": 1}
    stated = [
        {**blank, "source": name, "content": "adult" if name == "x" else "general", "series": "two" if name == "b" else "one"}
        for name in "abx"
    ]
    write_table(pl.DataFrame(stated, schema=types(Sources)), Sources, folder / "sources")
    given = {"x0": 0, "y0": 0, "x1": 9, "y1": 9, "confidence": 1.0, "width": 9, "height": 9, "phash": 0, "sharpness": 1.0}
    rows, vectors = [], []
    for number, (source, vector) in enumerate(crops):
        key = f"{source}-{number:07d}-head-0"
        row = {**dict.fromkeys(types(Crops)), **given, "key": key, "source": source, "frame": key[:9], "index": number}
        rows.append({**row, "parent": key[:9], "step": "head", "file": f"{key}.png", "top": 0, "bottom": 9})
        vectors.append({"key": key, "source": source, "path": f"{key}.png", "place": None, "sharpness": 1.0, "vector": vector})
    paths: dict[str, list[Path]] = {"crops": [], "vectors": []}
    for shard in range(shards):
        for name, table, schema in (("crops", rows, Crops), ("vectors", vectors, Embeddings)):
            paths[name].insert(0, folder / f"{name}{shard}")
            own = [{key: row[key] for key in types(schema)} for row in table[shard::shards]]
            write_table(pl.DataFrame(own[::-1], schema=types(schema)), schema, paths[name][0])
    known = [
        {"key": key, "source": "r", "path": key, "place": None, "sharpness": 1.0, "vector": vector}
        for key, vector in references.items()
    ]
    write_table(pl.DataFrame(known, schema=types(Embeddings)), Embeddings, folder / "references")
    chosen = IdentitySettings(embedding="e", step="head", references={"folder": "r"})
    outputs = {"table": folder / "found", "ledger": folder / "ledger"}
    identify_crops(paths["crops"], paths["vectors"], folder / "references", folder / "sources", chosen, **outputs)
    return read_table(outputs["table"], Identities).to_dicts(), read_ledger(outputs["ledger"])


@settings(max_examples=8, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abxz"), st.integers(0, 2)), min_size=1, max_size=30))
def test_no_crop_of_an_adult_or_a_refused_source_ever_gets_an_identity(crops: list[tuple[str, int]]) -> None:
    with TemporaryDirectory() as folder:
        given = [(source, near(identity, number)) for number, (source, identity) in enumerate(crops)]
        found, ledger = identified(Path(folder), given, {"Ada/1.png": near(0, 1000)})
    assert {row["source"] for row in found} <= {"a", "b"}
    assert len(ledger) == len(crops)
    of_adults = [row for row in ledger if row["key"].startswith("x-")]
    assert {(row["status"], row["reason"]) for row in of_adults} <= {("dropped", "adult source")}


def test_only_known_general_content_is_admitted_and_an_adult_source_cannot_be_named() -> None:
    for content in ("adult", "", "unknown"):
        with pytest.raises(Dropped, match="adult source"):
            admit("a", {"a": content}, ())
    admit("a", {"a": "general"}, ("a",))
    with pytest.raises(Dropped, match="not named"):
        admit("a", {"a": "general"}, ("b",))
    source = Source(source="x", path="x.mp4", content="adult")
    with pytest.raises(TesseraError, match="names 'x', an adult source: people are identified only in"):
        check_named(["x"], [source], "sources.tsv")
    with pytest.raises(TesseraError, match=r"names 'y', which is not in sources\.tsv"):
        check_named(["y"], [source], "sources.tsv")


def test_references_clusters_and_noise_decide_in_any_order_and_division(tmp_path: Path) -> None:
    crops = [("ab"[number % 2], near(number % 4, number)) for number in range(48)]
    crops += [("a", near(100 + n, n)) for n in range(5)]
    references = {"Ada/coat/1.png": near(0, 500), "Ada/hat/2.png": near(9, 501), "noise2/1.png": near(1, 502)}
    found, ledger = identified(tmp_path, crops, references)
    again, _ = identified(tmp_path, crops, references, shards=3)
    assert found == again
    for row in found:
        number = int(row["key"].split("-")[1])
        truth = number % 4 if number < 48 else -1
        if truth == 0:
            assert (row["identity"], row["appearance"], row["origin"]) == ("Ada", "coat", "reference")
        elif truth in {1, -1}:
            assert (row["identity"], row["origin"]) == ("", "noise")
        else:
            assert row["origin"] == "cluster"
    # Identity 2 is in the series of `a` alone, and 3 in that of `b`.
    assert len({row["cluster"] for row in found if row["cluster"]}) == 2
    assert all(row["cluster"] in {cluster_name(each["key"]) for each in found} for row in found if row["cluster"])
    assert {row["reason"] for row in ledger} == {"", "noise"}


def test_crops_that_are_certain_become_references_that_decide_others() -> None:
    """Each crop is close to the one before it, and the last is too far from the reference."""
    turned = [[float(np.cos(angle)), float(np.sin(angle)), *[0.0] * (DIMENSIONS - 2)] for angle in (0.0, 0.6, 1.2)]
    far = [*[0.0] * (DIMENSIONS - 1), 1.0]
    vectors = {f"a-{number}": np.array(vector, np.float16) for number, vector in enumerate(turned[1:])}
    pictured = {"ann/1.png": np.array(turned[0], np.float16), "bob/1.png": np.array(far, np.float16)}
    found = []
    for add in (0, 5):
        rows: list[dict[str, Any]] = [{"key": key} for key in vectors]
        _by_references(rows, vectors, pictured, ReferenceSettings(folder="x", similarity=0.5, add=add))
        found.append([row.get("identity") for row in rows])
    assert found == [["ann", None], ["ann", "ann"]]


def test_clusters_are_those_of_dbscan_whatever_the_size_of_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(1)
    vectors = l2_normalise(np.array([near(int(draw.integers(6)), n, 0.5) for n in range(200)]))
    exact = vectors.astype(np.float64)
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    expected = DBSCAN(eps=0.2, min_samples=4, metric="precomputed").fit(np.clip(1 - exact @ exact.T, 0, 2))
    found = dense_clusters(vectors, 0.8, 4)
    is_core = np.isin(np.arange(200), expected.core_sample_indices_)
    assert adjusted_rand_score(expected.labels_[is_core], found[is_core]) == 1
    assert ((found == -1) == (expected.labels_ == -1)).all()
    monkeypatch.setattr(density, "BLOCK", 37)
    assert (dense_clusters(vectors, 0.8, 4) == found).all()


def decided(folder: Path, *decisions: tuple[str, str, str], crops: Sequence[Path] = ()) -> tuple[dict[str, str], list[str]]:
    """Return the identities of k0 to k3, a cluster, and k4 of Ada, by key, and the targets that match nothing."""
    rows = [
        {"key": f"k{n}", "source": "a", "frame": "f", "series": "", "cluster": cluster_name("k0") if n < 4 else ""}
        | {"identity": cluster_name("k0") if n < 4 else "Ada", "appearance": "", "certainty": 0.5}
        | {"origin": "cluster" if n < 4 else "reference"}
        for n in range(5)
    ]
    write_table(pl.DataFrame(rows, schema=types(Identities)), Identities, folder / "found")
    given = [IdentityDecision(target=one, action=two, to=to, by="Bo", date="2026-01-31") for one, two, to in decisions]
    decide_identities(folder / "found", crops, given, table=folder / "table", ledger=folder / "decided")
    table = read_table(folder / "table", Identities)
    return dict(table.select("key", "identity").iter_rows()), [
        row["key"] for row in read_ledger(folder / "decided") if row["status"] == "dropped"
    ]


def test_decisions_rename_merge_move_and_reject_and_those_that_match_nothing_are_reported(tmp_path: Path) -> None:
    own = cluster_name("k0")
    assert decided(tmp_path, (own, "rename", "Eve"), ("k1", "move", "Ada"), ("k2", "reject", ""), ("Ada", "rename", "Ida")) == (
        {"k0": "Eve", "k1": "Ida", "k2": "", "k3": "Eve", "k4": "Ida"},
        [],
    )
    found, lost = decided(
        tmp_path, (own, "merge", "Ada"), ("gone", "reject", ""), ("k9", "move", "Ada"), ("Ada", "merge", "Max")
    )
    assert set(found.values()) == {"Ada"}
    assert lost == ["gone", "k9", "Ada"]
    # The cluster had another medoid when it was named.
    assert decided(tmp_path, (cluster_name("k3"), "rename", "Eve")) == (
        {"k0": "Eve", "k1": "Eve", "k2": "Eve", "k3": "Eve", "k4": "Ada"},
        [],
    )
    assert decided(tmp_path, (own, "rename", "Eve"), (cluster_name("k3"), "rename", "Max"))[1] == [cluster_name("k3")]


def test_a_decision_on_a_crop_follows_its_place_in_the_frame(tmp_path: Path) -> None:
    # Another detector finds three crops in another order, and one of them a little elsewhere.
    boxes = {
        "f-0000001-person-0": (100.0, 0.0, 200.0, 100.0),
        "f-0000001-person-1": (10.0, 0.0, 110.0, 100.0),
        "f-0000001-person-2": (110.0, 0.0, 210.0, 100.0),
        "f-0000002-person-0": (0.0, 0.0, 100.0, 100.0),
    }
    first, second, gone = (
        region_key("f-0000001-person-0", (0, 0, 100, 100)),
        region_key("f-0000001-person-1", (100, 0, 200, 100)),
        region_key("f-0000003-person-0", (0, 0, 100, 100)),
    )
    found, lost = find_crops([first, second, gone, "Ada"], boxes)
    assert found == {first: "f-0000001-person-1", second: "f-0000001-person-0"} and lost.keys() == {gone}

    table = pl.DataFrame(
        [{**dict.fromkeys(types(Crops)), "key": f"k{n}", **dict(zip(("x0", "y0", "x1", "y1"), box, strict=True))}
         for n, box in enumerate([(0, 0, 9, 9), (20, 0, 29, 9), (40, 0, 49, 9)])],
        schema=types(Crops),
    )  # fmt: skip
    table = table.with_columns(pl.col(pl.String).fill_null(""), pl.col(pl.Int64, pl.Float64, pl.UInt64).fill_null(1))
    write_table(table, Crops, tmp_path / "crops")
    target, other = region_key("k1", (21, 0, 30, 9)), region_key("k2", (0, 90, 9, 99))
    names, unmatched = decided(tmp_path, (target, "move", "Ada"), (other, "reject", ""), crops=[tmp_path / "crops"])
    assert names["k1"] == "Ada" and names["k2"] == cluster_name("k0") and unmatched == [other]


@pytest.mark.parametrize(
    "name", ["../x", "a,b", "a+b", "a\nb", "", " ", ".", "..", ".a", "a/b", "a\\b", "\0", "x" * 101, "a\u2028b", "no_character"]
)
def test_names_that_folders_and_captions_cannot_have_are_refused_with_their_line(name: str, tmp_path: Path) -> None:
    assert identity_fault(name)
    path = tmp_path / "identities.tsv"
    path.write_text(f'{HEADER}k\tmove\tAda\tBo\t2026-01-31\t\nc\trename\t"{name}"\tBo\t2026-01-31\t\n', newline="")
    with pytest.raises(TesseraError, match="line 3: to: "):
        read_identity_decisions(path)


def test_conflicts_are_refused_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "identities.tsv"
    lines = ["a\tmerge\tb", "b\tmerge\ta", "c\trename\tE", "d\trename\tE", "a\treject\t"]
    people = ["Bo", "Bo", "Bo", "Bo", "Ada"]
    path.write_text(HEADER + "".join(f"{line}\t{by}\t2026-01-31\t\n" for line, by in zip(lines, people, strict=True)))
    with pytest.raises(TesseraError) as error:
        read_identity_decisions(path)
    said = str(error.value)
    assert "line 5: line 4 also renames to 'E'" in said
    assert "line 6: 'a': Ada says reject, but Bo says merge b on line 2; agree" in said
    path.write_text(HEADER + "".join(f"{line}\tBo\t2026-01-31\t\n" for line in lines[:2]))
    with pytest.raises(TesseraError, match="is a circle"):
        read_identity_decisions(path)


def test_names_that_look_alike_are_refused_also_those_of_references(tmp_path: Path) -> None:
    path = tmp_path / "identities.tsv"
    names = ["Ada", "ADA", "Zo\u00eb", "Zoe\u0308", "Bo", "bo", "Bo"]
    path.write_text(HEADER + "".join(f"k{n}\tmove\t{name}\tBo\t2026-01-31\t\n" for n, name in enumerate(names)))
    with pytest.raises(TesseraError) as error:
        read_identity_decisions(path, ["bo", "Ida"])
    assert str(error.value).splitlines()[1:] == [
        "  line 3: to: 'ADA' looks like 'Ada' on line 2; write both alike",
        "  line 5: to: 'Zoe\\u0308' looks like 'Zo\\xeb' on line 4; write both alike",
        "  line 6: to: 'Bo' looks like 'bo' on line 7; write both alike",
    ]
    for name in ("Ada/coat/1.png", "Ada/Coat/2.png", "ida/1.png", "Ida/2.png", "Bo/ida/1.png"):
        (tmp_path / "references" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "references" / name).touch()
    with pytest.raises(TesseraError) as error:
        read_references(tmp_path / "references")
    assert "'Ada/coat': it looks like 'Ada/Coat'" in str(error.value)
    assert "'ida': it looks like 'Ida'" in str(error.value)
    assert "Bo" not in str(error.value)


def test_a_folder_of_references_without_pictures_says_what_to_add_and_one_picture_is_enough(tmp_path: Path) -> None:
    with pytest.raises(TesseraError, match=f"{tmp_path}.*there is no picture; add a folder of pictures for each identity"):
        read_references(tmp_path)
    (tmp_path / "Ada").mkdir()
    (tmp_path / "Ada" / "1.png").touch()
    assert [each.identity for each in read_references(tmp_path)] == ["Ada"]
    (tmp_path / "Bo").symlink_to(tmp_path / "Ada")
    with pytest.raises(TesseraError, match="'Bo': a link to a folder is not followed; copy it, or remove it"):
        read_references(tmp_path)


def test_a_folder_of_references_is_read_whole_or_refused(tmp_path: Path) -> None:
    for name in ("Ada/coat/red/1.png", "Noise 2/1.jpg"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    found = [(each.key, each.identity, each.appearance) for each in read_references(tmp_path)]
    assert found == [("Ada/coat/red/1.png", "Ada", "coat/red"), ("Noise 2/1.jpg", "", "")]
    (tmp_path / "Bo").mkdir()
    (tmp_path / "a,b").mkdir()
    (tmp_path / "a,b" / "1.png").touch()
    (tmp_path / "2.png").touch()
    with pytest.raises(TesseraError) as error:
        read_references(tmp_path)
    for part in (
        "'Bo': a folder without a picture; add some, or remove it",
        "'a,b': a name should not contain ,",
        "'2.png': put it into",
    ):
        assert part in str(error.value)


def test_the_cosines_of_all_pairs_are_those_of_each_pair_to_the_last_bit() -> None:
    vectors = l2_normalise(np.random.default_rng(0).standard_normal((40, 300)))
    ones, others = np.divmod(np.arange(40 * 40), 40)
    assert (all_cosines(vectors, vectors).ravel() == cosines(vectors[ones], vectors[others])).all()
