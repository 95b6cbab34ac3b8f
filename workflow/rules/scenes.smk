# Scenes: what a detector sees in the videos, followed from frame to frame, and the stretches of it that are worth a clip.


from tessera.catalogue import fed_by, model_for
from tessera.core.definitions import code_digest
from tessera.core.weights.resolve import weights_checksums, weights_file

GATES["scenes"] = {
    "detecting": ("sources", places("<results>/scenes/{shard}/detections.jsonl")),
    "following": ("tracks", places("<results>/scenes/{shard}/scenes.jsonl")),
}
# The detector that looks through videos.
SCENE_WEIGHTS = config["scenes"]["detect"]["weights"], model_for("nsfw")


rule detect_videos:
    input:
        sources="<results>/sources/shards/{shard}/sources.parquet",
        files=shard_files,
        weights=weights_file(*SCENE_WEIGHTS),
        checksums=weights_checksums(*SCENE_WEIGHTS),
    output:
        frames="<results>/scenes/{shard}/video_frames.parquet",
        detections="<results>/scenes/{shard}/detections.parquet",
        ledger="<results>/scenes/{shard}/detections.jsonl",
    log:
        "<logs>/detect_videos/{shard}.log",
    benchmark:
        "<benchmarks>/detect_videos/{shard}.jsonl"
    threads: 4
    resources:
        gpu=1,
    params:
        settings=lookup(dpath="scenes/detect", within=config),
        dataset=fed_by("scenes")[0],
        code=code_digest("tessera.pipeline.scenes.detect:detect_videos"),
    script:
        "../scripts/detect_videos.py"


rule find_scenes:
    input:
        frames="<results>/scenes/{shard}/video_frames.parquet",
        detections="<results>/scenes/{shard}/detections.parquet",
    output:
        scenes="<results>/scenes/{shard}/scenes.parquet",
        scene_frames="<results>/scenes/{shard}/scene_frames.parquet",
        ledger="<results>/scenes/{shard}/scenes.jsonl",
    log:
        "<logs>/find_scenes/{shard}.log",
    benchmark:
        "<benchmarks>/find_scenes/{shard}.jsonl"
    threads: 2
    params:
        track=lookup(dpath="scenes/track", within=config),
        choose=lookup(dpath="scenes/choose", within=config),
        seed=lookup(dpath="seed", within=config),
        code=code_digest(
            "tessera.pipeline.scenes.find:find_scenes",
            "tessera.pipeline.scenes.track:track",
        ),
    script:
        "../scripts/find_scenes.py"
