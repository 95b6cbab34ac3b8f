"""Show where detectors fail, and what the confidences in the settings decide."""

from tessera.core.job import job
from tessera.pages.report.failures import (
    count_false_positives,
    draw_failures,
    draw_thresholds,
    read_cases,
    tabulate_failures,
)
from tessera.pages.report.settings import ReportSettings
from tessera.pages.report.tiles import find_clear
from tessera.pages.report.videos import describe_videos
from tessera.records.confidence import with_confidences

with job(snakemake) as (inputs, outputs, params):
    cases = read_cases(
        objects=inputs.objects,
        detections=inputs.detections,
        splits=inputs.splits,
        mosaics=inputs.mosaics,
        ledger=inputs.ledger,
    )
    preview = with_confidences(settings=params.preview, part="preview", targets=params.targets, measured=inputs.measured)
    confidence = preview["confidence"]
    videos = describe_videos(
        videos=inputs.videos,
        ledger=inputs.watched,
        objects=cases.objects.filter(model=snakemake.wildcards.model),
        confidence=confidence,
        finds=params.finds,
        free=params.free,
    )
    tabulate_failures(cases=cases, confidence=confidence, videos=videos, path=outputs.table)
    count_false_positives(cases=cases, videos=inputs.videos, confidence=confidence, path=outputs.clean)
    draw_thresholds(cases=cases, settings=params.confidences, path=outputs.thresholds)
    clear = find_clear(
        splits=inputs.splits, sources=inputs.sources, sets=params.sets, settings=ReportSettings(**params.settings)
    )
    draw_failures(cases=cases, confidence=confidence, images=inputs.images, clear=clear, path=outputs.pictures)
