"""Measure how far the faces of a set are from its person, and draw a sheet of the nearest and the farthest."""

from tessera.core.job import job
from tessera.extras.face_sets.identity import compare_faces
from tessera.records.decisions import Decision

with job(snakemake) as (inputs, outputs, params):
    compare_faces(
        **vars(inputs),
        references=params.references,
        decisions=[Decision(**row) for row in params.decisions],
        **vars(outputs),
    )
