"""Embed the sampled frames of a shard, and its labelled frames that were not sampled."""

from pathlib import Path

from tessera.core.job import job
from tessera.extras.near_duplicates.embed import embed_pictures
from tessera.extras.near_duplicates.settings import EmbeddingSettings
from tessera.learning.weights.resolve import expected_digest

with job(snakemake) as (inputs, outputs, params):
    embed_pictures(
        frames=inputs.frames,
        images=inputs.pictures,
        labelled=inputs.labelled,
        weights=inputs.weights,
        expected=expected_digest(params.settings["weights"], inputs.checksums),
        settings=EmbeddingSettings(**params.settings),
        cache=Path(snakemake.output.table).parent / "kept" / snakemake.wildcards.embedding,
        code=params.embed_code,
        threads=snakemake.threads,
        **vars(outputs),
    )
