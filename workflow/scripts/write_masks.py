"""Write the masks of the selected faces of a set."""

from tessera.core.job import job
from tessera.extras.face_sets.write import write_masks

with job(snakemake) as (inputs, outputs, params):
    write_masks(faces=inputs.faces, tables=inputs.tables, folders=inputs.folders, **vars(outputs))
