"""Measure the restoration model, and others, on clips that it was not trained on, and write restored samples."""

from tessera.core.job import job
from tessera.records.tables.splits import sources_of
from tessera.stages.restoration.evaluate import evaluate_restoration
from tessera.stages.restoration.settings import DataSettings, GeneratorSettings, MetricsSettings

with job(snakemake) as (inputs, outputs, params):
    evaluate_restoration(
        folders={folder.name: folder for folder in inputs.folders},
        checkpoint=inputs.checkpoint,
        compared=dict(zip(params.compared, inputs.compared, strict=True)),
        metrics=outputs.metrics,
        frames=outputs.frames,
        ledger=outputs.ledger,
        pictures=outputs.pictures,
        speed=outputs.speed,
        generator=GeneratorSettings(**params.generator),
        data=DataSettings(**params.data),
        settings=MetricsSettings(**params.settings),
        sources=sources_of(inputs.splits),
        lpips=inputs.lpips or None,
        seed=params.seed,
        threads=snakemake.threads,
    )
