"""Build an environment from its lock file."""

from tessera.core.environments.build import build_environment
from tessera.core.job import job

with job(snakemake) as (inputs, outputs, params):
    build_environment(inputs.lock, outputs.environment)
