# Sources: examine each shard on its own, so that a new source reruns no other shard.

import os
import re

from tessera.catalogue import all_datasets, all_models, sets_of
from tessera.core.definitions import code_digest


rule admit_sources:
    input:
        files=compared_files,
        blocklist=lookup(dpath="sources/blocklist", within=config),
    output:
        table="<results>/sources/shards/{shard}/sources.parquet",
        files="<results>/sources/shards/{shard}/files.parquet",
        report="<results>/sources/shards/{shard}/report.json",
        ledger="<results>/sources/shards/{shard}/ledger.jsonl",
    log:
        "<logs>/admit_sources/{shard}.log",
    benchmark:
        "<benchmarks>/admit_sources/{shard}.jsonl"
    params:
        rows=shard_rows,
        settings=lookup(dpath="sources", within=config),
        code=code_digest("tessera.stages.footage.admission:admit_sources"),
    script:
        "../scripts/admit_sources.py"


def gathered_sources(wildcards):
    """Return the ids of all sources in the order of the manifest, if there is anything to make.

    An input function could not check this: with results that need its job, Snakemake hides its errors.
    """
    footage_or_images(wildcards)
    return source_order(wildcards)


rule gather_sources:
    input:
        tables=expand("<results>/sources/shards/{shard}/sources.parquet", shard=SHARDS),
        ledgers=expand("<results>/sources/shards/{shard}/ledger.jsonl", shard=SHARDS),
    output:
        table="<results>/sources/sources.parquet",
        ledger="<results>/sources/ledger.jsonl",
        refused="<results>/sources/refused.tsv",
    log:
        "<logs>/gather_sources.log",
    benchmark:
        "<benchmarks>/gather_sources.jsonl"
    localrule: True
    params:
        order=gathered_sources,
        code=code_digest("tessera.stages.footage.admission:gather_sources"),
    script:
        "../scripts/gather_sources.py"


rule gate_sources:
    input:
        table="<results>/sources/sources.parquet",
        ledger="<results>/sources/ledger.jsonl",
    output:
        admitted="<results>/sources/admitted.parquet",
        summary="<results>/gates/sources.json",
    log:
        "<logs>/gate_sources.log",
    benchmark:
        "<benchmarks>/gate_sources.jsonl"
    localrule: True
    params:
        max_failed=lookup(dpath="gates/sources", within=config),
        code=code_digest("tessera.stages.footage.admission:gate_sources"),
    script:
        "../scripts/gate_sources.py"


def made_by_name(wildcard, name):
    """Return the folders and files of outputs in which `name` takes the place of `wildcard`; {shard} gives those of a shard."""
    outputs = [output for rule in workflow.rules for output in rule.output]
    # Snakemake adds the pattern of a wildcard to the paths: {shard,[^/]+}.
    pattern = rf"(.*?)\{{{wildcard}(?:,[^{{}}]*)?\}}([^/]*)"
    matches = [re.match(pattern, output) for output in outputs]
    return sorted({f"{match[1]}{name}{match[2]}" for match in matches if match})


def folders_of_shards(wildcards):
    """Return all folders of outputs that contain one folder per shard."""
    return [os.path.dirname(folder) for folder in made_by_name("shard", "one")]


def known_sources(wildcards):
    """Return the ids of all sources: those in the manifest, and the sets of images that the settings name."""
    sets = [
        prefix
        for dataset in all_datasets(config)
        for prefix in sets_of(dataset, config)
    ]
    return [*source_order(wildcards), *sets]


def switched_off_rooms(results):
    """Return what there is of crops, their vectors, tags and identities that these settings do not make, by their ledgers."""
    found = {}
    for room, is_made in (
        ("crops", config["crops"]["steps"]),
        ("tags", config["tagger"]),
    ):
        for ledger in [] if is_made else glob(f"{results}/{room}/*/ledger.jsonl"):
            found[ledger] = [
                f"{results}/{room}/{room}.parquet",
                os.path.dirname(ledger),
            ]
    for ledger in glob(f"{results}/embeddings/crops/*/*.jsonl"):
        folder, name = os.path.dirname(ledger), Path(ledger).stem
        if name not in config["embeddings"] or not config["embeddings"][name]["crops"]:
            found[ledger] = [
                f"{folder}/kept/{name}",
                f"{folder}/{name}.parquet",
                ledger,
            ]
    if not config["identities"]:
        folder = f"{results}/identities"
        found[f"{folder}/ledger.jsonl"] = [f"{results}/reports/identities", folder]
    return dict(sorted(found.items()))


def switched_off(wildcards):
    """Return what there is of each dataset and model that these settings do not make, by what lists its sources."""
    results = workflow.pathvars.apply("<results>")
    # Also those that the settings name no longer, such as an image set of a series whose sources are gone.
    written = {
        Path(file).parent.name for file in glob(f"{results}/datasets/*/splits.parquet")
    }
    datasets = {dataset.name for dataset in all_datasets(config)} | written
    return {
        **{
            f"{results}/datasets/{dataset}/splits.parquet": made_by_name(
                "dataset", dataset
            )
            for dataset in sorted(datasets.difference(DATASETS))
        },
        **{
            f"{results}/training/{model.name}": made_by_name("model", model.name)
            for model in all_models(config)
            if model.name not in MODELS
        },
        **switched_off_rooms(results),
    }


def made_datasets(wildcards):
    """Return the folders and files of each dataset that these settings make, by the table of its splits."""
    results = workflow.pathvars.apply("<results>")
    return {
        f"{results}/datasets/{dataset}/splits.parquet": made_by_name("dataset", dataset)
        for dataset in sorted(DATASETS)
    }


rule remove_withdrawn:
    output:
        withdrawn="<results>/sources/withdrawn.tsv",
    log:
        "<logs>/remove_withdrawn.log",
    benchmark:
        "<benchmarks>/remove_withdrawn.jsonl"
    localrule: True
    params:
        shards=list(SHARDS),
        folders=folders_of_shards,
        trainings=workflow.pathvars.apply("<results>/training"),
        sources=known_sources,
        switched_off=switched_off,
        made=made_datasets,
        embeddings=list(config["embeddings"]),
        embedding_folders=[
            workflow.pathvars.apply("<results>/near_duplicates"),
            workflow.pathvars.apply("<results>/reports/near_duplicates"),
        ],
        code=code_digest("tessera.stages.footage.withdrawal:remove_withdrawn"),
    script:
        "../scripts/remove_withdrawn.py"
