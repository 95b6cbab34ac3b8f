"""Apply a classifier to the clips of a shard."""

from pathlib import Path

from tessera.core.job import job
from tessera.extras.classifiers.predict import classify_clips, use_of

with job(snakemake) as (inputs, outputs, params):
    classify_clips(
        clips=inputs.clips,
        images=inputs.pictures,
        samples=params.samples,
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
