"""Draw what became of the footage, from sources to samples, and why the rest was left out."""

from tessera.figures import count_splits, count_step, draw_dropped, draw_funnel, tabulate_steps
from tessera.job import job

with job(snakemake) as (inputs, outputs, params):
    steps = [
        count_step("admission", "sources", inputs.sources),
        count_step("sampling", "images", inputs.frames),
        count_step("labels of frames", "images", inputs.frame_labels),
        count_step("labels in folders", "images", inputs.folder_labels),
        count_step("near-duplicates", "images", [inputs.duplicates]),
        count_step("selection", "images", [inputs.selection]),
    ]
    regions = count_step("writing", "regions", [inputs.writing])
    splits = count_splits(inputs.splits)
    draw_funnel(steps, splits, outputs.funnel)
    draw_dropped([*steps, regions], outputs.dropped)
    tabulate_steps([*steps, regions], splits, outputs.table)
