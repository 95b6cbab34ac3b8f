"""Show the scores of the pictures in a folder: a table, copies or links by bracket, and contact sheets."""

from pathlib import Path

from tessera.core.job import job
from tessera.extras.classifiers.folder import show_scores
from tessera.extras.classifiers.settings import ScoreSettings

with job(snakemake) as (inputs, outputs, params):
    show_scores(
        **vars(inputs), folder=Path(params.settings["folder"]), settings=ScoreSettings(**params.settings), **vars(outputs)
    )
