"""Apply a classifier to the sampled frames of a shard."""

from pathlib import Path

from tessera.core.job import job
from tessera.core.weights.resolve import expected_digest
from tessera.imaging.classification.settings import Tiling
from tessera.pipeline.classifiers.predict import score_frames

with job(snakemake) as (inputs, outputs, params):
    score_frames(
        frames=inputs.frames,
        images=inputs.pictures,
        classifier=inputs.classifier,
        expected=expected_digest(params.settings["weights"], inputs.checksums),
        tiling=params.settings["tiling"] and Tiling(**params.settings["tiling"]),
        kept=Path(snakemake.output.scored).parent / "kept" / snakemake.wildcards.classifier,
        code=params.scored_by,
        threads=snakemake.threads,
        **vars(outputs),
    )
