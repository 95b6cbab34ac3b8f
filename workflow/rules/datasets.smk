# Datasets: from everything that is labelled to exactly what a trainer reads, with a datasheet and checksums.

from tessera.pipeline.detectors.settings import task_of

# Where the samples of each dataset come from: folders with the tables of its images and their annotations,
SAMPLES = {
    "nsfw_detection": [
        *expand("<results>/annotations/labels/{name}", name=LABELS),
        *expand("<results>/annotations/frames/{shard}", shard=LABELLED),
    ],
    "watermark_detection": [
        *expand("<results>/watermarks/sets/{name}", name=WATERMARK_SETS),
        *expand("<results>/watermarks/frames/{shard}", shard=SHARDS),
    ],
    "mosaic_detection": expand("<results>/mosaics/{shard}", shard=SHARDS),
}
# and those with the images themselves.
PICTURES = {
    "nsfw_detection": [
        *expand("<results>/annotations/labels/{name}/embedded", name=LABELS),
        *expand("<results>/annotations/frames/{shard}/unsampled", shard=LABELLED),
        *expand("<results>/frames/{shard}/images", shard=SHARDS),
    ],
    "watermark_detection": [
        f"{folder}/images" for folder in SAMPLES["watermark_detection"]
    ],
    "mosaic_detection": [f"{folder}/images" for folder in SAMPLES["mosaic_detection"]],
}
# What tells which samples look the same, so that one stays. Not of watermarks: each frame has others drawn over it, and it is
# the frames that were compared.
DUPLICATES = {
    dataset: "<results>/duplicates/duplicates.parquet"
    for dataset in ("nsfw_detection", "mosaic_detection")
}
# What is in the way of a dataset where too much of it failed: the steps in each room, and their ledgers.
ROOMS = {
    "frames": {
        "sampling": expand("<results>/frames/{shard}/ledger.jsonl", shard=SHARDS),
    },
    "labels": {
        "labels of frames": expand(
            "<results>/annotations/frames/{shard}/ledger.jsonl", shard=LABELLED
        ),
        "labels in folders": expand(
            "<results>/annotations/labels/{name}/ledger.jsonl", name=LABELS
        ),
    },
    "watermarks": {
        "drawn marks": expand(
            "<results>/watermarks/frames/{shard}/ledger.jsonl", shard=SHARDS
        ),
        "imported marks": expand(
            "<results>/watermarks/sets/{name}/ledger.jsonl", name=WATERMARK_SETS
        ),
    },
    "regions": {
        "what detectors saw": expand(
            "<results>/regions/{shard}/detections.jsonl", shard=SHARDS
        ),
        "choosing frames": expand(
            "<results>/regions/{shard}/ledger.jsonl", shard=SHARDS
        ),
    },
    "mosaics": {
        "mosaics": expand("<results>/mosaics/{shard}/mosaics.jsonl", shard=SHARDS),
        "pixelating": expand("<results>/mosaics/{shard}/ledger.jsonl", shard=SHARDS),
        "reading masks": expand("<results>/mosaics/{shard}/masks.jsonl", shard=SHARDS),
    },
    "scenes": {
        "detecting": expand("<results>/scenes/{shard}/detections.jsonl", shard=SHARDS),
        "following": expand("<results>/scenes/{shard}/scenes.jsonl", shard=SHARDS),
    },
    "clips": {
        "cutting": expand("<results>/clips/{shard}/ledger.jsonl", shard=SHARDS),
        "scoring": expand("<results>/clips/{shard}/scores.jsonl", shard=SHARDS),
    },
}
CLASSES = {
    "nsfw_detection": config["annotations"]["classes"],
    "watermark_detection": ["watermark"],
    "mosaic_detection": (
        ["nsfw", "sfw"] if {"face", "head"} & set(FINDERS) else ["nsfw"]
    ),
}
MADE_BY = {
    "nsfw_detection": ["annotations"],
    "watermark_detection": ["watermarks"],
    "mosaic_detection": ["regions", "mosaics", "degradations"],
}
# Images that people brought beside the manifest, by what the sources of them start with.
SETS = {
    "nsfw_detection": {f"labels:{each['name']}": each for each in LABELS.values()},
    "watermark_detection": {
        f"watermarks:{each['name']}": each for each in WATERMARK_SETS.values()
    },
    "mosaic_detection": {},
}
# The rooms that a dataset comes from.
GATES = {
    "nsfw_detection": ["frames", "labels"],
    "watermark_detection": ["frames", "watermarks"],
    "mosaic_detection": ["frames", "regions", "mosaics"],
}


def ledgers_of_room(wildcards):
    """Return the ledgers that the gate of a room judges."""
    return [ledger for ledgers in ROOMS[wildcards.room].values() for ledger in ledgers]


def steps_of_room(wildcards):
    """Return how many of these ledgers each step has."""
    return {step: len(ledgers) for step, ledgers in ROOMS[wildcards.room].items()}


