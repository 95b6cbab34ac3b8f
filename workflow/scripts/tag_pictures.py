"""Run the tagger on the sampled frames and the crops of a shard."""

from pathlib import Path

from tessera.core.job import job
from tessera.extras.tagging.settings import TaggerSettings
from tessera.extras.tagging.tag import tag_pictures

with job(snakemake) as (inputs, outputs, params):
    tag_pictures(
        frames=inputs.frames,
        images=inputs.pictures,
        crops=inputs.crops,
        cropped=inputs.cropped,
        weights=inputs.weights,
        tag_list=inputs.tag_list,
        settings=TaggerSettings(**params.settings),
        cache=Path(snakemake.output.table).parent / "kept",
        code=params.tag_code,
        threads=snakemake.threads,
        **vars(outputs),
    )
