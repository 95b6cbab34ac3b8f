# The report: figures of the footage, the samples, the models and the cost, in one HTML file.

import os

from pathlib import Path

from tessera.core.provenance import digest
from tessera.workflow.code import digest_of_script
from tessera.workflow.figures import files_of_figures, shown_figures
from tessera.workflow.project import literal_param, project_of, unwatched_param
from tessera.workflow.report import (
    decided,
    detectors,
    matched_decisions,
    origin_of_settings,
    restorers,
    shown_footage,
)
from tessera.workflow.withdrawal import WITHDRAWN

project = project_of(config)


# Snakemake watches neither the captions nor the template, so their digest is a param of the report.
captions = Path(
    workflow.current_basedir.get_path_or_uri(secret_free=True), "../../report"
)


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
        figures="<results>/reports/figures.json",
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
        numbers=rules.summarise.output.figures,
        figures=files_of_figures(project),
        counts=expand(
            "<results>/reports/datasets/{dataset}/counts.json",
            dataset=project.datasets,
        ),
        datasheets=expand(
            "<results>/datasets/{dataset}/datasheet.json", dataset=project.datasets
        ),
        run=rules.plot_timings.output.run,
        matched=matched_decisions(project),
        # It removes the report if that shows what is refused now.
        withdrawn=WITHDRAWN,
    output:
        report="<results>/reports/report.html",
        # Also of the last run, which this one is compared with.
        runs=update("<results>/reports/runs.json"),
    log:
        "<logs>/report.log",
    benchmark:
        "<benchmarks>/report.jsonl"
    localrule: True
    params:
        figures=project.of_job(shown_figures),
        datasets=list(project.datasets),
        models=list(project.models),
        descriptions=literal_param(
            {name: dataset.description for name, dataset in project.datasets.items()}
        ),
        decided=project.of_job(decided),
        name=lookup(dpath="name", within=config),
        files=origin_of_settings(workflow),
        # Their texts count, not where they lie.
        captions=unwatched_param(os.path.relpath(captions)),
        texts=digest(
            {path.name: path.read_text("utf-8") for path in captions.iterdir()}
        ),
        code=digest_of_script("report"),
    script:
        "../../scripts/report.py"
