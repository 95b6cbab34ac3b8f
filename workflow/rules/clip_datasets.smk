# Datasets of clips, in Lada's layout, with a datasheet.

from tessera.catalogue import CLIPS, settings_of
from tessera.workflow.code import digest_of_script
from tessera.workflow.project import project_of

project = project_of(config)


rule write_clip_dataset:
    input:
        clips="<results>/selections/{dataset}/clips.parquet",
        scores="<results>/selections/{dataset}/scores.parquet",
        splits="<results>/datasets/{dataset}/splits.parquet",
        images=expand("<results>/clips/{shard}/images", shard=project.shards),
        masks=expand("<results>/clips/{shard}/masks", shard=project.shards),
    output:
        train=directory("<results>/datasets/{dataset}/train"),
        val=directory("<results>/datasets/{dataset}/val"),
        test=directory("<results>/datasets/{dataset}/test"),
        table="<results>/datasets/{dataset}/clips.parquet",
    log:
        "<logs>/write_clip_dataset/{dataset}.log",
    benchmark:
        "<benchmarks>/write_clip_dataset/{dataset}.jsonl"
    wildcard_constraints:
        dataset=project.datasets_with_layout(CLIPS),
    params:
        code=digest_of_script("write_clip_dataset"),
    script:
        "../scripts/write_clip_dataset.py"


rule write_clip_datasheet:
    input:
        clips="<results>/selections/{dataset}/clips.parquet",
        scores="<results>/selections/{dataset}/scores.parquet",
        splits="<results>/datasets/{dataset}/splits.parquet",
        sources="<results>/sources/admitted.parquet",
        filtering="<results>/selections/{dataset}/ledger.jsonl",
    output:
        data="<results>/datasets/{dataset}/datasheet.json",
        text="<results>/datasets/{dataset}/datasheet.md",
    log:
        "<logs>/write_clip_datasheet/{dataset}.log",
    benchmark:
        "<benchmarks>/write_clip_datasheet/{dataset}.jsonl"
    wildcard_constraints:
        dataset=project.datasets_described_by("write_clip_datasheet"),
    params:
        settings=project.of_dataset(lambda dataset: settings_of(dataset, config)),
        code=digest_of_script("write_clip_datasheet"),
    script:
        "../scripts/write_clip_datasheet.py"
