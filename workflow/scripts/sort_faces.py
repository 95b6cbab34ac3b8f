"""Sort the faces of a set in each way, and draw a sheet of each sort."""

from tessera.core.job import job
from tessera.core.pool import keep_freed_memory

with job(snakemake) as (inputs, outputs, params):
    # NumPy reads the number of threads, which the job sets, when it is imported.
    from tessera.extras.face_sets.sort import sort_faces

    keep_freed_memory()
    sort_faces(tables=inputs.tables, folders=inputs.folders, **vars(outputs), threads=snakemake.threads)
