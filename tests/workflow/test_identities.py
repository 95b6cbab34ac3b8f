"""Identities in a real run: references, clusters and noise, decisions that cluster nothing again, and no adult source."""

import polars as pl
import pytest
from portraits import SHOWN, add_portraits, begin
from projects import Project

from tessera.core.ledger import read_ledger
from tessera.records.tables.identities import Identities
from tessera.records.tables.table import read_table

pytestmark = pytest.mark.workflow


def test_people_name_clusters_without_clustering_again_and_adult_sources_are_never_identified(project: Project) -> None:
    adult = {"content": "adult", "consent": "release 1", "adults_verified": "yes"}
    project.write_manifest([add_portraits(project, "one", SHOWN, 0), {**add_portraits(project, "two", SHOWN, 1), **adult}])
    begin(project)
    run = project.run("identities")
    assert run.returncode == 0, run.output
    table = project.results / "identities" / "identities.parquet"
    found = read_table(table, Identities).sort("key")
    assert found["source"].unique().to_list() == ["one"]
    number = found["key"].str.split("-").list.last().cast(pl.Int64)
    shown = {int(own): row for own, row in zip(number, found.to_dicts(), strict=True)}
    names = {photo: {shown[place]["identity"] for place, own in enumerate(SHOWN) if own == photo} for photo in SHOWN}
    assert names["astronaut"] == {"Ada"}
    assert {shown[place]["appearance"] for place in (0, 3, 6)} == {"orange suit"}
    assert names["rocket"] == names["retina"] == {""}
    (cat,), (cup,) = names["chelsea"], names["coffee"]
    assert cat.startswith("cluster_")
    assert cup.startswith("cluster_")
    assert cat != cup
    ledger = read_ledger(project.results / "identities" / "ledger.jsonl")
    assert {row["reason"] for row in ledger if row["key"].startswith("two-")} == {"adult source"}

    with (project.folder / "config" / "names.tsv").open("a") as names_given:
        names_given.write(f"{cat}\trename\tChelsea\tBo\t2026-01-31\t\n{cup}\treject\t\tBo\t2026-01-31\tno person\n")
    run = project.run("identities")
    assert run.returncode == 0, run.output
    assert sorted(job for job in run.jobs if job != "identities") == ["decide_identities", "show_identities"]
    assert dict(read_table(table, Identities)["identity"].value_counts().iter_rows()) == {"Ada": 3, "Chelsea": 3, "": 5}
    sheets = project.results / "reports" / "identities" / "sheets"
    assert {"Ada.html", "Chelsea.html"} < {path.name for path in sheets.iterdir()}
    assert "Chelsea" in (sheets.parent / "identities.html").read_text()

    project.settings["identities"]["sources"] = ["two"]
    run = project.run("identities", "--dry-run")
    assert run.returncode == 1
    assert "`identities.sources` names 'two', an adult source" in run.output
