# Images with watermarks: draw watermarks over frames of the admitted sources.

from tessera.catalogue import fed_by
from tessera.core.files import check_there, files_below
from tessera.core.definitions import code_digest
from tessera.core.provenance import fingerprint

GATES["watermarks"] = {
    "drawn marks": (
        "images",
        places("<results>/watermarks/frames/{shard}/ledger.jsonl"),
    ),
    "labels in sets": set_ledgers("watermarks"),
}


def watched_materials(wildcards):
    """Return a value that changes with the logos and the fonts that watermarks are made of, which must exist."""
    found = []
    for material in ("logos", "fonts"):
        if path := config["watermarks"]["draw"][material]:
            check_there(f"watermarks.draw.{material}", path)
            found.append(fingerprint(files_below(path)))
    return found


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
        watched=watched_materials,
        code=code_digest("tessera.stages.watermarks.draw:draw_watermarks"),
    script:
        "../scripts/draw_watermarks.py"
