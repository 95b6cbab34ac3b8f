"""Build an environment from its lock file."""

from tessera.core.environments import build_environment
from tessera.core.job import job

# Not recorded: uv has verified each file, and Python adds compiled ones.
with job(snakemake, is_recorded=False) as (inputs, outputs, params):
    build_environment(inputs.lock, outputs.environment)
