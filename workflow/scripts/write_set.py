"""Write an image set in the layout of a trainer."""

from tessera.core.job import job
from tessera.extras.image_sets.settings import LayoutSettings
from tessera.extras.image_sets.write import write_set

with job(snakemake) as (inputs, outputs, params):
    write_set(
        selected=inputs.selected,
        splits=inputs.splits,
        resized=inputs.resized,
        images=inputs.images,
        captions=inputs.captions or None,
        arrangement=inputs.arrangement or None,
        layout=snakemake.wildcards.layout,
        settings=LayoutSettings(**{snakemake.wildcards.layout: params.settings}),
        seed=params.seed,
        written=outputs.folder,
    )
