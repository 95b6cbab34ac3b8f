# Brightness: frames that are dark or bright, laid out in a folder per class, and a classifier that is fitted to them.

from tessera.catalogue import THRESHOLD, IMAGE_FOLDERS, fed_by
from tessera.core.definitions import code_digest

GATES["brightness"] = {
    "measuring": ("images", places("<results>/brightness/{shard}/ledger.jsonl"))
}


rule measure_brightness:
    input:
        frames="<results>/frames/{shard}/frames.parquet",
        pictures="<results>/frames/{shard}/images",
        sources="<results>/sources/shards/{shard}/sources.parquet",
    output:
        lumas="<results>/brightness/{shard}/lumas.parquet",
        ledger="<results>/brightness/{shard}/ledger.jsonl",
    log:
        "<logs>/measure_brightness/{shard}.log",
    benchmark:
        "<benchmarks>/measure_brightness/{shard}.jsonl"
    params:
        datasets=fed_by("brightness"),
        code=code_digest("tessera.extras.brightness.samples:measure_brightness"),
    script:
        "../scripts/measure_brightness.py"


rule gather_brightness:
    input:
        shards=expand("<results>/brightness/{shard}/lumas.parquet", shard=SHARDS),
        gates=of_dataset(
            lambda dataset: expand("<results>/gates/{room}.json", room=dataset.gates)
        ),
    output:
        selected="<results>/selections/{dataset}/lumas.parquet",
    log:
        "<logs>/gather_brightness/{dataset}.log",
    benchmark:
        "<benchmarks>/gather_brightness/{dataset}.jsonl"
    wildcard_constraints:
        dataset=laid_out_as(IMAGE_FOLDERS),
    params:
        code=code_digest("tessera.extras.brightness.samples:gather_brightness"),
    script:
        "../scripts/gather_brightness.py"


rule write_image_folders:
    input:
        selected="<results>/selections/{dataset}/lumas.parquet",
        splits="<results>/datasets/{dataset}/splits.parquet",
        # The table names the images in these folders.
        pictures=expand("<results>/frames/{shard}/images", shard=SHARDS),
    output:
        train=directory("<results>/datasets/{dataset}/train"),
        val=directory("<results>/datasets/{dataset}/val"),
        test=directory("<results>/datasets/{dataset}/test"),
    log:
        "<logs>/write_image_folders/{dataset}.log",
    benchmark:
        "<benchmarks>/write_image_folders/{dataset}.jsonl"
    wildcard_constraints:
        dataset=laid_out_as(IMAGE_FOLDERS),
    params:
        code=code_digest("tessera.extras.brightness.samples:write_image_folders"),
    script:
        "../scripts/write_image_folders.py"


rule train_brightness:
    input:
        checksums=of_model("<results>/datasets/{dataset}/SHA256SUMS"),
        images=of_model("<results>/datasets/{dataset}/train"),
    output:
        exported="<results>/exports/{model}/{model}.json",
    log:
        "<logs>/train_brightness/{model}.log",
    benchmark:
        "<benchmarks>/train_brightness/{model}.jsonl"
    wildcard_constraints:
        model=of_kind(THRESHOLD),
    params:
        settings=lookup(dpath="models/{model}", within=config),
        code=code_digest("tessera.extras.brightness.classifier:train_brightness"),
    script:
        "../scripts/train_brightness.py"


rule evaluate_brightness:
    input:
        model="<results>/exports/{model}/{model}.json",
        val=of_model("<results>/datasets/{dataset}/val"),
        test=of_model("<results>/datasets/{dataset}/test"),
    output:
        metrics="<results>/metrics/{model}.json",
    log:
        "<logs>/evaluate_brightness/{model}.log",
    benchmark:
        "<benchmarks>/evaluate_brightness/{model}.jsonl"
    wildcard_constraints:
        model=of_kind(THRESHOLD),
    params:
        code=code_digest("tessera.extras.brightness.classifier:evaluate_brightness"),
    script:
        "../scripts/evaluate_brightness.py"
