# Mosaics: what was chosen in the frames is flattened to blocks, and masks say where.


rule pixelate_frames:
    input:
        frames="<results>/frames/{shard}/frames.parquet",
        pictures="<results>/frames/{shard}/images",
        regions="<results>/regions/{shard}/regions.parquet",
        backgrounds="<results>/regions/{shard}/backgrounds.parquet",
    output:
        table="<results>/mosaics/{shard}/mosaics.parquet",
        images=directory("<results>/mosaics/{shard}/images"),
        masks=directory("<results>/mosaics/{shard}/masks"),
        ledger="<results>/mosaics/{shard}/ledger.jsonl",
        region_ledger="<results>/mosaics/{shard}/regions.jsonl",
    log:
        "<logs>/pixelate_frames/{shard}.log",
    benchmark:
        "<benchmarks>/pixelate_frames/{shard}.jsonl"
    threads: 2
    params:
        settings=lookup(dpath="mosaics", within=config),
        degradations=lookup(dpath="degradations", within=config),
        seed=lookup(dpath="seed", within=config),
        code=code_digest("tessera.mosaics.samples", "tessera.degradations.chain"),
    script:
        "../scripts/pixelate_frames.py"


rule label_mosaics:
    input:
        masks="<results>/mosaics/{shard}/masks",
        pictures="<results>/mosaics/{shard}/images",
        frames="<results>/frames/{shard}/frames.parquet",
        sources="<results>/sources/shards/{shard}/sources.parquet",
    output:
        images="<results>/mosaics/{shard}/samples.parquet",
        annotations="<results>/mosaics/{shard}/annotations.parquet",
        ledger="<results>/mosaics/{shard}/labels.jsonl",
    log:
        "<logs>/label_mosaics/{shard}.log",
    benchmark:
        "<benchmarks>/label_mosaics/{shard}.jsonl"
    params:
        min_area=lookup(dpath="annotations/min_area", within=config),
        code=code_digest("tessera.annotations.mask_imports", "tessera.mosaics.settings"),
    script:
        "../scripts/label_mosaics.py"
