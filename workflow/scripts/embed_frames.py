"""Embed the sampled frames of a shard, and its labelled frames that were not sampled."""

from pathlib import Path

from tessera.core.job import job
from tessera.core.weights.resolve import expected_digest
from tessera.pipeline.embeddings.embed import embed_pictures
from tessera.pipeline.embeddings.settings import EmbeddingSettings

with job(snakemake) as (inputs, outputs, params):
    embed_pictures(
        frames=inputs.frames,
        images=inputs.pictures,
        labelled=inputs.labelled,
        weights=inputs.weights,
        expected=expected_digest(params.settings["weights"], inputs.checksums),
        settings=EmbeddingSettings(**params.settings),
        kept=Path(snakemake.output.table).parent / "kept" / snakemake.wildcards.embedding,
        code=params.embedded_by,
        threads=snakemake.threads,
        **vars(outputs),
    )
