# Scenes: what a detector sees in the videos, followed from frame to frame, and the stretches of it that are worth a clip.


def scene_weights(wildcards):
    """Return the weights of the detector that looks through videos: those trained here, or the declared ones."""
    weights = config["scenes"]["detect"]["weights"]
    if weights == "trained":
        return "<results>/weights/nsfw_detection/nsfw_detection.pt"
    return WeightsSettings(**weights).file


def scene_checksums(wildcards):
    """Return the list of digests that weights trained here must agree with; declared ones have their own."""
    trained = config["scenes"]["detect"]["weights"] == "trained"
    return "<results>/weights/nsfw_detection/SHA256SUMS" if trained else []


rule detect_videos:
    input:
        sources="<results>/sources/shards/{shard}/sources.parquet",
        files=shard_files,
        weights=scene_weights,
        checksums=scene_checksums,
    output:
        frames="<results>/scenes/{shard}/frames.parquet",
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
        dataset="mosaic_restoration",
        code=code_digest("tessera.pipeline.scenes.detect:detect_videos"),
    script:
        "../scripts/detect_videos.py"


rule find_scenes:
    input:
        frames="<results>/scenes/{shard}/frames.parquet",
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
