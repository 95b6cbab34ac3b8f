"""Sample frames of the sources of a shard."""

from pathlib import Path

from tessera.core.job import job
from tessera.stages.footage.sampling import FrameSettings, sample_frames

with job(snakemake) as (inputs, outputs, params):
    sample_frames(
        sources=inputs.sources,
        files=inputs.stills,
        cache=Path(snakemake.output.table).parent / "kept",
        settings=FrameSettings(**params.settings),
        code=params.code,
        threads=snakemake.threads,
        **vars(outputs),
    )
