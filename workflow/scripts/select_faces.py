"""Select the faces of a set."""

from tessera.core.job import job
from tessera.extras.face_sets.select import select_faces
from tessera.extras.face_sets.settings import FaceFilterSettings
from tessera.records.decisions import Decision

with job(snakemake) as (inputs, outputs, params):
    select_faces(
        tables=inputs.tables,
        folders=inputs.folders,
        orders=inputs.orders,
        distances=inputs.distances or None,
        settings=FaceFilterSettings(**params.settings),
        decisions=[Decision(**row) for row in params.decisions],
        **vars(outputs),
    )
