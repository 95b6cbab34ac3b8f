"""Show clips mosaicked, restored and clean, as pictures and as animations."""

from tessera.core.job import job
from tessera.pipeline.report.restoration import draw_restored, show_restored
from tessera.pipeline.report.settings import ReportSettings
from tessera.pipeline.report.tiles import find_clear

with job(snakemake) as (inputs, outputs, params):
    settings = ReportSettings(**params.settings)
    clear = find_clear(splits=inputs.splits, sources=inputs.sources, sets=params.sets, settings=settings)
    for split in ("val", "test"):
        sample = {"folder": inputs.pictures, "split": split, "clear": clear, "settings": settings}
        draw_restored(**sample, path=getattr(outputs, split))
        show_restored(**sample, path=getattr(outputs, f"{split}_moving"))
