"""Draw what became of the footage, from sources to samples, and why the rest was left out."""

import json

from tessera.core.job import job
from tessera.core.ledger import read_ledger, summarise
from tessera.pipeline.report.counts import count_splits, count_step, draw_dropped, draw_funnel, tabulate_steps

# What is counted where it is not images.
UNITS = {"admission": "sources", "what detectors saw": "regions", "mosaics": "regions"}

with job(snakemake) as (inputs, outputs, params):
    counts = [step for path in inputs.gates for step in json.loads(path.read_text(encoding="utf-8")).items()]
    if inputs.duplicates:
        counts += [("near-duplicates", summarise(read_ledger(inputs.duplicates)))]
    counts += [("selection", summarise(read_ledger(inputs.selection)))]
    steps = [count_step(name, UNITS.get(name, "images"), summary) for name, summary in counts]
    regions = count_step("writing", "regions", summarise(read_ledger(inputs.writing)))
    splits = count_splits(inputs.splits)
    draw_funnel([*steps, regions], splits, outputs.funnel)
    draw_dropped([*steps, regions], outputs.dropped)
    tabulate_steps([*steps, regions], splits, outputs.table)
