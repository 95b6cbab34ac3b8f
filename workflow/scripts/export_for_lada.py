"""Export a detector for Lada's application, which passes BGR."""

from tessera.core.job import job
from tessera.stages.detectors.export import export_for_lada

with job(snakemake) as (inputs, outputs, params):
    export_for_lada(weights=inputs.weights, checkpoint=outputs.checkpoint)
