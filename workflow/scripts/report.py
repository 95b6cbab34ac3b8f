"""Write all figures to one HTML file."""

from pathlib import Path

from tessera.core.job import job
from tessera.pipeline.report.report import write_report
from tessera.records.decisions import count_matching

with job(snakemake) as (inputs, outputs, params):
    write_report(
        figures=params.figures,
        summary=inputs.summary,
        counts=dict(zip(params.datasets, inputs.counts, strict=True)),
        models=params.models,
        decided=count_matching(decided=params.decided, ledgers=inputs.matched),
        captions=Path(params.captions),
        # Captions may name any setting. A setting that matters to a figure makes it again, and so the report.
        context={"config": snakemake.config, "stories": params.stories},
        path=outputs.report,
    )
