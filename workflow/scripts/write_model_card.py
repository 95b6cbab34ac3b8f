"""Describe a model to those who use it."""

from tessera.cards import write_model_card
from tessera.job import job

with job(snakemake) as (inputs, outputs, params):
    write_model_card(
        snakemake.wildcards.model,
        [inputs.checkpoint, inputs.onnx],
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
