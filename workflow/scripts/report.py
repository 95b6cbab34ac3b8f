"""Write all figures to one HTML file."""

from pathlib import Path

from tessera.core.job import job
from tessera.pipeline.report.report import make_report

with job(snakemake) as (inputs, outputs, params):
    # The report covers the whole workflow, so it needs the whole configuration.
    make_report(
        snakefile=params.snakefile,
        config=snakemake.config,
        files=inputs.figures,
        stylesheet=Path(params.stylesheet),
        path=outputs.report,
    )
