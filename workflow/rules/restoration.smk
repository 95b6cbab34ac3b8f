# The restoration model: train it in stages, measure, export and verify it, and write its card.

from tessera.catalogue import RESTORER, all_models
from tessera.core.definitions import code_digest
from tessera.learning.weights.resolve import weights_file

STAGES = {stage["name"]: stage for stage in config["restoration"]["stages"]}
RIVALS = {
    rival["name"]: rival
    for model in all_models(config)
    if model.kind is RESTORER
    for rival in config["comparisons"][model.name]
}


wildcard_constraints:
    stage=any_of(STAGES),


def stage_settings(wildcards):
    """Return the settings of a stage."""
    return STAGES[wildcards.stage]


def stage_weights(wildcards):
    """Return the files of weights that the training of a stage depends on, by name; unused ones are empty lists."""
    stage = STAGES[wildcards.stage]
    base, declared = stage["base"], config["restoration"]["weights"]
    used = {
        "load_from": not base,
        "spynet": not base and not declared["load_from"],
        "vgg19": stage["losses"]["perceptual"],
    }
    return {
        "base": (
            f"<results>/training/{wildcards.model}/{base}/best.pth" if base else []
        ),
        **{
            name: weights_file(declared[name] if is_used else None)
            for name, is_used in used.items()
        },
    }


def iterations_of(wildcards):
    """Return the number of iterations of a stage."""
    return STAGES[wildcards.stage]["iterations"]


rule train_stage:
    input:
        unpack(stage_weights),
        checksums=of_model("<results>/datasets/{dataset}/SHA256SUMS"),
        folders=of_model(
            "<results>/datasets/{dataset}/train",
            "<results>/datasets/{dataset}/val",
        ),
        splits=of_model("<results>/datasets/{dataset}/splits.parquet"),
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
        model=of_kind(RESTORER),
    priority: iterations_of
    threads: 8
    resources:
        gpu=1,
        # Minutes. A training that exceeds them continues when it runs again.
        runtime=1440,
    params:
        stage=stage_settings,
        data=lookup(dpath="restoration/data", within=config),
        generator=lookup(dpath="restoration/generator", within=config),
        discriminator=lookup(dpath="restoration/discriminator", within=config),
        training=lookup(dpath="restoration/training", within=config),
        seed=lookup(dpath="seed", within=config),
        # A part of the identity of the training: the definitions that its result depends on.
        trained_by=code_digest("tessera.stages.restoration.trainer:fit"),
        code=code_digest(
            "tessera.stages.restoration.training:train_stage",
            "tessera.records.tables.splits:trained_on",
        ),
    script:
        "../scripts/train_stage.py"


def last_checkpoint(wildcards):
    """Return the checkpoint of the last stage, which is measured and exported."""
    return f"<results>/training/{wildcards.model}/{list(STAGES)[-1]}/best.pth"


def perceptual_weights(wildcards):
    """Return the file of the weights for LPIPS, or an empty list."""
    return weights_file(config["restoration"]["metrics"]["lpips"])


def compared_weights(wildcards):
    """Return the files of the weights that the model is compared with, in the order of the settings."""
    return [weights_file(weights) for weights in RIVALS.values()]


# A job of its own before everything that takes long, so that a wrong file is found before a training and its evaluation.
rule check_restorers:
    input:
        compared=compared_weights,
    output:
        report="<results>/comparisons/{model}/checked.json",
    log:
        "<logs>/check_restorers/{model}.log",
    benchmark:
        "<benchmarks>/check_restorers/{model}.jsonl"
    wildcard_constraints:
        model=of_kind(RESTORER),
    # Higher than that of any training, which is its number of iterations.
    priority: 10**9
    params:
        compared=list(RIVALS),
        code=code_digest(
            "tessera.stages.restoration.evaluate:check_restorers",
        ),
    script:
        "../scripts/check_restorers.py"


