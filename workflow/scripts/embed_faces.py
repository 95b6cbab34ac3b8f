"""Embed the faces of a set in a shard."""

from pathlib import Path

from tessera.core.job import job
from tessera.extras.face_sets.identity import embed_faces
from tessera.extras.face_sets.settings import IdentitySettings
from tessera.records.subjects import Subject

with job(snakemake) as (inputs, outputs, params):
    embed_faces(
        **vars(inputs),
        subject=Subject.model_validate(params.subject),
        settings=IdentitySettings(**params.settings),
        cache_folder=Path(snakemake.output.table).parent / "embedded",
        code=params.embed_code,
        threads=snakemake.threads,
        **vars(outputs),
    )
