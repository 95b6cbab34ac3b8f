"""Draw where the restoration model is good and where it fails: by block size, motion, position and degradation."""

from tessera.core.job import job
from tessera.pages.report.restoration import draw_where

with job(snakemake) as (inputs, outputs, params):
    draw_where(inputs.metrics, outputs.figure)
