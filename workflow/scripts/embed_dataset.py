"""Embed the pictures of the dataset of a classifier."""

from pathlib import Path

from tessera.core.job import job
from tessera.core.ledger import gate
from tessera.extras.near_duplicates.embed import embed_dataset
from tessera.extras.near_duplicates.settings import EmbeddingSettings
from tessera.learning.weights.resolve import expected_digest

with job(snakemake) as (inputs, outputs, params):
    embed_dataset(
        pictures=inputs.pictures,
        images=inputs.images,
        weights=inputs.weights,
        expected=expected_digest(params.settings["weights"], inputs.checksums),
        settings=EmbeddingSettings(**params.settings),
        cache=Path(snakemake.output.table).parent / "kept" / snakemake.wildcards.embedding,
        code=params.embed_code,
        threads=snakemake.threads,
        **vars(outputs),
    )
    gate("embeddings", [outputs.ledger], params.max_failed)
