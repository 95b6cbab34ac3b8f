"""Draw what became of the videos, from sources to clips, and why the rest was left out."""

import json

from tessera.core.job import job
from tessera.core.ledger import read_ledger, summarise
from tessera.pipeline.report.counts import count_splits, count_step, draw_dropped, draw_funnel, tabulate_steps

UNITS = {"admission": "sources", "detecting": "sources", "following": "tracks"}

with job(snakemake) as (inputs, outputs, params):
    counts = [step for path in inputs.gates for step in json.loads(path.read_text(encoding="utf-8")).items()]
    counts += [("filtering", summarise(read_ledger(inputs.filtering)))]
    steps = [count_step(name, UNITS.get(name, "clips"), summary) for name, summary in counts]
    splits = count_splits(inputs.splits)
    draw_funnel(steps, splits, outputs.funnel, "clips")
    draw_dropped(steps, outputs.dropped)
    tabulate_steps(steps, splits, outputs.table, "clips")
