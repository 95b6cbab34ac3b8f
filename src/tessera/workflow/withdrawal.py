"""What earlier runs made of sources, datasets and models that the project no longer has."""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tessera.catalogue import all_datasets, all_models, sets_of
from tessera.core.ledger import read_ledger
from tessera.workflow.face_sets import refused_face_sets, refused_faces
from tessera.workflow.project import Project, Wildcards
from tessera.workflow.sources import missing_sources, source_order

# Every target makes these lists of what was removed, because its source is no longer in the manifest or it is refused.
WITHDRAWN = ["<results>/sources/withdrawn.tsv", "<results>/previews/withdrawn.tsv"]
PAGES = ("reports/report.html", "review/items.parquet")  # what shows the faces of all sets


def _outputs_with(workflow: Any, wildcard: str, name: str) -> list[str]:
    """Return the folders and files of outputs in which `name` takes the place of `wildcard`; {shard} gives those of a shard."""
    outputs: Iterable[str] = (output for rule in workflow.rules for output in rule.output)
    # Snakemake adds the pattern of a wildcard to the paths: {shard,[^/]+}.
    pattern = rf"(.*?)\{{{wildcard}(?:,[^{{}}]*)?\}}([^/]*)"
    matches = [re.match(pattern, output) for output in outputs]
    return sorted({f"{match[1]}{name}{match[2]}" for match in matches if match})


def folders_of_shards(project: Project, wildcards: Wildcards, workflow: Any) -> list[str]:
    """Return all folders of outputs that contain one folder per shard. `workflow`: the object of Snakemake."""
    return [str(Path(folder).parent) for folder in _outputs_with(workflow, "shard", "one")]


def current_shards(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the shards, and those of earlier runs whose sources are all missing now: they may be in other shards until then.

    Nothing of them is used, but it is there when the disk is.
    """
    missing = missing_sources(project).keys()
    ledgers = Path(project.results).glob("sources/shards/*/ledger.jsonl") if missing else ()
    unreachable = {ledger.parent.name for ledger in ledgers if missing >= {row["key"] for row in read_ledger(ledger)}}
    return sorted(unreachable.union(project.shards))


def known_sources(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the ids of all sources: those in the manifest, and the sets of images that the settings name."""
    sets = [prefix for dataset in all_datasets(project.config) for prefix in sets_of(dataset, project.config)]
    return [*source_order(project, wildcards), *sets]


def _switched_off_extras(project: Project) -> dict[str, list[str]]:
    """Return what there is of crops, their vectors, tags and identities that the settings do not make, by their ledgers."""
    config, results = project.config, Path(project.results)
    results_by_ledger = {}
    for name, is_made in (("crops", config["crops"]["steps"]), ("tags", config["tagger"])):
        for ledger in [] if is_made else results.glob(f"{name}/*/ledger.jsonl"):
            results_by_ledger[str(ledger)] = [f"{results}/{name}/{name}.parquet", str(ledger.parent)]
    for ledger in results.glob("embeddings/crops/*/*.jsonl"):
        folder, name = ledger.parent, ledger.stem
        if name not in config["embeddings"] or not config["embeddings"][name]["crops"]:
            results_by_ledger[str(ledger)] = [f"{folder}/kept/{name}", f"{folder}/{name}.parquet", str(ledger)]
    if not config["identities"]:
        results_by_ledger[f"{results}/identities/ledger.jsonl"] = [f"{results}/reports/identities", f"{results}/identities"]
    return dict(sorted(results_by_ledger.items()))


def switched_off(project: Project, wildcards: Wildcards, workflow: Any) -> dict[str, list[str]]:
    """Return what there is of each dataset and model that the settings do not make, by what lists its sources."""
    config, results = project.config, project.results
    # Also those that the settings name no longer, such as an image set of a series whose sources are gone.
    written = {file.parent.name for file in Path(results).glob("datasets/*/splits.parquet")}
    datasets = {dataset.name for dataset in all_datasets(config)} | written
    models = [model.name for model in all_models(config) if model.name not in project.models]
    return {
        **_datasets(project, workflow, datasets.difference(project.datasets)),
        **{f"{results}/training/{model}": _outputs_with(workflow, "model", model) for model in models},
        **_switched_off_extras(project),
    }


def refused_results(project: Project, wildcards: Wildcards, workflow: Any) -> dict[str, int]:
    """Return what there is of face sets whose consent has ended, or that the settings name no longer, with the time of each.

    The pages that show all faces come first, if there is something else: they are not found again after it. What was made again
    after it was removed has another time, so that the job that removes it runs again.
    """
    sets = [path for name in refused_face_sets(project) for path in _outputs_with(workflow, "dataset", name)]
    found = [path for path in (*refused_faces(project), *sets) if os.path.lexists(path)]
    pages = [path for page in PAGES if found and os.path.lexists(path := f"{project.results}/{page}")]
    return {path: os.lstat(path).st_mtime_ns for path in (*pages, *found)}


def results_of_datasets(project: Project, wildcards: Wildcards, workflow: Any) -> dict[str, list[str]]:
    """Return the folders and files of each dataset that the settings make, by the table of its splits."""
    return _datasets(project, workflow, project.datasets)


def _datasets(project: Project, workflow: Any, names: Iterable[str]) -> dict[str, list[str]]:
    return {
        f"{project.results}/datasets/{name}/splits.parquet": _outputs_with(workflow, "dataset", name) for name in sorted(names)
    }
