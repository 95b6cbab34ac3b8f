"""Find who or what each crop shows."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tessera.core.errors import Dropped, Failed, TesseraError
from tessera.core.ledger import Ledger
from tessera.core.log import tell
from tessera.core.messages import pluralize
from tessera.extras.identities.admit import admit
from tessera.extras.identities.classify import Found, Group, classify
from tessera.extras.identities.clusters import find_clusters
from tessera.extras.identities.settings import IdentitySettings, ReferenceSettings
from tessera.learning.embedding.density import NONE
from tessera.records.identities import cluster_name, reference_of
from tessera.records.tables.crops import Crops
from tessera.records.tables.footage import Sources
from tessera.records.tables.identities import Identities
from tessera.records.tables.table import read_table, read_tables, types, write_table
from tessera.records.vectors import read_vectors


def identify_crops(
    crops: Sequence[Path],
    vectors: Sequence[Path],
    references: Path | None,
    sources: Path,
    settings: IdentitySettings,
    *,
    table: Path,
    ledger: Path,
) -> None:
    """Write the identity of each crop before any decision (`tables.Identities`), sorted by key.

    `crops`, `vectors`: files of `tables.Crops`, and of `tables.Embeddings` of these crops. `references`: `tables.Embeddings` of
    the reference pictures, whose keys are their paths. `sources`: `tables.Sources`. Only crops of the step in `settings` and of
    sources that `admit` accepts are compared; the vectors of others are not even taken from the tables. Crops that references
    do not decide are clustered within their series. A cluster is named after its medoid, and its identity is called the same.

    `ledger` gets one row per crop of the step. Neither the order of the tables nor their division into shards matters. Raises
    `TesseraError` if vectors differ in length.
    """
    stated = read_table(sources, Sources)
    contents = dict(stated.select("source", "content").iter_rows())
    series = dict(stated.select("source", "series").iter_rows())
    listed = read_tables(list(crops), Crops).filter(step=settings.step).sort("key")
    left_out: dict[str, Dropped] = {}
    for key, source in listed.select("key", "source").iter_rows():
        try:
            admit(source, contents, settings.sources)
        except Dropped as error:
            left_out[key] = error
    known = read_vectors(vectors, [key for key in listed["key"] if key not in left_out])
    for key in listed["key"]:
        if key not in left_out and key not in known:
            left_out[key] = Failed("no vector", "it could not be embedded; see the ledger of its embedding")
    rows = [
        {"key": row["key"], "source": row["source"], "frame": row["frame"], "series": series[row["source"]]}
        for row in listed.filter(~pl.col("key").is_in(list(left_out))).iter_rows(named=True)
    ]
    pictured = read_vectors([references] if references else [], None)
    lengths = {len(vector) for vector in (*known.values(), *pictured.values())}
    if len(lengths) > 1:
        raise TesseraError(f"vectors have {sorted(lengths)} numbers; delete the folder results/embeddings and run again")
    _by_references(rows, known, pictured, settings.references)
    _by_clusters(rows, known, settings)
    with Ledger(ledger) as entries:
        origins = {row["key"]: row["origin"] for row in rows}
        for key in listed["key"]:
            if why := left_out.get(key):
                entries.row(key, "failed" if isinstance(why, Failed) else "dropped", why.reason, why.detail)
            elif origins[key] == "noise":
                entries.row(key, "dropped", "noise", "it is like no cluster, or like the references of noise")
            else:
                entries.row(key, "ok")
    write_table(pl.DataFrame(rows, schema=types(Identities)), Identities, table)
    names = {row["identity"] for row in rows} - {""}
    tell(f"{pluralize(len(names), 'names')} of {pluralize(len(rows), 'crops')}")


def _by_references(
    rows: Sequence[dict[str, Any]],
    known: Mapping[str, np.ndarray],
    pictured: Mapping[str, np.ndarray],
    settings: ReferenceSettings | None,
) -> None:
    """Decide those of `rows` that are like the reference pictures."""
    if settings is None or not pictured or not rows:
        return
    keys = sorted(pictured, key=lambda key: (reference_of(key).identity, reference_of(key).appearance, key))
    parts = [(reference_of(key).identity, reference_of(key).appearance) for key in keys]
    groups = [
        Group(part[0], part[1], tuple(index for index, _ in members))
        for part, members in groupby(enumerate(parts), key=lambda each: each[1])
    ]
    vectors = [pictured[key] for key in keys]
    _decide(rows, known, vectors, groups, settings)
    rest = [row for row in rows if "origin" not in row]
    if settings.add and rest:
        _add_crops(rows, known, vectors, groups, settings.add)
        _decide(rest, known, vectors, groups, settings)


def _decide(
    rows: Sequence[dict[str, Any]],
    known: Mapping[str, np.ndarray],
    references: Sequence[np.ndarray],
    groups: Sequence[Group],
    settings: ReferenceSettings,
) -> None:
    """Decide those of `rows` that are like the pictures of one of `groups`, places in `references`."""
    decided: Found = classify(np.stack([known[row["key"]] for row in rows]), np.stack(references), groups)
    for row, number, similarity, certainty in zip(rows, *map(np.ndarray.tolist, decided), strict=True):
        if similarity >= settings.similarity and certainty >= settings.certainty:
            group = groups[number]
            row |= {"cluster": "", "identity": group.identity, "appearance": group.appearance, "certainty": certainty}
            row["origin"] = "reference" if group.identity else "noise"


def _add_crops(
    rows: Sequence[dict[str, Any]],
    known: Mapping[str, np.ndarray],
    references: list[np.ndarray],
    groups: list[Group],
    count: int,
) -> None:
    """Add the `count` most certain of the decided `rows` of each identity and appearance to `references` and `groups`."""
    for number, group in enumerate(groups):
        is_own = {"origin": "reference", "identity": group.identity, "appearance": group.appearance}
        crops = sorted((row for row in rows if is_own.items() <= row.items()), key=lambda row: (-row["certainty"], row["key"]))
        indices = range(len(references), len(references) + len(crops[:count]))
        references += [known[row["key"]] for row in crops[:count]]
        groups[number] = group._replace(indices=(*group.indices, *indices))


def _by_clusters(rows: Sequence[dict[str, Any]], known: Mapping[str, np.ndarray], settings: IdentitySettings) -> None:
    """Decide the rest of `rows`, which are sorted by key: one series after another."""
    rest: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if "origin" not in row:
            rest.setdefault(row["series"], []).append(row)
    for _, of_series in sorted(rest.items()):
        clusters = find_clusters(np.stack([known[row["key"]] for row in of_series]), settings.clusters)
        names = [cluster_name(of_series[index]["key"]) for index in clusters.medoids.tolist()]
        for row, label, certainty in zip(of_series, clusters.labels.tolist(), clusters.certainty.tolist(), strict=True):
            name = "" if label == NONE else names[label]
            row |= {"cluster": name, "identity": name, "appearance": "", "certainty": certainty}
            row["origin"] = "cluster" if name else "noise"
