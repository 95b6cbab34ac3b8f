# The rules that all datasets have in common: gates, splits by source, datasheets, checksums and descriptions in Croissant.

from tessera.catalogue import PICTURES, sets_of, settings_of
from tessera.core.definitions import code_digest


def tables_of_duplicates(wildcards):
    """Return the tables of near-duplicates that are left out: by hash, and by those embeddings that the settings name."""
    return [
        "<results>/duplicates/duplicates.parquet",
        *expand(
            "<results>/near_duplicates/{embedding}/near_duplicates.parquet",
            embedding=config["duplicates"]["embeddings"],
        ),
    ]


def ledgers_of_room(wildcards):
    """Return the ledgers that the gate of a room checks."""
    return [
        ledger for _, ledgers in GATES[wildcards.room].values() for ledger in ledgers
    ]


def steps_of_room(wildcards):
    """Return the unit of each step of a room, and the number of its ledgers."""
    return {
        step: {"unit": unit, "ledgers": len(ledgers)}
        for step, (unit, ledgers) in GATES[wildcards.room].items()
    }


rule gate_room:
    input:
        ledgers=ledgers_of_room,
    output:
        summary="<results>/gates/{room}.json",
    log:
        "<logs>/gate_room/{room}.log",
    benchmark:
        "<benchmarks>/gate_room/{room}.jsonl"
    wildcard_constraints:
        room=any_of(GATES),
    localrule: True
    params:
        steps=steps_of_room,
        max_failed=lookup(dpath="gates/{room}", within=config),
        code=code_digest("tessera.core.ledger:gate", "tessera.core.ledger:described"),
    script:
        "../scripts/gate_room.py"


# For all datasets together, so that a source that validates one model trains no other.
rule divide_sources:
    input:
        sources="<results>/sources/admitted.parquet",
        labelled=labelled_images,
        frames=expand("<results>/frames/{shard}/frames.parquet", shard=SHARDS),
        duplicates=tables_of_duplicates,
    output:
        splits="<results>/datasets/splits.parquet",
    log:
        "<logs>/divide_sources.log",
    benchmark:
        "<benchmarks>/divide_sources.jsonl"
    params:
        # In the order of the manifest, so that a source appended to it moves no earlier one.
        order=verbatim(
            [
                *(
                    each.source
                    for each in LABELS.values()
                    if each.dataset in WITHOUT_DUPLICATES
                ),
                *(source.source for source in SOURCES),
            ]
        ),
        settings=lookup(dpath="splits", within=config),
        code=code_digest("tessera.stages.datasets.splits:divide_sources"),
    script:
        "../scripts/divide_sources.py"


rule split_samples:
    input:
        samples=of_dataset(
            lambda dataset: f"<results>/selections/{dataset.name}/{dataset.layout.table}"
        ),
        sources="<results>/datasets/splits.parquet",
    output:
        splits="<results>/datasets/{dataset}/splits.parquet",
    log:
        "<logs>/split_samples/{dataset}.log",
    benchmark:
        "<benchmarks>/split_samples/{dataset}.jsonl"
    params:
        settings=lookup(dpath="splits", within=config),
        needed=of_dataset(lambda dataset: dataset.layout.needs),
        code=code_digest(
            "tessera.stages.datasets.splits:split_samples",
            "tessera.records.tables.annotation:Images",
        ),
    script:
        "../scripts/split_samples.py"


# For layouts whose rules write no datasheet. Rules that write one go before this rule with `ruleorder`.
rule write_plain_datasheet:
    input:
        splits="<results>/datasets/{dataset}/splits.parquet",
        sources="<results>/sources/admitted.parquet",
        pictures=of_dataset(
            lambda dataset: expand(
                "<results>/datasets/{dataset}/pictures.parquet",
                dataset=[dataset.name] if dataset.layout == PICTURES else [],
            )
        ),
    output:
        data="<results>/datasets/{dataset}/datasheet.json",
        text="<results>/datasets/{dataset}/datasheet.md",
    log:
        "<logs>/write_plain_datasheet/{dataset}.log",
    benchmark:
        "<benchmarks>/write_plain_datasheet/{dataset}.jsonl"
    params:
        samples=of_dataset(lambda dataset: dataset.layout.samples),
        settings=of_dataset(lambda dataset: settings_of(dataset, config)),
        sets=of_dataset(lambda dataset: sets_of(dataset, config)),
        code=code_digest("tessera.stages.datasets.datasheets:write_plain_datasheet"),
    script:
        "../scripts/write_plain_datasheet.py"


rule checksum_dataset:
    input:
        folders=of_dataset(
            lambda dataset: expand(
                "<results>/datasets/{dataset}/{folder}",
                dataset=dataset.name,
                folder=dataset.layout.folders,
            )
        ),
        files=of_dataset(
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
        pattern=of_dataset(lambda dataset: dataset.layout.pattern),
        code=code_digest("tessera.core.provenance:write_checksums"),
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
        description=of_dataset(lambda dataset: dataset.story.replace("``", "`")),
        settings=lookup(dpath="croissant", within=config),
        code=code_digest("tessera.stages.datasets.croissant:write_croissant"),
    script:
        "../scripts/write_croissant.py"
