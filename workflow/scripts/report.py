"""Write all figures to one HTML file."""

from pathlib import Path

from tessera.core.job import job
from tessera.pages.report.report import write_report
from tessera.pages.report.run import changed_settings
from tessera.records.decisions import count_matching

with job(snakemake) as (inputs, outputs, params):
    decided = count_matching(decided=params.decided, ledgers=inputs.matched)
    write_report(
        figures=params.figures,
        summary=inputs.summary,
        counts=dict(zip(params.datasets, inputs.counts, strict=True)),
        datasheets=dict(zip(params.datasets, inputs.datasheets, strict=True)),
        models=params.models,
        decided=decided,
        idle=len(params.decided) - sum(count for *_, count in decided),
        run=inputs.run,
        name=params.name,
        # Captions may name any setting, and all that are not the defaults are listed. A setting that matters to a figure makes
        # it again, and so the report.
        changed=changed_settings(settings=snakemake.config, defaults=params.defaults),
        captions=Path(params.captions),
        context={"config": snakemake.config, "descriptions": params.descriptions},
        path=outputs.report,
    )
