"""Find the mosaics in the sources of a shard that are restored, and follow them."""

from functools import partial
from pathlib import Path

from tessera.core.job import job
from tessera.learning.detection.tracking import MosaicTrackSettings, track_mosaics
from tessera.learning.weights.resolve import expected_digest
from tessera.records.confidence import with_confidences
from tessera.stages.clips.detect import VideoDetectionSettings, detect_videos
from tessera.stages.clips.find import find_scenes
from tessera.stages.clips.tracks import SceneSettings

with job(snakemake) as (inputs, outputs, params):
    choose = with_confidences(settings=params.choose, part="restore.choose", targets=params.targets, measured=inputs.measured)
    detect_videos(
        sources=inputs.sources,
        admission=inputs.admission,
        weights=inputs.weights,
        expected=expected_digest(params.detect["weights"], inputs.checksums),
        datasets=None,
        wanted=params.wanted,
        spans=params.spans,
        measures_grids=True,
        settings=VideoDetectionSettings(**params.detect),
        cache=Path(snakemake.output.scenes).parent / "kept" / "detections",
        code=params.detected_by,
        threads=snakemake.threads,
        frames=outputs.frames,
        detections=outputs.detections,
        ledger=outputs.detection_ledger,
    )
    find_scenes(
        frames=outputs.frames,
        detections=outputs.detections,
        follow=partial(track_mosaics, settings=MosaicTrackSettings(**params.track)),
        settings=SceneSettings(**choose),
        seed=params.seed,
        scenes=outputs.scenes,
        scene_frames=outputs.scene_frames,
        ledger=outputs.scene_ledger,
        threads=snakemake.threads,
    )
