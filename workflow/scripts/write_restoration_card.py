"""Describe the restoration model to those who use it."""

from tessera.cards import write_restoration_card
from tessera.job import job

with job(snakemake) as (inputs, outputs, params):
    write_restoration_card(
        [inputs.safetensors, inputs.application],
        inputs.checksums,
        inputs.datasheet,
        inputs.metrics,
        inputs.export,
        outputs.data,
        outputs.text,
        settings=params.settings,
        seed=params.seed,
        code=params.trained_by,
    )
