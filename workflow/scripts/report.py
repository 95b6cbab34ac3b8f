"""Write all figures to one HTML file."""

import json
from datetime import UTC, datetime
from pathlib import Path

from tessera.configuration.changed import changed_settings
from tessera.core.job import job
from tessera.core.log import tell
from tessera.pages.report.report import write_report
from tessera.pages.report.summary import finding_nothing
from tessera.records.decisions import count_matching

with job(snakemake) as (inputs, outputs, params):
    decided = count_matching(decided=params.decided, ledgers=inputs.matched)
    # Not a param: many settings change no figure, and one that does makes the figure again, and so the report.
    changed, defaults = changed_settings(snakemake.config)
    write_report(
        figures=params.figures,
        summary=inputs.summary,
        numbers=inputs.numbers,
        counts=dict(zip(params.datasets, inputs.counts, strict=True)),
        datasheets=dict(zip(params.datasets, inputs.datasheets, strict=True)),
        models=params.models,
        decided=decided,
        idle=len(params.decided) - sum(count for *_, count in decided),
        run=inputs.run,
        made=f"{datetime.now(UTC):%Y-%m-%d %H:%M}",
        name=params.name,
        files=params.files,
        changed=changed,
        defaults=defaults,
        captions=Path(params.captions),
        context={"config": snakemake.config, "descriptions": params.descriptions},
        former=Path(snakemake.output.runs),
        runs=outputs.runs,
        path=outputs.report,
    )
    nothing = finding_nothing(json.loads(inputs.numbers.read_text(encoding="utf-8")))
    tell("; ".join([f"open {snakemake.output.report}", *nothing]))
