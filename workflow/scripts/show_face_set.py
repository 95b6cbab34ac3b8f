"""Show which faces of a face set were selected, and sheets of its sorts."""

from tessera.core.job import job
from tessera.pages.report.face_sets import show_face_set
from tessera.pages.report.settings import ReportSettings

with job(snakemake) as (inputs, outputs, params):
    show_face_set(
        name=snakemake.wildcards.dataset,
        **vars(inputs),
        settings=ReportSettings(**params.settings),
        page=outputs.page,
    )
