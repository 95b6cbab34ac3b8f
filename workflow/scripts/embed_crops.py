"""Embed the crops of a shard."""

from pathlib import Path

from tessera.core.job import job
from tessera.core.weights.resolve import expected_digest
from tessera.pipeline.embeddings.embed import embed_crops
from tessera.pipeline.embeddings.settings import EmbeddingSettings

with job(snakemake) as (inputs, outputs, params):
    embed_crops(
        crops=inputs.crops,
        images=inputs.pictures,
        sources=inputs.sources,
        steps=params.steps,
        weights=inputs.weights,
        expected=expected_digest(params.settings["weights"], inputs.checksums),
        settings=EmbeddingSettings(**params.settings),
        kept=Path(snakemake.output.table).parent / "kept" / snakemake.wildcards.embedding,
        code=params.embedded_by,
        threads=snakemake.threads,
        **vars(outputs),
    )
