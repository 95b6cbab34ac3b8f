"""Unpack a faceset.pak of others."""

from tessera.core.job import job
from tessera.extras.face_sets.unpack import unpack_faces
from tessera.records.subjects import Subject

with job(snakemake) as (inputs, outputs, params):
    unpack_faces(
        pack=inputs.pack,
        blocklist=inputs.blocklist,
        blocklist_distance=params.blocklist_distance,
        subject=Subject.model_validate(params.subject),
        **vars(outputs),
    )
