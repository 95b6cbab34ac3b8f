"""Apply a classifier to the clips of a shard."""

from pathlib import Path

from tessera.core.job import job
from tessera.core.weights.resolve import expected_digest
from tessera.imaging.classification.settings import Tiling
from tessera.pipeline.classifiers.predict import classify_clips

with job(snakemake) as (inputs, outputs, params):
    classify_clips(
        clips=inputs.clips,
        images=inputs.pictures,
        samples=params.samples,
        classifier=inputs.classifier,
        expected=expected_digest(params.settings["weights"], inputs.checksums),
        tiling=params.settings["tiling"] and Tiling(**params.settings["tiling"]),
        kept=Path(snakemake.output.scored).parent / "kept" / snakemake.wildcards.classifier,
        code=params.scored_by,
        threads=snakemake.threads,
        **vars(outputs),
    )
