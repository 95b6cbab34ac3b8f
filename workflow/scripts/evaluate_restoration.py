"""Measure the restoration model on clips that it was not trained on, and write restored samples."""

from tessera.core.environments.run import run_inside
from tessera.core.job import job
from tessera.pipeline.restoration.settings import DataSettings, GeneratorSettings, MetricsSettings

with job(snakemake) as (inputs, outputs, params):
    run_inside(
        inputs.environment,
        "tessera.pipeline.restoration.evaluate:evaluate_restoration",
        folders={folder.name: folder for folder in inputs.folders},
        checkpoint=inputs.checkpoint,
        metrics=outputs.metrics,
        ledger=outputs.ledger,
        pictures=outputs.pictures,
        generator=GeneratorSettings(**params.generator),
        data=DataSettings(**params.data),
        settings=MetricsSettings(**params.settings),
        lpips=inputs.lpips or None,
        seed=params.seed,
        threads=snakemake.threads,
    )
