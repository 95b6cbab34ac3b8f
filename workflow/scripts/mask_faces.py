"""Write the masks of the faces of a set."""

from tessera.core.job import job
from tessera.extras.face_sets.write import mask_faces

with job(snakemake) as (inputs, outputs, params):
    mask_faces(faces=inputs.faces, **vars(outputs))
