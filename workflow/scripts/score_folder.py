"""Apply a classifier to the pictures in a folder."""

from pathlib import Path

from tessera.core.job import job
from tessera.core.weights.resolve import expected_digest
from tessera.imaging.classification.settings import Tiling
from tessera.pipeline.classifiers.folder import score_folder

with job(snakemake) as (inputs, outputs, params):
    score_folder(
        folder=Path(params.folder),
        classifier=inputs.classifier,
        expected=expected_digest(params.settings["weights"], inputs.checksums),
        tiling=params.settings["tiling"] and Tiling(**params.settings["tiling"]),
        threads=snakemake.threads,
        **vars(outputs),
    )
