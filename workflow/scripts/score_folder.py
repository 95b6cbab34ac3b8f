"""Apply a classifier to the pictures in a folder."""

from pathlib import Path

from tessera.core.job import job
from tessera.extras.classifiers.folder import score_folder
from tessera.extras.classifiers.predict import use_of

with job(snakemake) as (inputs, outputs, params):
    score_folder(
        folder=Path(params.folder),
        use=use_of(
            settings=params.settings,
            classifier=inputs.classifier,
            checksums=inputs.checksums,
            embedder=inputs.embedder,
            embedder_checksums=inputs.embedder_checksums,
        ),
        blocklist=inputs.blocklist,
        blocklist_distance=params.blocklist_distance,
        threads=snakemake.threads,
        **vars(outputs),
    )
