"""Write the captions of an image set."""

from tessera.core.job import job
from tessera.extras.image_sets.caption_settings import CaptionSettings
from tessera.extras.image_sets.captions import caption_set

with job(snakemake) as (inputs, outputs, params):
    caption_set(
        selected=inputs.selected,
        tags=inputs.tags,
        tag_list=inputs.tag_list or None,
        image_set=params.image_set,
        frames=inputs.frames,
        sources=inputs.sources[0] if inputs.sources else None,
        identities=inputs.identities,
        settings=CaptionSettings(**params.settings),
        seed=params.seed,
        **vars(outputs),
    )
