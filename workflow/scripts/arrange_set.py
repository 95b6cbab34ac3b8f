"""Arrange the pictures of an image set in folders, and balance these."""

from tessera.core.job import job
from tessera.extras.image_sets.arrange import arrange_set
from tessera.extras.image_sets.arrangement_settings import ArrangementSettings

with job(snakemake) as (inputs, outputs, params):
    arrange_set(
        selected=inputs.selected,
        splits=inputs.splits,
        weights=inputs.weights or None,
        settings=ArrangementSettings(**params.settings),
        **vars(outputs),
    )