def task_of_dataset(wildcards):
    """Return what the model of the same name as a dataset finds: boxes or masks."""
    return task_of(config["models"][wildcards.dataset]["architecture"])


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
        room="|".join(ROOMS),
    params:
        steps=steps_of_room,
        max_failed=lookup(dpath="gates/{room}", within=config),
        code=code_digest("tessera.core.ledger:gate"),
    script:
        "../scripts/gate_room.py"


# For all datasets at once: what validates one model trains no other.
rule divide_sources:
    input:
        sources="<results>/sources/admitted.parquet",
        labelled=labelled_images,
        frames=expand("<results>/frames/{shard}/frames.parquet", shard=SHARDS),
        duplicates="<results>/duplicates/duplicates.parquet",
    output:
        splits="<results>/datasets/splits.parquet",
    log:
        "<logs>/divide_sources.log",
    benchmark:
        "<benchmarks>/divide_sources.jsonl"
    params:
        # In the order in which they came: what is appended moves nothing that was there.
        order=verbatim(
            [
                *SETS["nsfw_detection"],
                *(source.source for source in SOURCES),
            ]
        ),
        settings=lookup(dpath="splits", within=config),
        code=code_digest("tessera.pipeline.datasets.splits:divide_sources"),
    script:
        "../scripts/divide_sources.py"


rule select_samples:
    input:
        images=of_dataset(
            {
                dataset: [f"{folder}/images.parquet" for folder in folders]
                for dataset, folders in SAMPLES.items()
            }
        ),
        annotations=of_dataset(
            {
                dataset: [f"{folder}/annotations.parquet" for folder in folders]
                for dataset, folders in SAMPLES.items()
            }
        ),
        duplicates=of_dataset(DUPLICATES),
        sources="<results>/sources/admitted.parquet",
        gates=of_dataset(
            {
                dataset: expand("<results>/gates/{room}.json", room=rooms)
                for dataset, rooms in GATES.items()
            }
        ),
    output:
        images="<results>/annotations/{dataset}/images.parquet",
        annotations="<results>/annotations/{dataset}/annotations.parquet",
        ledger="<results>/annotations/{dataset}/ledger.jsonl",
    log:
        "<logs>/select_samples/{dataset}.log",
    benchmark:
        "<benchmarks>/select_samples/{dataset}.jsonl"
    params:
        decisions=rows_of(FRAME_DECISIONS),
        code=code_digest("tessera.pipeline.datasets.images:select_samples"),
    script:
        "../scripts/select_samples.py"


rule split_samples:
    input:
        samples="<results>/annotations/{dataset}/images.parquet",
        sources="<results>/datasets/splits.parquet",
    output:
        splits="<results>/datasets/{dataset}/splits.parquet",
    log:
        "<logs>/split_samples/{dataset}.log",
    benchmark:
        "<benchmarks>/split_samples/{dataset}.jsonl"
    params:
        settings=lookup(dpath="splits", within=config),
        code=code_digest(
            "tessera.pipeline.datasets.splits:split_samples",
            "tessera.records.tables.annotation:Images",
        ),
    script:
        "../scripts/split_samples.py"


rule write_yolo_dataset:
    input:
        images="<results>/annotations/{dataset}/images.parquet",
        annotations="<results>/annotations/{dataset}/annotations.parquet",
        splits="<results>/datasets/{dataset}/splits.parquet",
        pictures=of_dataset(PICTURES),
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
        classes=of_dataset(CLASSES),
        task=task_of_dataset,
        code=code_digest("tessera.pipeline.datasets.images:write_yolo_dataset"),
    script:
        "../scripts/write_yolo_dataset.py"


rule write_coco_dataset:
    input:
        images="<results>/annotations/{dataset}/images.parquet",
        annotations="<results>/annotations/{dataset}/annotations.parquet",
        splits="<results>/datasets/{dataset}/splits.parquet",
    output:
        coco="<results>/datasets/{dataset}/coco.json",
    log:
        "<logs>/write_coco_dataset/{dataset}.log",
    benchmark:
        "<benchmarks>/write_coco_dataset/{dataset}.jsonl"
    params:
        classes=of_dataset(CLASSES),
        code=code_digest("tessera.pipeline.datasets.images:write_coco_dataset"),
    script:
        "../scripts/write_coco_dataset.py"


def settings_of(wildcards):
    """Return the settings that a dataset was made by."""
    rooms = ["sources", "frames", *MADE_BY[wildcards.dataset], "duplicates", "splits"]
    return {room: config[room] for room in rooms}


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
        settings=settings_of,
        sets=of_dataset(SETS),
        code=code_digest("tessera.pipeline.datasets.datasheets:write_datasheet"),
    script:
        "../scripts/write_datasheet.py"


rule checksum_dataset:
    input:
        folders=[
            "<results>/datasets/{dataset}/images",
            "<results>/datasets/{dataset}/labels",
        ],
        files=[
            "<results>/datasets/{dataset}/coco.json",
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
        code=code_digest("tessera.core.provenance:write_checksums"),
    script:
        "../scripts/checksum_dataset.py"
