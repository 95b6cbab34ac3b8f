# Datasets: from everything that is labelled to exactly what a trainer reads, with a datasheet and checksums.


def ledgers_of_room(wildcards):
    """Return the ledgers that the gate of a room judges."""
    of_shards = {
        "frames": "<results>/frames/{shard}/ledger.jsonl",
        "labels": "<results>/annotations/frames/{shard}/ledger.jsonl",
    }
    of_labels = "<results>/annotations/labels/{name}/ledger.jsonl"
    return [
        *expand(of_shards[wildcards.room], shard=SHARDS),
        *(expand(of_labels, name=LABELS) if wildcards.room == "labels" else []),
    ]


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
        room="frames|labels",
    params:
        max_failed=lookup(dpath="gates/{room}", within=config),
        code=code_digest("tessera.ledger"),
    script:
        "../scripts/gate_room.py"


rule select_samples:
    input:
        images=[
            *expand("<results>/annotations/labels/{name}/images.parquet", name=LABELS),
            *expand(
                "<results>/annotations/frames/{shard}/images.parquet", shard=SHARDS
            ),
        ],
        annotations=[
            *expand(
                "<results>/annotations/labels/{name}/annotations.parquet", name=LABELS
            ),
            *expand(
                "<results>/annotations/frames/{shard}/annotations.parquet",
                shard=SHARDS,
            ),
        ],
        duplicates="<results>/duplicates/duplicates.parquet",
        sources="<results>/sources/admitted.parquet",
        gates=expand("<results>/gates/{room}.json", room=["frames", "labels"]),
    output:
        images="<results>/annotations/{dataset}/images.parquet",
        annotations="<results>/annotations/{dataset}/annotations.parquet",
        ledger="<results>/annotations/{dataset}/ledger.jsonl",
    log:
        "<logs>/select_samples/{dataset}.log",
    benchmark:
        "<benchmarks>/select_samples/{dataset}.jsonl"
    params:
        code=code_digest("tessera.annotations.dataset"),
    script:
        "../scripts/select_samples.py"


rule split_samples:
    input:
        samples="<results>/annotations/{dataset}/images.parquet",
        candidates=rules.select_samples.input.images,
        duplicates="<results>/duplicates/duplicates.parquet",
    output:
        splits="<results>/datasets/{dataset}/splits.parquet",
    log:
        "<logs>/split_samples/{dataset}.log",
    benchmark:
        "<benchmarks>/split_samples/{dataset}.jsonl"
    params:
        # In the order in which they came: what is appended moves nothing that was there.
        order=[
            *(
                f"labels:{folder['name']}"
                for folder in config["annotations"]["labels"]
            ),
            *(source.source for source in SOURCES),
        ],
        settings=lookup(dpath="splits", within=config),
        code=code_digest("tessera.splits"),
    script:
        "../scripts/split_samples.py"


rule write_yolo_dataset:
    input:
        images="<results>/annotations/{dataset}/images.parquet",
        annotations="<results>/annotations/{dataset}/annotations.parquet",
        splits="<results>/datasets/{dataset}/splits.parquet",
        pictures=[
            *expand("<results>/annotations/labels/{name}/embedded", name=LABELS),
            *expand("<results>/annotations/frames/{shard}/unsampled", shard=SHARDS),
            *expand("<results>/frames/{shard}/images", shard=SHARDS),
        ],
    output:
        images=directory("<results>/datasets/{dataset}/images"),
        labels=directory("<results>/datasets/{dataset}/labels"),
        description="<results>/datasets/{dataset}/dataset.yaml",
        ledger="<results>/datasets/{dataset}/ledger.jsonl",
    log:
        "<logs>/write_yolo_dataset/{dataset}.log",
    benchmark:
        "<benchmarks>/write_yolo_dataset/{dataset}.jsonl"
    params:
        classes=lookup(dpath="annotations/classes", within=config),
        task="segment",
        code=code_digest("tessera.annotations.dataset"),
    script:
        "../scripts/write_yolo_dataset.py"


rule write_datasheet:
    input:
        images="<results>/annotations/{dataset}/images.parquet",
        annotations="<results>/annotations/{dataset}/annotations.parquet",
        splits="<results>/datasets/{dataset}/splits.parquet",
        sources="<results>/sources/admitted.parquet",
        selection="<results>/annotations/{dataset}/ledger.jsonl",
        writing="<results>/datasets/{dataset}/ledger.jsonl",
    output:
        data="<results>/datasets/{dataset}/datasheet.json",
        text="<results>/datasets/{dataset}/datasheet.md",
    log:
        "<logs>/write_datasheet/{dataset}.log",
    benchmark:
        "<benchmarks>/write_datasheet/{dataset}.jsonl"
    params:
        settings={
            room: config[room]
            for room in ("sources", "frames", "duplicates", "annotations", "splits")
        },
        code=code_digest("tessera.datasheets"),
    script:
        "../scripts/write_datasheet.py"


rule checksum_dataset:
    input:
        folders=[
            "<results>/datasets/{dataset}/images",
            "<results>/datasets/{dataset}/labels",
        ],
        files=[
            "<results>/datasets/{dataset}/dataset.yaml",
            "<results>/datasets/{dataset}/ledger.jsonl",
            "<results>/datasets/{dataset}/splits.parquet",
            "<results>/datasets/{dataset}/datasheet.json",
            "<results>/datasets/{dataset}/datasheet.md",
        ],
    output:
        checksums="<results>/datasets/{dataset}/SHA256SUMS",
    log:
        "<logs>/checksum_dataset/{dataset}.log",
    benchmark:
        "<benchmarks>/checksum_dataset/{dataset}.jsonl"
    params:
        code=code_digest("tessera.provenance"),
    script:
        "../scripts/checksum_dataset.py"
