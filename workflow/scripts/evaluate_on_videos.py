"""Run a detector on consecutive frames of videos that it was not trained on, and follow what it finds."""

from pathlib import Path

from tessera.core.job import job
from tessera.learning.detection.settings import InferenceSettings
from tessera.learning.detection.tracking import TrackSettings
from tessera.records.confidence import with_confidences
from tessera.stages.detectors.watch import VideoMetricSettings, evaluate_on_videos

with job(snakemake) as (inputs, outputs, params):
    preview = with_confidences(settings=params.preview, part="preview", targets=params.targets, measured=inputs.measured)
    # The size of the training, rounded up as ultralytics does.
    size = -(-params.image_size // 32) * 32
    evaluate_on_videos(
        sources=inputs.sources,
        splits=inputs.splits,
        weights=inputs.weights,
        expected=inputs.checksums,
        model=snakemake.wildcards.model,
        free=params.free,
        detect=InferenceSettings(confidence=preview["confidence"], image_size=size),
        settings=VideoMetricSettings(**params.settings),
        following=TrackSettings(**params.track),
        cached=Path(snakemake.output.videos).parent / "kept",
        code=params.video_code,
        threads=snakemake.threads,
        videos=outputs.videos,
        ledger=outputs.ledger,
    )
