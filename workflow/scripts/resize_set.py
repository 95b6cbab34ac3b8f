"""Scale the pictures of an image set down, and encode them."""

from pathlib import Path

from tessera.core.job import job
from tessera.extras.image_sets.resize import resize_set
from tessera.extras.image_sets.settings import PictureSettings

with job(snakemake) as (inputs, outputs, params):
    resize_set(
        selected=inputs.selected,
        cache=Path(snakemake.output.table).parent / "kept",
        settings=PictureSettings(**params.settings),
        code=params.encode_code,
        threads=snakemake.threads,
        **vars(outputs),
    )
