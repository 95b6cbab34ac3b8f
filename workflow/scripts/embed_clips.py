"""Embed the clips of a shard."""

from pathlib import Path

from tessera.core.job import job
from tessera.extras.near_duplicates.embed import embed_clips
from tessera.extras.near_duplicates.settings import EmbeddingSettings
from tessera.learning.weights.resolve import expected_digest

with job(snakemake) as (inputs, outputs, params):
    embed_clips(
        clips=inputs.clips,
        images=inputs.pictures,
        samples=params.samples,
        weights=inputs.weights,
        expected=expected_digest(params.settings["weights"], inputs.checksums),
        settings=EmbeddingSettings(**params.settings),
        cache=Path(snakemake.output.table).parent / "kept" / snakemake.wildcards.embedding,
        code=params.embed_code,
        threads=snakemake.threads,
        **vars(outputs),
    )
