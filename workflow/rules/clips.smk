# Clips: the regions of the scenes, cut out of their frames.

from tessera.core.definitions import code_digest
from tessera.core.weights.resolve import weights_file

GATES["clips"] = {
    "cutting": ("clips", places("<results>/clips/{shard}/ledger.jsonl")),
    "scoring": ("clips", places("<results>/clips/{shard}/scores.jsonl")),
}


rule cut_clips:
    input:
        scenes="<results>/scenes/{shard}/scenes.parquet",
        scene_frames="<results>/scenes/{shard}/scene_frames.parquet",
        sources="<results>/sources/shards/{shard}/sources.parquet",
        files=shard_files,
        weights=weights_file(*SCENE_WEIGHTS),
    output:
        # The folder `kept` beside them is not an output: it outlives a killed job, and every change.
        clips="<results>/clips/{shard}/clips.parquet",
        images=directory("<results>/clips/{shard}/images"),
        masks=directory("<results>/clips/{shard}/masks"),
        ledger="<results>/clips/{shard}/ledger.jsonl",
    log:
        "<logs>/cut_clips/{shard}.log",
    benchmark:
        "<benchmarks>/cut_clips/{shard}.jsonl"
    threads: 2
    params:
        settings=lookup(dpath="clips", within=config),
        found_by=lookup(dpath="scenes", within=config),
        seed=lookup(dpath="seed", within=config),
        code=code_digest("tessera.pipeline.clips.cut:cut_clips"),
        # Only the metadata depend on it: the clips are kept where it changes.
        sizes=code_digest("tessera.imaging.mosaic.drawing:block_sizes"),
    script:
        "../scripts/cut_clips.py"
