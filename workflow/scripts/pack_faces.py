"""Write a face set as one file, the faceset.pak of DeepFaceLab."""

from tessera.core.job import job
from tessera.extras.face_sets.write import pack_faces

with job(snakemake) as (inputs, outputs, params):
    pack_faces(faces=inputs.faces, aligned=inputs.aligned, **vars(outputs))
