"""Learn the starter restorer from the pictures of the starter models."""

from tessera.core.job import job
from tessera.demo.packages import read_pictures
from tessera.demo.restorer import learn_starter_restorer

with job(snakemake) as (inputs, outputs, params):
    learn_starter_restorer(
        pictures=read_pictures(),
        folder=inputs.pictures,
        weights=outputs.weights,
        patterns=params.patterns,
        seed=params.seed,
    )
