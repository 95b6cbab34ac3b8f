"""Render videos and stills with known truth, and the labels that a person would draw in them."""

from tessera.demo import render_demo_footage
from tessera.job import job

with job(snakemake) as (_, outputs, params):
    render_demo_footage(outputs.footage, params.seed, threads=snakemake.threads)
