# The dataset mosaic_restoration: the clips that stay, divided, laid out as trainers read them, and described; and the model
# that is trained on it, stage by stage.


rule split_clips:
    input:
        clips="<results>/annotations/mosaic_restoration/clips.parquet",
        sources="<results>/datasets/splits.parquet",
    output:
        splits="<results>/datasets/mosaic_restoration/splits.parquet",
    log:
        "<logs>/split_clips.log",
    benchmark:
        "<benchmarks>/split_clips.jsonl"
    params:
        settings=lookup(dpath="splits", within=config),
        code=code_digest(
            "tessera.pipeline.datasets.splits:split_samples",
            "tessera.records.tables.clips:Clips",
        ),
    script:
        "../scripts/split_clips.py"


rule write_clip_dataset:
    input:
        clips="<results>/annotations/mosaic_restoration/clips.parquet",
        scores="<results>/annotations/mosaic_restoration/scores.parquet",
        splits="<results>/datasets/mosaic_restoration/splits.parquet",
        images=expand("<results>/clips/{shard}/images", shard=SHARDS),
        masks=expand("<results>/clips/{shard}/masks", shard=SHARDS),
    output:
        train=directory("<results>/datasets/mosaic_restoration/train"),
        val=directory("<results>/datasets/mosaic_restoration/val"),
        test=directory("<results>/datasets/mosaic_restoration/test"),
        table="<results>/datasets/mosaic_restoration/clips.parquet",
    log:
        "<logs>/write_clip_dataset.log",
    benchmark:
        "<benchmarks>/write_clip_dataset.jsonl"
    params:
        code=code_digest("tessera.pipeline.datasets.clips:write_clip_dataset"),
    script:
        "../scripts/write_clip_dataset.py"


rule write_clip_datasheet:
    input:
        clips="<results>/annotations/mosaic_restoration/clips.parquet",
        scores="<results>/annotations/mosaic_restoration/scores.parquet",
        splits="<results>/datasets/mosaic_restoration/splits.parquet",
        sources="<results>/sources/admitted.parquet",
        filtering="<results>/annotations/mosaic_restoration/ledger.jsonl",
    output:
        data="<results>/datasets/mosaic_restoration/datasheet.json",
        text="<results>/datasets/mosaic_restoration/datasheet.md",
    log:
        "<logs>/write_clip_datasheet.log",
    benchmark:
        "<benchmarks>/write_clip_datasheet.jsonl"
    params:
        settings=verbatim(
            {
                room: config[room]
                for room in (
                    "sources",
                    "scenes",
                    "clips",
                    "scores",
                    "filters",
                    "splits",
                )
            }
        ),
        code=code_digest("tessera.pipeline.datasets.datasheets:write_clip_datasheet"),
    script:
        "../scripts/write_clip_datasheet.py"


rule checksum_clips:
    input:
        folders=[
            "<results>/datasets/mosaic_restoration/train",
            "<results>/datasets/mosaic_restoration/val",
            "<results>/datasets/mosaic_restoration/test",
        ],
        files=[
            "<results>/datasets/mosaic_restoration/clips.parquet",
            "<results>/datasets/mosaic_restoration/splits.parquet",
            "<results>/datasets/mosaic_restoration/datasheet.json",
            "<results>/datasets/mosaic_restoration/datasheet.md",
        ],
    output:
        checksums="<results>/datasets/mosaic_restoration/SHA256SUMS",
    log:
        "<logs>/checksum_clips.log",
    benchmark:
        "<benchmarks>/checksum_clips.jsonl"
    params:
        code=code_digest("tessera.core.provenance:write_checksums"),
    script:
        "../scripts/checksum_clips.py"


def stage_settings(wildcards):
    """Return the settings of a stage."""
    return STAGES[wildcards.stage]


def stage_weights(wildcards):
    """Return the files that a stage begins with or compares with, or nothing: those alone that change what it learns."""
    stage = STAGES[wildcards.stage]
    base, declared = stage["base"], config["restoration"]["weights"]
    used = {
        "load_from": not base,
        "spynet": not base and not declared["load_from"],
        "vgg19": stage["losses"]["perceptual"],
    }
    return {
        "base": (
            f"<results>/training/mosaic_restoration/{base}/best.pth" if base else []
        ),
        **{
            name: (
                WeightsSettings(**declared[name]).file
                if is_used and declared[name]
                else []
            )
            for name, is_used in used.items()
        },
    }


rule train_stage:
    input:
        unpack(stage_weights),
        environment="<results>/environments/restoration",
        checksums="<results>/datasets/mosaic_restoration/SHA256SUMS",
        folders=[
            "<results>/datasets/mosaic_restoration/train",
            "<results>/datasets/mosaic_restoration/val",
        ],
    output:
        # The folder `runs` beside them is not an output: it keeps each training, finished or not, to be taken up again.
        best="<results>/training/mosaic_restoration/{stage}/best.pth",
        curves="<results>/training/mosaic_restoration/{stage}/curves.csv",
        record="<results>/training/mosaic_restoration/{stage}/training.json",
    log:
        "<logs>/train_stage/{stage}.log",
    benchmark:
        "<benchmarks>/train_stage/{stage}.jsonl"
    threads: 8
    resources:
        gpu=1,
    params:
        stage=stage_settings,
        data=lookup(dpath="restoration/data", within=config),
        generator=lookup(dpath="restoration/generator", within=config),
        discriminator=lookup(dpath="restoration/discriminator", within=config),
        training=lookup(dpath="restoration/training", within=config),
        seed=lookup(dpath="seed", within=config),
        # Part of the identity of the training: the definitions that decide its numbers.
        trained_by=code_digest("tessera.pipeline.restoration.trainer:fit"),
        code=code_digest(
            "tessera.pipeline.restoration.training:train_stage",
            "tessera.core.environments.run:run_inside",
        ),
    script:
        "../scripts/train_stage.py"


def last_checkpoint(wildcards):
    """Return the checkpoint of the last stage, which is what is measured and exported."""
    if not STAGES:
        raise TesseraError(NO_STAGES)
    return f"<results>/training/mosaic_restoration/{list(STAGES)[-1]}/best.pth"


def perceptual_weights(wildcards):
    """Return the file of the weights that LPIPS is computed with, or nothing."""
    declared = config["restoration"]["metrics"]["lpips"]
    return WeightsSettings(**declared).file if declared else []


rule evaluate_restoration:
    input:
        environment="<results>/environments/restoration",
        folders=[
            "<results>/datasets/mosaic_restoration/val",
            "<results>/datasets/mosaic_restoration/test",
        ],
        checkpoint=last_checkpoint,
        lpips=perceptual_weights,
    output:
        metrics="<results>/metrics/mosaic_restoration.json",
        ledger="<results>/training/mosaic_restoration/evaluation.jsonl",
        pictures=directory("<results>/training/mosaic_restoration/pictures"),
    log:
        "<logs>/evaluate_restoration.log",
    benchmark:
        "<benchmarks>/evaluate_restoration.jsonl"
    threads: 4
    resources:
        gpu=1,
    params:
        generator=lookup(dpath="restoration/generator", within=config),
        data=lookup(dpath="restoration/data", within=config),
        settings=lookup(dpath="restoration/metrics", within=config),
        seed=lookup(dpath="seed", within=config),
        code=code_digest(
            "tessera.pipeline.restoration.evaluate:evaluate_restoration",
            "tessera.core.environments.run:run_inside",
        ),
    script:
        "../scripts/evaluate_restoration.py"
