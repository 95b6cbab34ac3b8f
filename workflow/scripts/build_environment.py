"""Make an environment from its lock file."""

from tessera.job import job
from tessera.locks import build_environment

with job(snakemake) as (inputs, outputs, params):
    build_environment(inputs.lock, outputs.environment)
