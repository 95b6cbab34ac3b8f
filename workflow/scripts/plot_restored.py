"""Show clips mosaicked, restored and clean, and let them move."""

from tessera.core.job import job
from tessera.pipeline.report.restoration import draw_restored, show_restored
from tessera.pipeline.report.settings import ReportSettings

with job(snakemake) as (inputs, outputs, params):
    settings = ReportSettings(**params.settings)
    for split in ("val", "test"):
        draw_restored(folder=inputs.pictures, split=split, settings=settings, path=getattr(outputs, split))
        show_restored(folder=inputs.pictures, split=split, settings=settings, path=getattr(outputs, f"{split}_moving"))
