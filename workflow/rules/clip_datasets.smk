# Datasets of clips, in Lada's layout, with a datasheet.

from tessera.catalogue import CLIPS, settings_of
from tessera.core.definitions import code_digest


rule write_clip_dataset:
    input:
        clips="<results>/selections/{dataset}/clips.parquet",
        scores="<results>/selections/{dataset}/scores.parquet",
        splits="<results>/datasets/{dataset}/splits.parquet",
        images=expand("<results>/clips/{shard}/images", shard=SHARDS),
        masks=expand("<results>/clips/{shard}/masks", shard=SHARDS),
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
        dataset=laid_out_as(CLIPS),
    params:
        code=code_digest("tessera.stages.datasets.clips:write_clip_dataset"),
    script:
        "../scripts/write_clip_dataset.py"


ruleorder: write_clip_datasheet > write_plain_datasheet


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
        dataset=laid_out_as(CLIPS),
    params:
        settings=of_dataset(lambda dataset: settings_of(dataset, config)),
        code=code_digest("tessera.stages.datasets.datasheets:write_clip_datasheet"),
    script:
        "../scripts/write_clip_datasheet.py"


rule plot_clips:
    input:
        folders=[
            "<results>/datasets/{dataset}/train",
            "<results>/datasets/{dataset}/val",
            "<results>/datasets/{dataset}/test",
        ],
        clips="<results>/datasets/{dataset}/clips.parquet",
        splits="<results>/datasets/{dataset}/splits.parquet",
        sources="<results>/sources/admitted.parquet",
    output:
        # A folder, because a split may have no clips.
        samples=report(
            directory("<results>/reports/datasets/{dataset}/samples"),
            patterns=["{split}.html"],
            caption="../report/clips.rst",
            category="2. Samples",
            subcategory="{dataset}",
            labels={"figure": "2. Samples, {split}"},
        ),
    log:
        "<logs>/plot_clips/{dataset}.log",
    benchmark:
        "<benchmarks>/plot_clips/{dataset}.jsonl"
    wildcard_constraints:
        dataset=laid_out_as(CLIPS),
    params:
        settings=lookup(dpath="report", within=config),
        sets=content_of_sets,
        seed=lookup(dpath="seed", within=config),
        code=code_digest(
            "tessera.pages.report.clips:describe_clips",
            "tessera.pages.report.clips:show_clips",
            "tessera.pages.report.tiles:choose_shown",
        ),
    script:
        "../scripts/plot_clips.py"