rule evaluate_restoration:
    input:
        checked="<results>/comparisons/{model}/checked.json" if RIVALS else [],
        folders=of_model(
            "<results>/datasets/{dataset}/val",
            "<results>/datasets/{dataset}/test",
        ),
        splits=of_model("<results>/datasets/{dataset}/splits.parquet"),
        checkpoint=last_checkpoint,
        compared=compared_weights,
        lpips=perceptual_weights,
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
        model=of_kind(RESTORER),
    threads: 4
    resources:
        gpu=1,
    params:
        generator=lookup(dpath="restoration/generator", within=config),
        data=lookup(dpath="restoration/data", within=config),
        settings=lookup(dpath="restoration/metrics", within=config),
        # The digests of their weights are in the paths of the inputs.
        compared=list(RIVALS),
        seed=lookup(dpath="seed", within=config),
        code=code_digest(
            "tessera.stages.restoration.evaluate:evaluate_restoration",
            "tessera.records.tables.splits:sources_of",
        ),
    script:
        "../scripts/evaluate_restoration.py"


rule export_restoration:
    input:
        checkpoint=last_checkpoint,
    output:
        safetensors="<results>/exports/{model}/{model}.safetensors",
        application="<results>/exports/{model}/lada_{model}_model_tessera.pth",
    log:
        "<logs>/export_restoration/{model}.log",
    benchmark:
        "<benchmarks>/export_restoration/{model}.jsonl"
    wildcard_constraints:
        model=of_kind(RESTORER),
    params:
        generator=lookup(dpath="restoration/generator", within=config),
        trained_by=code_digest("tessera.stages.restoration.trainer:fit"),
        code=code_digest(
            "tessera.stages.restoration.export:export_restoration",
        ),
    script:
        "../scripts/export_restoration.py"


rule verify_restoration_export:
    input:
        folders=of_model(
            "<results>/datasets/{dataset}/train",
            "<results>/datasets/{dataset}/val",
        ),
        checkpoint=last_checkpoint,
        safetensors="<results>/exports/{model}/{model}.safetensors",
        application="<results>/exports/{model}/lada_{model}_model_tessera.pth",
    output:
        report="<results>/metrics/{model}.export.json",
    log:
        "<logs>/verify_restoration_export/{model}.log",
    benchmark:
        "<benchmarks>/verify_restoration_export/{model}.jsonl"
    wildcard_constraints:
        model=of_kind(RESTORER),
    threads: 4
    params:
        generator=lookup(dpath="restoration/generator", within=config),
        data=lookup(dpath="restoration/data", within=config),
        settings=lookup(dpath="restoration/export", within=config),
        seed=lookup(dpath="seed", within=config),
        code=code_digest(
            "tessera.stages.restoration.export:verify_restoration_export",
        ),
    script:
        "../scripts/verify_restoration_export.py"


ruleorder: write_restoration_card > write_plain_card


rule write_restoration_card:
    input:
        checksums=of_model("<results>/datasets/{dataset}/SHA256SUMS"),
        datasheet=of_model("<results>/datasets/{dataset}/datasheet.json"),
        metrics="<results>/metrics/{model}.json",
        export="<results>/metrics/{model}.export.json",
        safetensors="<results>/exports/{model}/{model}.safetensors",
        application="<results>/exports/{model}/lada_{model}_model_tessera.pth",
        records=expand(
            "<results>/training/{{model}}/{stage}/training.json", stage=STAGES
        ),
    output:
        data="<results>/exports/{model}/card.json",
        text="<results>/exports/{model}/card.md",
    log:
        "<logs>/write_restoration_card/{model}.log",
    benchmark:
        "<benchmarks>/write_restoration_card/{model}.jsonl"
    wildcard_constraints:
        model=of_kind(RESTORER),
    localrule: True
    params:
        settings=lookup(dpath="restoration", within=config),
        purpose=lambda wildcards: MODELS[wildcards.model].purpose,
        not_for=lambda wildcards: MODELS[wildcards.model].kind.not_for,
        code=code_digest("tessera.pages.cards:write_restoration_card"),
    script:
        "../scripts/write_restoration_card.py"


rule plot_stages:
    input:
        curves=expand("<results>/training/{{model}}/{stage}/curves.csv", stage=STAGES),
    output:
        figure=report(
            "<results>/reports/models/{model}/stages.svg",
            caption="../report/stages.rst",
            category="3. Models",
            subcategory="{model}",
            labels={"figure": "3. Curves of the stages"},
        ),
    log:
        "<logs>/plot_stages/{model}.log",
    benchmark:
        "<benchmarks>/plot_stages/{model}.jsonl"
    wildcard_constraints:
        model=of_kind(RESTORER),
    localrule: True
    params:
        code=code_digest("tessera.pages.report.restoration:draw_stages"),
    script:
        "../scripts/plot_stages.py"


