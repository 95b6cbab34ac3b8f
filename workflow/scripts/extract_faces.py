"""Cut the faces of a set out of the sampled frames of a shard."""

from pathlib import Path

from tessera.core.job import job
from tessera.core.pool import keep_freed_memory
from tessera.extras.face_sets.extract import extract_faces
from tessera.extras.face_sets.settings import FaceSetSettings
from tessera.records.subjects import Subject

with job(snakemake) as (inputs, outputs, params):
    keep_freed_memory()
    extract_faces(
        frames=inputs.frames,
        images=inputs.images,
        sources=inputs.sources,
        subject=Subject.model_validate(params.subject),
        detector=inputs.detector or None,
        landmarks=inputs.landmarks or None,
        settings=FaceSetSettings(**params.settings),
        cache=Path(snakemake.output.table).parent / "kept",
        code=params.extract_code,
        threads=snakemake.threads,
        **vars(outputs),
    )
