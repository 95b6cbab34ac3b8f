"""Measure the restoration model, and others, on clips that it was not trained on, and write restored samples."""

import tempfile
from pathlib import Path

from tessera.core.environments.run import run_inside
from tessera.core.job import job
from tessera.pipeline.restoration.settings import DataSettings, GeneratorSettings, MetricsSettings
from tessera.pipeline.restoration.tabulate import tabulate_frames
from tessera.records.tables.splits import sources_of

with job(snakemake) as (inputs, outputs, params):
    lines = Path(tempfile.gettempdir(), "frames.jsonl")
    run_inside(
        inputs.environment,
        "tessera.pipeline.restoration.evaluate:evaluate_restoration",
        folders={folder.name: folder for folder in inputs.folders},
        checkpoint=inputs.checkpoint,
        compared=dict(zip(params.compared, inputs.compared, strict=True)),
        metrics=outputs.metrics,
        frames=lines,
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
    tabulate_frames(lines, outputs.frames)