rule plot_methods:
    input:
        metrics="<results>/metrics/{model}.json",
    output:
        figure=report(
            "<results>/reports/models/{model}/methods.svg",
            caption="../report/methods.rst",
            category="3. Models",
            subcategory="{model}",
            labels={"figure": "4. Beside simple methods"},
        ),
    log:
        "<logs>/plot_methods/{model}.log",
    benchmark:
        "<benchmarks>/plot_methods/{model}.jsonl"
    wildcard_constraints:
        model=of_kind(RESTORER),
    localrule: True
    params:
        code=code_digest("tessera.pages.report.restoration:draw_methods"),
    script:
        "../scripts/plot_methods.py"


ruleorder: tabulate_restoration > tabulate_metrics


rule tabulate_restoration:
    input:
        metrics="<results>/metrics/{model}.json",
        exported="<results>/metrics/{model}.export.json",
    output:
        table=report(
            "<results>/reports/models/{model}/metrics.html",
            caption="../report/metrics.rst",
            category="3. Models",
            subcategory="{model}",
            labels={"figure": "2. Metrics"},
        ),
    log:
        "<logs>/tabulate_restoration/{model}.log",
    benchmark:
        "<benchmarks>/tabulate_restoration/{model}.jsonl"
    wildcard_constraints:
        model=of_kind(RESTORER),
    localrule: True
    params:
        code=code_digest("tessera.pages.report.restorers:tabulate_restoration"),
    script:
        "../scripts/tabulate_restoration.py"


rule tabulate_restorers:
    input:
        metrics="<results>/metrics/{model}.json",
        speed="<results>/comparisons/{model}/speed.json",
        trained="<results>/exports/{model}/{model}.safetensors",
        compared=compared_weights,
    output:
        table=report(
            "<results>/reports/models/{model}/comparison.html",
            caption="../report/restorers.rst",
            category="3. Models",
            subcategory="{model}",
            labels={"figure": "5. Compared with other models"},
        ),
    log:
        "<logs>/tabulate_restorers/{model}.log",
    benchmark:
        "<benchmarks>/tabulate_restorers/{model}.jsonl"
    wildcard_constraints:
        model=of_kind(RESTORER),
    localrule: True
    params:
        names=["restored", *RIVALS],
        code=code_digest("tessera.pages.report.restorers:tabulate_restorers"),
    script:
        "../scripts/tabulate_restorers.py"


rule plot_where:
    input:
        metrics="<results>/metrics/{model}.json",
    output:
        figure=report(
            "<results>/reports/models/{model}/where.svg",
            caption="../report/where_restored.rst",
            category="3. Models",
            subcategory="{model}",
            labels={"figure": "6. Where it is good, and where it fails"},
        ),
    log:
        "<logs>/plot_where/{model}.log",
    benchmark:
        "<benchmarks>/plot_where/{model}.jsonl"
    wildcard_constraints:
        model=of_kind(RESTORER),
    localrule: True
    params:
        code=code_digest("tessera.pages.report.restoration:draw_where"),
    script:
        "../scripts/plot_where.py"


rule plot_restored:
    input:
        pictures="<results>/training/{model}/pictures",
        splits=of_model("<results>/datasets/{dataset}/splits.parquet"),
        sources="<results>/sources/admitted.parquet",
    output:
        # A folder, because a split may have no clips.
        restored=report(
            directory("<results>/reports/models/{model}/restored"),
            patterns=["{split}.html"],
            caption="../report/restored.rst",
            category="3. Models",
            subcategory="{model}",
            labels={"figure": "7. Restored, {split}"},
        ),
    log:
        "<logs>/plot_restored/{model}.log",
    benchmark:
        "<benchmarks>/plot_restored/{model}.jsonl"
    wildcard_constraints:
        model=of_kind(RESTORER),
    params:
        settings=lookup(dpath="report", within=config),
        sets=content_of_sets,
        code=code_digest(
            "tessera.pages.report.restoration:show_restored",
            "tessera.pages.report.restoration:shown_sheets",
            "tessera.pages.report.tiles:find_clear",
        ),
    script:
        "../scripts/plot_restored.py"
