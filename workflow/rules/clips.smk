# Clips: detect regions in the videos, track them, cut clips of the scenes, and score the clips.

from tessera.catalogue import fed_by, model_for
from tessera.core.definitions import code_digest
from tessera.learning.weights.resolve import weights_checksums, weights_file

# The detector that runs on videos, and those that score clips.
VIDEO_DETECTOR = config["scenes"]["detect"]["weights"], model_for("nsfw")
SCORE_DETECTORS = {
    name: detector["weights"]
    for name, detector in config["scores"]["detectors"].items()
    if detector["weights"]
}
CLIP_TARGETS = targets_in(config, "scenes", "scores")
GATES["scenes"] = {
    "detecting": ("sources", places("<results>/scenes/{shard}/detections.jsonl")),
    "following": ("tracks", places("<results>/scenes/{shard}/scenes.jsonl")),
}
GATES["clips"] = {
    "cutting": ("clips", places("<results>/clips/{shard}/ledger.jsonl")),
    "scoring": ("clips", places("<results>/clips/{shard}/scores.jsonl")),
    **{
        f"scoring by {name}": (
            "clips",
            places(f"<results>/scores/clips/{{shard}}/{name}.jsonl"),
        )
        for name in config["scores"]["classifiers"]
    },
}


# One job, because every change reruns all later steps. The stores keep the detections of each video, and each clip.
rule cut_clips:
    input:
        sources="<results>/sources/shards/{shard}/sources.parquet",
        files=shard_files,
        weights=weights_file(*VIDEO_DETECTOR),
        checksums=weights_checksums(*VIDEO_DETECTOR),
        score_weights=[
            weights_file(weights, model_for(name))
            for name, weights in SCORE_DETECTORS.items()
        ],
        score_checksums=[
            weights_checksums(weights, model_for(name))
            for name, weights in SCORE_DETECTORS.items()
            if weights == "trained"
        ],
        quality=weights_file(config["scores"]["quality"]),
        measured=evaluations(CLIP_TARGETS),
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
        "<logs>/cut_clips/{shard}.log",
    benchmark:
        "<benchmarks>/cut_clips/{shard}.jsonl"
    threads: 8
    resources:
        gpu=1,
    params:
        found_by=lookup(dpath="scenes", within=config),
        datasets=fed_by("scenes"),
        settings=lookup(dpath="clips", within=config),
        # Without the classifiers, which have jobs of their own.
        scores={
            name: value
            for name, value in config["scores"].items()
            if name != "classifiers"
        },
        scored_by=list(SCORE_DETECTORS),
        targets=CLIP_TARGETS,
        seed=lookup(dpath="seed", within=config),
        detected_by=code_digest("tessera.stages.clips.detect:detect_videos"),
        cut_by=code_digest("tessera.stages.clips.cut:cut_clips"),
        code=code_digest(
            "tessera.stages.clips.detect:detect_videos",
            "tessera.learning.detection.tracking:track",
            "tessera.stages.clips.find:find_scenes",
            "tessera.stages.clips.cut:cut_clips",
            "tessera.imaging.mosaic.drawing:block_sizes",
            "tessera.stages.clips.scoring:score_clips",
            "tessera.learning.detection.detector:Detector",
            "tessera.learning.weights.resolve:expected_digest",
            "tessera.records.confidence:with_confidences",
        ),
    script:
        "../scripts/cut_clips.py"
