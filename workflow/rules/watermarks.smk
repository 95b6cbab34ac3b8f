# Images with watermarks: draw watermarks over frames of the admitted sources.

from tessera.catalogue import fed_by
from tessera.workflow.code import digest_of_script
from tessera.workflow.project import project_of
from tessera.workflow.watermarks import watched_materials

project = project_of(config)


rule draw_watermarks:
    input:
        frames="<results>/frames/{shard}/frames.parquet",
        pictures="<results>/frames/{shard}/images",
        sources="<results>/sources/shards/{shard}/sources.parquet",
    output:
        images="<results>/watermarks/frames/{shard}/images.parquet",
        annotations="<results>/watermarks/frames/{shard}/annotations.parquet",
        drawn=directory("<results>/watermarks/frames/{shard}/images"),
        marks="<results>/watermarks/frames/{shard}/marks.parquet",
        ledger="<results>/watermarks/frames/{shard}/ledger.jsonl",
    log:
        "<logs>/draw_watermarks/{shard}.log",
    benchmark:
        "<benchmarks>/draw_watermarks/{shard}.jsonl"
    threads: 2
    params:
        datasets=fed_by("watermarks"),
        settings=lookup(dpath="watermarks/draw", within=config),
        seed=lookup(dpath="seed", within=config),
        watched=project.of_job(watched_materials),
        code=digest_of_script("draw_watermarks"),
    script:
        "../scripts/draw_watermarks.py"
