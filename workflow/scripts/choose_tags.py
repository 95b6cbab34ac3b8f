"""Choose the tags whose score reaches the threshold of their category."""

from tessera.core.job import job
from tessera.extras.tagging.settings import TagThresholds
from tessera.extras.tagging.tag import choose_tags

with job(snakemake) as (inputs, outputs, params):
    choose_tags(tables=inputs.tables, thresholds=TagThresholds(**params.thresholds), **vars(outputs))
