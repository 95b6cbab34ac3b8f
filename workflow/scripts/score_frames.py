"""Apply a classifier to the sampled frames of a shard."""

from pathlib import Path

from tessera.core.job import job
from tessera.extras.classifiers.predict import score_frames, use_of

with job(snakemake) as (inputs, outputs, params):
    score_frames(
        frames=inputs.frames,
        images=inputs.pictures,
        use=use_of(
            settings=params.settings,
            classifier=inputs.classifier,
            checksums=inputs.checksums,
            embedder=inputs.embedder,
            embedder_checksums=inputs.embedder_checksums,
        ),
        cache=Path(snakemake.output.scored).parent / "kept" / snakemake.wildcards.classifier,
        code=params.score_code,
        threads=snakemake.threads,
        **vars(outputs),
    )
