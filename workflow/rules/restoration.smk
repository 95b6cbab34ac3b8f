# The restoration model: train it in stages, measure, export and verify it, and write its card.

from tessera.catalogue import RESTORER
from tessera.core.definitions import code_digest
from tessera.workflow.code import digest_of_script
from tessera.workflow.models import forbidden_uses, purpose
from tessera.workflow.project import any_of, project_of
from tessera.workflow.restoration import (
    compared_models,
    compared_weights,
    iterations_of,
    last_checkpoint,
    perceptual_weights,
    stage_settings,
    stage_weights,
    stages,
)

project = project_of(config)


wildcard_constraints:
    stage=any_of(stages(project)),


rule train_stage:
    input:
        unpack(project.of_job(stage_weights)),
        checksums=project.of_model("<results>/datasets/{dataset}/SHA256SUMS"),
        folders=project.of_model(
            "<results>/datasets/{dataset}/train",
            "<results>/datasets/{dataset}/val",
        ),
        splits=project.of_model("<results>/datasets/{dataset}/splits.parquet"),
    output:
        # The folder `runs` beside them keeps finished and interrupted trainings. It is not an output, so that they survive.
        best="<results>/training/{model}/{stage}/best.pth",
        curves="<results>/training/{model}/{stage}/curves.csv",
        record="<results>/training/{model}/{stage}/training.json",
    log:
        "<logs>/train_stage/{model}/{stage}.log",
    benchmark:
        "<benchmarks>/train_stage/{model}/{stage}.jsonl"
    wildcard_constraints:
        model=project.models_of_kind(RESTORER),
    priority: project.of_job(iterations_of)
    threads: 8
    resources:
        gpu=1,
        # Minutes. A training that exceeds them continues when it runs again.
        runtime=1440,
    params:
        stage=project.of_job(stage_settings),
        data=lookup(dpath="restoration/data", within=config),
        generator=lookup(dpath="restoration/generator", within=config),
        discriminator=lookup(dpath="restoration/discriminator", within=config),
        training=lookup(dpath="restoration/training", within=config),
        seed=lookup(dpath="seed", within=config),
        # A part of the identity of the training: the definitions that its result depends on.
        train_code=code_digest("tessera.stages.restoration.trainer:fit"),
        code=digest_of_script("train_stage"),
    script:
        "../scripts/train_stage.py"


# A job of its own before everything that takes long, so that a wrong file is found before a training and its evaluation.
rule check_restorers:
    input:
        compared=compared_weights(project),
    output:
        report="<results>/comparisons/{model}/checked.json",
    log:
        "<logs>/check_restorers/{model}.log",
    benchmark:
        "<benchmarks>/check_restorers/{model}.jsonl"
    wildcard_constraints:
        model=project.models_of_kind(RESTORER),
    # Higher than that of any training, which is its number of iterations.
    priority: 10**9
    params:
        compared=list(compared_models(project)),
        code=digest_of_script("check_restorers"),
    script:
        "../scripts/check_restorers.py"


rule evaluate_restoration:
    input:
        checked=(
            "<results>/comparisons/{model}/checked.json"
            if compared_models(project)
            else []
        ),
        folders=project.of_model(
            "<results>/datasets/{dataset}/val",
            "<results>/datasets/{dataset}/test",
        ),
        splits=project.of_model("<results>/datasets/{dataset}/splits.parquet"),
        checkpoint=project.of_job(last_checkpoint),
        compared=compared_weights(project),
        lpips=perceptual_weights(project),
    output:
        metrics="<results>/metrics/{model}.json",
        frames="<results>/evaluation/{model}/frames.parquet",
        ledger="<results>/training/{model}/evaluation.jsonl",
        pictures=directory("<results>/training/{model}/pictures"),
        # Milliseconds, which differ from run to run.
        speed="<results>/comparisons/{model}/speed.json",
    log:
        "<logs>/evaluate_restoration/{model}.log",
    benchmark:
        "<benchmarks>/evaluate_restoration/{model}.jsonl"
    wildcard_constraints:
        model=project.models_of_kind(RESTORER),
    threads: 4
    resources:
        gpu=1,
    params:
        generator=lookup(dpath="restoration/generator", within=config),
        data=lookup(dpath="restoration/data", within=config),
        settings=lookup(dpath="restoration/metrics", within=config),
        # The digests of their weights are in the paths of the inputs.
        compared=list(compared_models(project)),
        seed=lookup(dpath="seed", within=config),
        code=digest_of_script("evaluate_restoration"),
    script:
        "../scripts/evaluate_restoration.py"


rule export_restoration:
    input:
        checkpoint=project.of_job(last_checkpoint),
    output:
        safetensors="<results>/exports/{model}/{model}.safetensors",
        application="<results>/exports/{model}/lada_{model}_model_tessera.pth",
    log:
        "<logs>/export_restoration/{model}.log",
    benchmark:
        "<benchmarks>/export_restoration/{model}.jsonl"
    wildcard_constraints:
        model=project.models_of_kind(RESTORER),
    params:
        generator=lookup(dpath="restoration/generator", within=config),
        size=lookup(dpath="restoration/data/size", within=config),
        train_code=code_digest("tessera.stages.restoration.trainer:fit"),
        code=digest_of_script("export_restoration"),
    script:
        "../scripts/export_restoration.py"


rule verify_restoration_export:
    input:
        folders=project.of_model(
            "<results>/datasets/{dataset}/train",
            "<results>/datasets/{dataset}/val",
        ),
        checkpoint=project.of_job(last_checkpoint),
        safetensors="<results>/exports/{model}/{model}.safetensors",
        application="<results>/exports/{model}/lada_{model}_model_tessera.pth",
    output:
        report="<results>/metrics/{model}.export.json",
    log:
        "<logs>/verify_restoration_export/{model}.log",
    benchmark:
        "<benchmarks>/verify_restoration_export/{model}.jsonl"
    wildcard_constraints:
        model=project.models_of_kind(RESTORER),
    threads: 4
    params:
        generator=lookup(dpath="restoration/generator", within=config),
        data=lookup(dpath="restoration/data", within=config),
        settings=lookup(dpath="restoration/export", within=config),
        seed=lookup(dpath="seed", within=config),
        code=digest_of_script("verify_restoration_export"),
    script:
        "../scripts/verify_restoration_export.py"


rule write_restoration_card:
    input:
        checksums=project.of_model("<results>/datasets/{dataset}/SHA256SUMS"),
        datasheet=project.of_model("<results>/datasets/{dataset}/datasheet.json"),
        metrics="<results>/metrics/{model}.json",
        export="<results>/metrics/{model}.export.json",
        safetensors="<results>/exports/{model}/{model}.safetensors",
        application="<results>/exports/{model}/lada_{model}_model_tessera.pth",
        records=expand(
            "<results>/training/{{model}}/{stage}/training.json", stage=stages(project)
        ),
    output:
        data="<results>/exports/{model}/card.json",
        text="<results>/exports/{model}/card.md",
    log:
        "<logs>/write_restoration_card/{model}.log",
    benchmark:
        "<benchmarks>/write_restoration_card/{model}.jsonl"
    wildcard_constraints:
        model=project.models_described_by("write_restoration_card"),
    localrule: True
    params:
        settings=lookup(dpath="restoration", within=config),
        purpose=project.of_job(purpose),
        not_for=project.of_job(forbidden_uses),
        code=digest_of_script("write_restoration_card"),
    script:
        "../scripts/write_restoration_card.py"
