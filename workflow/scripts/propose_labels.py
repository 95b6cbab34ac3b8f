"""Offer predictions as labelme files, for a person to correct."""

from tessera.annotations.proposals import ProposalSettings, propose_labels
from tessera.job import job

with job(snakemake) as (inputs, outputs, params):
    settings = ProposalSettings(**params.settings)
    propose_labels(inputs.sources, inputs.frames, inputs.predictions, params.confidence, settings, **vars(outputs))
