"""Write the selected faces of a set."""

from tessera.core.job import job
from tessera.extras.face_sets.write import write_face_set

with job(snakemake) as (inputs, outputs, params):
    write_face_set(selected=inputs.selected, tables=inputs.tables, folders=inputs.folders, **vars(outputs))
