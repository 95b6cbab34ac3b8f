"""Mask the faces of a set in a shard."""

from pathlib import Path

from tessera.core.job import job
from tessera.extras.face_sets.masks import mask_faces
from tessera.learning.mask_settings import MaskModelSettings
from tessera.records.subjects import Subject

with job(snakemake) as (inputs, outputs, params):
    mask_faces(
        faces=inputs.faces,
        images=inputs.images,
        subject=Subject.model_validate(params.subject),
        weights=inputs.weights or None,
        model=MaskModelSettings(**params.settings["model"]),
        by_hand=Path(params.settings["by_hand"]) if params.settings["by_hand"] else None,
        cache=Path(snakemake.output.table).parent / "outlined",
        code=params.mask_code,
        **vars(outputs),
    )
