"""Write all figures to one HTML file."""

from pathlib import Path

from tessera.core.job import job
from tessera.pipeline.report.report import write_report

with job(snakemake) as (inputs, outputs, params):
    write_report(
        figures=params.figures,
        summary=inputs.summary,
        counts=dict(zip(params.datasets, inputs.counts, strict=True)),
        models=params.models,
        decided=params.decided,
        captions=Path(params.captions),
        # Captions may name any setting. A setting that matters to a figure makes it again, and so the report.
        context={"config": snakemake.config, "stories": params.stories},
        path=outputs.report,
    )
