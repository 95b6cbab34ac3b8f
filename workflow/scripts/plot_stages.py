"""Draw the losses of each stage, and its PSNR on the validation split."""

from tessera.core.job import job
from tessera.pages.report.restoration import draw_stages

with job(snakemake) as (inputs, outputs, params):
    draw_stages({file.parent.name: file for file in inputs.curves}, outputs.figure)
