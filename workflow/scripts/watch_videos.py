"""Run a detector on consecutive frames of videos that it was not trained on, and follow what it finds."""

from pathlib import Path

from tessera.core.job import job
from tessera.imaging.detection.settings import InferenceSettings
from tessera.pipeline.clips.track import TrackSettings
from tessera.pipeline.clips.watch import VideoMetricSettings, watch_videos
from tessera.records.confidence import with_confidences

with job(snakemake) as (inputs, outputs, params):
    preview = with_confidences(settings=params.preview, part="preview", targets=params.targets, measured=inputs.measured)
    # The size of the training, rounded up as ultralytics does.
    size = -(-params.image_size // 32) * 32
    watch_videos(
        sources=inputs.sources,
        splits=inputs.splits,
        weights=inputs.weights,
        expected=inputs.checksums,
        model=snakemake.wildcards.model,
        free=params.free,
        detect=InferenceSettings(confidence=preview["confidence"], image_size=size),
        settings=VideoMetricSettings(**params.settings),
        following=TrackSettings(**params.track),
        kept=Path(snakemake.output.videos).parent / "kept",
        code=params.watched_by,
        threads=snakemake.threads,
        videos=outputs.videos,
        ledger=outputs.ledger,
    )
