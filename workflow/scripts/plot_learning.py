"""Plot what a classifier had reached after each round of answers."""

from tessera.core.job import job
from tessera.pages.report.learning import draw_learning

with job(snakemake) as (inputs, outputs, params):
    draw_learning(rounds=params.rounds, **vars(inputs), **vars(outputs))
