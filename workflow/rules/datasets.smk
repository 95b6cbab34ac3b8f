# The rules that all datasets have in common: gates, splits by source, datasheets, checksums and descriptions in Croissant.

from tessera.catalogue import PICTURES, sets_of, settings_of
from tessera.workflow.code import digest_of_script
from tessera.workflow.datasets import divided_sources
from tessera.workflow.embeddings import tables_of_duplicates
from tessera.workflow.gates import gates, ledgers_of_gate, steps_of_gate
from tessera.workflow.labels import labelled_images
from tessera.workflow.project import any_of, literal_param, project_of

project = project_of(config)


rule check_gate:
    input:
        ledgers=project.of_job(ledgers_of_gate),
    output:
        summary="<results>/gates/{gate}.json",
    log:
        "<logs>/check_gate/{gate}.log",
    benchmark:
        "<benchmarks>/check_gate/{gate}.jsonl"
    wildcard_constraints:
        gate=any_of(gates(project)),
    localrule: True
    params:
        steps=project.of_job(steps_of_gate),
        max_failed=lookup(dpath="gates/{gate}", within=config),
        code=digest_of_script("check_gate"),
    script:
        "../scripts/check_gate.py"


# For all datasets together, so that a source that validates one model trains no other.
rule divide_sources:
    input:
        sources="<results>/sources/admitted.parquet",
        labelled=project.of_job(labelled_images),
        frames=expand("<results>/frames/{shard}/frames.parquet", shard=project.shards),
        duplicates=tables_of_duplicates(project),
    output:
        splits="<results>/datasets/splits.parquet",
    log:
        "<logs>/divide_sources.log",
    benchmark:
        "<benchmarks>/divide_sources.jsonl"
    params:
        # In the order of the manifest, so that a source appended to it moves no earlier one.
        order=literal_param(divided_sources(project)),
        settings=lookup(dpath="splits", within=config),
        code=digest_of_script("divide_sources"),
    script:
        "../scripts/divide_sources.py"


rule assign_samples:
    input:
        samples=project.of_dataset(
            lambda dataset: f"<results>/selections/{dataset.name}/{dataset.layout.table}"
        ),
        sources="<results>/datasets/splits.parquet",
    output:
        splits="<results>/datasets/{dataset}/splits.parquet",
    log:
        "<logs>/assign_samples/{dataset}.log",
    benchmark:
        "<benchmarks>/assign_samples/{dataset}.jsonl"
    params:
        settings=lookup(dpath="splits", within=config),
        needed=project.of_dataset(lambda dataset: dataset.layout.needs),
        code=digest_of_script("assign_samples"),
    script:
        "../scripts/assign_samples.py"


rule write_plain_datasheet:
    input:
        splits="<results>/datasets/{dataset}/splits.parquet",
        sources="<results>/sources/admitted.parquet",
        pictures=project.of_dataset(
            lambda dataset: (
                f"<results>/datasets/{dataset.name}/pictures.parquet"
                if dataset.layout == PICTURES
                else []
            )
        ),
    output:
        data="<results>/datasets/{dataset}/datasheet.json",
        text="<results>/datasets/{dataset}/datasheet.md",
    log:
        "<logs>/write_plain_datasheet/{dataset}.log",
    benchmark:
        "<benchmarks>/write_plain_datasheet/{dataset}.jsonl"
    wildcard_constraints:
        dataset=project.datasets_described_by("write_plain_datasheet"),
    params:
        samples=project.of_dataset(lambda dataset: dataset.layout.samples),
        settings=project.of_dataset(lambda dataset: settings_of(dataset, config)),
        sets=project.of_dataset(lambda dataset: sets_of(dataset, config)),
        code=digest_of_script("write_plain_datasheet"),
    script:
        "../scripts/write_plain_datasheet.py"


rule checksum_dataset:
    input:
        folders=project.of_dataset(
            lambda dataset: expand(
                "<results>/datasets/{dataset}/{folder}",
                dataset=dataset.name,
                folder=dataset.layout.folders,
            )
        ),
        files=project.of_dataset(
            lambda dataset: expand(
                "<results>/datasets/{dataset}/{file}",
                dataset=dataset.name,
                file=[
                    *dataset.layout.files,
                    "splits.parquet",
                    "datasheet.json",
                    "datasheet.md",
                ],
            )
        ),
    output:
        checksums="<results>/datasets/{dataset}/SHA256SUMS",
    log:
        "<logs>/checksum_dataset/{dataset}.log",
    benchmark:
        "<benchmarks>/checksum_dataset/{dataset}.jsonl"
    params:
        pattern=project.of_dataset(lambda dataset: dataset.layout.pattern),
        code=digest_of_script("checksum_dataset"),
    script:
        "../scripts/checksum_dataset.py"


# It comes after the checksums, and they do not cover it, so that a new date of publication trains nothing again.
rule write_croissant:
    input:
        checksums="<results>/datasets/{dataset}/SHA256SUMS",
        datasheet="<results>/datasets/{dataset}/datasheet.json",
    output:
        croissant="<results>/datasets/{dataset}/croissant.json",
    log:
        "<logs>/write_croissant/{dataset}.log",
    benchmark:
        "<benchmarks>/write_croissant/{dataset}.jsonl"
    params:
        description=project.of_dataset(
            lambda dataset: dataset.description.replace("``", "`")
        ),
        settings=lookup(dpath="croissant", within=config),
        code=digest_of_script("write_croissant"),
    script:
        "../scripts/write_croissant.py"
