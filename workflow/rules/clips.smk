# Clips: detect regions in the videos, track them, cut clips of the scenes, and score the clips.

from tessera.catalogue import fed_by, model_for
from tessera.configuration.confidences import targets_in
from tessera.core.definitions import code_digest
from tessera.learning.weights.resolve import weights_checksums, weights_file
from tessera.workflow.code import digest_of_script
from tessera.workflow.detectors import (
    detector_checksums,
    detector_files,
    evaluations,
    used_detectors,
)
from tessera.workflow.project import gpu_for, project_of
from tessera.workflow.sources import shard_files

project = project_of(config)


# One job from videos to scored clips, as in mosaics.smk. The stores keep the detections of each video, and each clip.
rule make_clips:
    input:
        sources="<results>/sources/shards/{shard}/sources.parquet",
        admission="<results>/sources/shards/{shard}/ledger.jsonl",
        files=project.of_job(shard_files),
        weights=weights_file(config["scenes"]["detect"]["weights"], model_for("nsfw")),
        checksums=weights_checksums(
            config["scenes"]["detect"]["weights"], model_for("nsfw")
        ),
        score_weights=detector_files(project, "scores"),
        score_checksums=detector_checksums(project, "scores"),
        quality=weights_file(config["scores"]["quality"]),
        measured=evaluations(targets_in(config, "scenes", "scores")),
    output:
        # The stores, folders named `kept`, are not outputs, so that they survive killed jobs and changes.
        frames="<results>/scenes/{shard}/video_frames.parquet",
        detections="<results>/scenes/{shard}/detections.parquet",
        detection_ledger="<results>/scenes/{shard}/detections.jsonl",
        scenes="<results>/scenes/{shard}/scenes.parquet",
        scene_frames="<results>/scenes/{shard}/scene_frames.parquet",
        scene_ledger="<results>/scenes/{shard}/scenes.jsonl",
        clips="<results>/clips/{shard}/clips.parquet",
        images=directory("<results>/clips/{shard}/images"),
        masks=directory("<results>/clips/{shard}/masks"),
        ledger="<results>/clips/{shard}/ledger.jsonl",
        scores="<results>/clips/{shard}/scores.parquet",
        score_ledger="<results>/clips/{shard}/scores.jsonl",
    log:
        "<logs>/make_clips/{shard}.log",
    benchmark:
        "<benchmarks>/make_clips/{shard}.jsonl"
    threads: 8
    resources:
        gpu=gpu_for("weights", "score_weights", "quality"),
    params:
        scene_settings=lookup(dpath="scenes", within=config),
        datasets=fed_by("scenes"),
        settings=lookup(dpath="clips", within=config),
        # Without the classifiers, which have jobs of their own.
        score_settings={
            name: value
            for name, value in config["scores"].items()
            if name != "classifiers"
        },
        score_detectors=list(used_detectors(project, "scores")),
        targets=targets_in(config, "scenes", "scores"),
        seed=lookup(dpath="seed", within=config),
        detect_code=code_digest("tessera.stages.clips.detect:detect_videos"),
        cut_code=code_digest("tessera.stages.clips.cut:cut_clips"),
        code=digest_of_script("make_clips"),
    script:
        "../scripts/make_clips.py"
