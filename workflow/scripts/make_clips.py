"""Detect and track regions in the videos of a shard, cut clips of the scenes, and score them."""

from functools import partial
from pathlib import Path

from tessera.core.job import job
from tessera.core.provenance import sha256_file
from tessera.imaging.mosaic.drawing import block_sizes
from tessera.learning.detection.detector import Detector
from tessera.learning.detection.settings import TrainedDetectionSettings
from tessera.learning.detection.tracking import TrackSettings, track
from tessera.learning.weights.resolve import expected_digest
from tessera.records.confidence import with_confidences
from tessera.stages.clips.cut import cut_clips
from tessera.stages.clips.detect import SceneDetectionSettings, detect_videos
from tessera.stages.clips.find import find_scenes
from tessera.stages.clips.scoring import score_clips
from tessera.stages.clips.settings import ClipSettings
from tessera.stages.clips.tracks import SceneSettings

with job(snakemake) as (inputs, outputs, params):
    scene_settings = with_confidences(
        settings=params.scene_settings, part="scenes", targets=params.targets, measured=inputs.measured
    )
    score_settings = with_confidences(
        settings=params.score_settings, part="scores", targets=params.targets, measured=inputs.measured
    )
    detect_videos(
        sources=inputs.sources,
        admission=inputs.admission,
        weights=inputs.weights or None,
        expected=expected_digest(scene_settings["detect"]["weights"], inputs.checksums) if inputs.weights else "",
        datasets=params.datasets,
        settings=SceneDetectionSettings(**scene_settings["detect"]),
        cache=Path(snakemake.output.scenes).parent / "kept",
        code=params.detect_code,
        threads=snakemake.threads,
        seed=params.seed,
        frames=outputs.frames,
        detections=outputs.detections,
        ledger=outputs.detection_ledger,
    )
    find_scenes(
        frames=outputs.frames,
        detections=outputs.detections,
        follow=partial(track, settings=TrackSettings(**scene_settings["track"])),
        settings=SceneSettings(**scene_settings["choose"]),
        seed=params.seed,
        scenes=outputs.scenes,
        scene_frames=outputs.scene_frames,
        ledger=outputs.scene_ledger,
        threads=snakemake.threads,
    )
    cut_clips(
        scenes=outputs.scenes,
        scene_frames=outputs.scene_frames,
        sources=inputs.sources,
        cache=Path(snakemake.output.clips).parent / "kept",
        settings=ClipSettings(**params.settings),
        block_sizes=block_sizes,
        detector=sha256_file(inputs.weights) if inputs.weights else "anywhere",
        scene_settings=scene_settings,
        seed=params.seed,
        code=params.cut_code,
        threads=snakemake.threads,
        clips=outputs.clips,
        images=outputs.images,
        masks=outputs.masks,
        ledger=outputs.ledger,
    )
    score_clips(
        clips=outputs.clips,
        scene_frames=outputs.scene_frames,
        images=outputs.images,
        detectors={
            name: partial(
                Detector,
                weights=path,
                expected=expected_digest(score_settings["detectors"][name]["weights"], path.parent / "SHA256SUMS"),
                settings=TrainedDetectionSettings(**score_settings["detectors"][name]),
            )
            for name, path in zip(params.score_detectors, inputs.score_weights, strict=True)
        },
        quality=inputs.quality or None,
        table=outputs.scores,
        ledger=outputs.score_ledger,
        samples=score_settings["samples"],
        threads=snakemake.threads,
    )
