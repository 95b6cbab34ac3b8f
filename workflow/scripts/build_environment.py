"""Make an environment from its lock file."""

from tessera.locks import build_environment
from tessera.job import job

with job(snakemake) as (inputs, outputs, params):
    build_environment(inputs.lock, outputs.environment)
