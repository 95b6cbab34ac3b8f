"""Embed the pictures of the dataset of a classifier."""

from pathlib import Path

from tessera.core.job import job
from tessera.core.ledger import gate
from tessera.core.weights.resolve import expected_digest
from tessera.pipeline.embeddings.embed import embed_dataset
from tessera.pipeline.embeddings.settings import EmbeddingSettings

with job(snakemake) as (inputs, outputs, params):
    embed_dataset(
        pictures=inputs.pictures,
        images=inputs.images,
        weights=inputs.weights,
        expected=expected_digest(params.settings["weights"], inputs.checksums),
        settings=EmbeddingSettings(**params.settings),
        kept=Path(snakemake.output.table).parent / "kept" / snakemake.wildcards.embedding,
        code=params.embedded_by,
        threads=snakemake.threads,
        **vars(outputs),
    )
    gate("embeddings", [outputs.ledger], params.max_failed)
