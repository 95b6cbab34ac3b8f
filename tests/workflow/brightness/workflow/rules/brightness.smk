# Brightness: frames that are dark or bright, laid out in a folder per class, and a classifier that is fitted to them.

from tessera.catalogue import IMAGE_FOLDERS, THRESHOLD, fed_by
from tessera.workflow.code import digest_of_script
from tessera.workflow.datasets import gates_of
from tessera.workflow.project import project_of

project = project_of(config)


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
        code=digest_of_script("measure_brightness"),
    script:
        "../scripts/measure_brightness.py"


rule gather_brightness:
    input:
        shards=expand(
            "<results>/brightness/{shard}/lumas.parquet", shard=project.shards
        ),
        gates=project.of_job(gates_of),
    output:
        selected="<results>/selections/{dataset}/lumas.parquet",
    log:
        "<logs>/gather_brightness/{dataset}.log",
    benchmark:
        "<benchmarks>/gather_brightness/{dataset}.jsonl"
    wildcard_constraints:
        dataset=project.datasets_with_layout(IMAGE_FOLDERS),
    params:
        code=digest_of_script("gather_brightness"),
    script:
        "../scripts/gather_brightness.py"


rule write_image_folders:
    input:
        selected="<results>/selections/{dataset}/lumas.parquet",
        splits="<results>/datasets/{dataset}/splits.parquet",
        # The table names the images in these folders.
        pictures=expand("<results>/frames/{shard}/images", shard=project.shards),
    output:
        train=directory("<results>/datasets/{dataset}/train"),
        val=directory("<results>/datasets/{dataset}/val"),
        test=directory("<results>/datasets/{dataset}/test"),
    log:
        "<logs>/write_image_folders/{dataset}.log",
    benchmark:
        "<benchmarks>/write_image_folders/{dataset}.jsonl"
    wildcard_constraints:
        dataset=project.datasets_with_layout(IMAGE_FOLDERS),
    params:
        code=digest_of_script("write_image_folders"),
    script:
        "../scripts/write_image_folders.py"


rule train_brightness:
    input:
        checksums=project.of_model("<results>/datasets/{dataset}/SHA256SUMS"),
        images=project.of_model("<results>/datasets/{dataset}/train"),
    output:
        exported="<results>/exports/{model}/{model}.json",
    log:
        "<logs>/train_brightness/{model}.log",
    benchmark:
        "<benchmarks>/train_brightness/{model}.jsonl"
    wildcard_constraints:
        model=project.models_of_kind(THRESHOLD),
    params:
        settings=lookup(dpath="models/{model}", within=config),
        code=digest_of_script("train_brightness"),
    script:
        "../scripts/train_brightness.py"


rule evaluate_brightness:
    input:
        model="<results>/exports/{model}/{model}.json",
        val=project.of_model("<results>/datasets/{dataset}/val"),
        test=project.of_model("<results>/datasets/{dataset}/test"),
    output:
        metrics="<results>/metrics/{model}.json",
    log:
        "<logs>/evaluate_brightness/{model}.log",
    benchmark:
        "<benchmarks>/evaluate_brightness/{model}.jsonl"
    wildcard_constraints:
        model=project.models_of_kind(THRESHOLD),
    params:
        code=digest_of_script("evaluate_brightness"),
    script:
        "../scripts/evaluate_brightness.py"
