# Mosaics: what was chosen in the frames is flattened to blocks, masks say where, and are read into the tables of the hub.

from tessera.core.definitions import code_digest

GATES["mosaics"] = {
    "mosaics": ("regions", places("<results>/mosaics/{shard}/mosaics.jsonl")),
    "pixelating": ("images", places("<results>/mosaics/{shard}/ledger.jsonl")),
    "reading masks": ("images", places("<results>/mosaics/{shard}/masks.jsonl")),
}


rule pixelate_frames:
    input:
        frames="<results>/frames/{shard}/frames.parquet",
        pictures="<results>/frames/{shard}/images",
        sources="<results>/sources/shards/{shard}/sources.parquet",
        regions="<results>/regions/{shard}/regions.parquet",
        backgrounds="<results>/regions/{shard}/backgrounds.parquet",
    output:
        mosaics="<results>/mosaics/{shard}/mosaics.parquet",
        pictures=directory("<results>/mosaics/{shard}/images"),
        masks=directory("<results>/mosaics/{shard}/masks"),
        ledger="<results>/mosaics/{shard}/ledger.jsonl",
        mosaic_ledger="<results>/mosaics/{shard}/mosaics.jsonl",
        images="<results>/mosaics/{shard}/images.parquet",
        annotations="<results>/mosaics/{shard}/annotations.parquet",
        mask_ledger="<results>/mosaics/{shard}/masks.jsonl",
    log:
        "<logs>/pixelate_frames/{shard}.log",
    benchmark:
        "<benchmarks>/pixelate_frames/{shard}.jsonl"
    threads: 2
    params:
        settings=lookup(dpath="mosaics", within=config),
        degradations=lookup(dpath="degradations", within=config),
        min_area=lookup(dpath="annotations/min_area", within=config),
        seed=lookup(dpath="seed", within=config),
        code=code_digest(
            "tessera.pipeline.mosaics.samples:pixelate_frames",
            "tessera.pipeline.mosaics.masks:import_masks",
            "tessera.imaging.degradation.chain:degrade",
            "tessera.imaging.degradation.settings:DegradationSettings",
            "tessera.imaging.mosaic.settings:CLASSES",
        ),
    script:
        "../scripts/pixelate_frames.py"
