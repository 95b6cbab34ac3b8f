# The report: figures of the footage, the samples, the models and the cost, in one HTML file.

import os
from pathlib import Path

from tessera.configuration.read import load_configuration
from tessera.core.provenance import digest
from tessera.workflow.code import digest_of_script
from tessera.workflow.models import export_report
from tessera.workflow.project import literal_param, project_of
from tessera.workflow.report import (
    decided,
    detectors,
    figures,
    gates_of_funnel,
    ledgers_of_funnel,
    matched_decisions,
    restorers,
    shown_figures,
    shown_footage,
    steps_of_funnel,
    timed_rules,
)

project = project_of(config)


# Snakemake watches neither the captions nor the template, so their digest is a param of the report.
captions = Path(
    workflow.current_basedir.get_path_or_uri(secret_free=True), "../../report"
)


rule plot_funnel:
    input:
        gates=project.of_job(gates_of_funnel),
        ledgers=project.of_job(ledgers_of_funnel),
        splits="<results>/datasets/{dataset}/splits.parquet",
    output:
        funnel=report(
            "<results>/reports/datasets/{dataset}/funnel.svg",
            caption="../../report/funnel.rst",
            category="1. Footage",
            subcategory="{dataset}",
            labels={"figure": "1. From sources to samples"},
        ),
        table=report(
            "<results>/reports/datasets/{dataset}/counts.html",
            caption="../../report/counts.rst",
            category="1. Footage",
            subcategory="{dataset}",
            labels={"figure": "2. From sources to samples, as a table"},
        ),
        dropped=report(
            "<results>/reports/datasets/{dataset}/dropped.svg",
            caption="../../report/dropped.rst",
            category="1. Footage",
            subcategory="{dataset}",
            labels={"figure": "3. Left out, by reason"},
        ),
        counts="<results>/reports/datasets/{dataset}/counts.json",
    log:
        "<logs>/plot_funnel/{dataset}.log",
    benchmark:
        "<benchmarks>/plot_funnel/{dataset}.jsonl"
    localrule: True
    params:
        steps=project.of_job(steps_of_funnel),
        samples=project.of_dataset(lambda dataset: dataset.layout.samples),
        code=digest_of_script("plot_funnel"),
    script:
        "../../scripts/plot_funnel.py"


rule tabulate_refused:
    input:
        refused="<results>/sources/refused.tsv",
    output:
        table=report(
            "<results>/reports/refused.html",
            caption="../../report/refused.rst",
            category="1. Footage",
            subcategory="sources",
            labels={"figure": "Refused sources"},
        ),
    log:
        "<logs>/tabulate_refused.log",
    benchmark:
        "<benchmarks>/tabulate_refused.jsonl"
    localrule: True
    params:
        code=digest_of_script("tabulate_refused"),
    script:
        "../../scripts/tabulate_refused.py"


rule render_datasheet:
    input:
        datasheet="<results>/datasets/{dataset}/datasheet.md",
    output:
        page=report(
            "<results>/reports/datasets/{dataset}/datasheet.html",
            caption="../../report/datasheet.rst",
            category="2. Samples",
            subcategory="{dataset}",
            labels={"figure": "1. Datasheet"},
        ),
    log:
        "<logs>/render_datasheet/{dataset}.log",
    benchmark:
        "<benchmarks>/render_datasheet/{dataset}.jsonl"
    localrule: True
    params:
        code=digest_of_script("render_datasheet"),
    script:
        "../../scripts/render_datasheet.py"


rule tabulate_metrics:
    input:
        metrics="<results>/metrics/{model}.json",
        exported=project.of_job(export_report),
    output:
        table=report(
            "<results>/reports/models/{model}/metrics.html",
            caption="../../report/metrics.rst",
            category="3. Models",
            subcategory="{model}",
            labels={"figure": "2. Metrics"},
        ),
    log:
        "<logs>/tabulate_metrics/{model}.log",
    benchmark:
        "<benchmarks>/tabulate_metrics/{model}.jsonl"
    wildcard_constraints:
        model=project.models_described_by("tabulate_metrics"),
    localrule: True
    params:
        code=digest_of_script("tabulate_metrics"),
    script:
        "../../scripts/tabulate_metrics.py"


rule render_card:
    input:
        card="<results>/weights/{model}/card.md",
    output:
        page=report(
            "<results>/reports/models/{model}/card.html",
            caption="../../report/card.rst",
            category="3. Models",
            subcategory="{model}",
            labels={"figure": "1. Card"},
        ),
    log:
        "<logs>/render_card/{model}.log",
    benchmark:
        "<benchmarks>/render_card/{model}.jsonl"
    localrule: True
    params:
        code=digest_of_script("render_card"),
    script:
        "../../scripts/render_card.py"


# The measurements are not inputs: deleting one would train a model again. The inputs make this rule run after other jobs.
rule plot_timings:
    input:
        expand("<results>/weights/{model}/SHA256SUMS", model=project.models),
        expand("<results>/datasets/{dataset}/SHA256SUMS", dataset=project.datasets),
    output:
        timings=report(
            "<results>/reports/timings.svg",
            caption="../../report/timings.rst",
            category="4. Cost",
            labels={"figure": "Time and memory"},
        ),
        run="<results>/reports/run.json",
    log:
        "<logs>/plot_timings.log",
    benchmark:
        "<benchmarks>/plot_timings.jsonl"
    localrule: True
    params:
        benchmarks=workflow.pathvars.apply("<benchmarks>"),
        rules=timed_rules(workflow),
        shards=list(project.shards),
        code=digest_of_script("plot_timings"),
    script:
        "../../scripts/plot_timings.py"


# The first screen of the report.
rule summarise:
    input:
        metrics=expand("<results>/metrics/{model}.json", model=project.models),
        clean=expand(
            "<results>/reports/models/{model}/false_positives.json",
            model=detectors(project),
        ),
        restored=expand(
            "<results>/reports/models/{model}/restored",
            model=restorers(project),
        ),
        footage=shown_footage(project),
    output:
        summary="<results>/reports/summary.html",
        # Also of the last run, which this one is compared with.
        figures=update("<results>/reports/figures.json"),
    log:
        "<logs>/summarise.log",
    benchmark:
        "<benchmarks>/summarise.jsonl"
    localrule: True
    params:
        models=list(project.models),
        detectors=detectors(project),
        code=digest_of_script("summarise"),
    script:
        "../../scripts/summarise.py"


rule report:
    input:
        summary=rules.summarise.output.summary,
        figures=figures(project),
        counts=expand(
            "<results>/reports/datasets/{dataset}/counts.json",
            dataset=project.datasets,
        ),
        datasheets=expand(
            "<results>/datasets/{dataset}/datasheet.json", dataset=project.datasets
        ),
        run=rules.plot_timings.output.run,
        matched=matched_decisions(project),
    output:
        report="<results>/reports/report.html",
    log:
        "<logs>/report.log",
    benchmark:
        "<benchmarks>/report.jsonl"
    localrule: True
    params:
        figures=project.of_job(shown_figures, workflow),
        datasets=list(project.datasets),
        models=list(project.models),
        stories=literal_param(
            {name: each.story for name, each in project.datasets.items()}
        ),
        decided=project.of_job(decided),
        name=lookup(dpath="name", within=config),
        # Not the settings themselves: many of them change no figure.
        defaults=literal_param(load_configuration({})),
        captions=os.path.relpath(captions),
        texts=digest(
            {path.name: path.read_text("utf-8") for path in captions.iterdir()}
        ),
        code=digest_of_script("report"),
    script:
        "../../scripts/report.py"
