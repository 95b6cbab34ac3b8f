# Images with watermarks: import sets that others labelled, and draw watermarks over frames of the admitted sources.

from tessera.catalogue import fed_by
from tessera.core.files import check_there, files_below
from tessera.core.definitions import code_digest
from tessera.core.provenance import fingerprint

GATES["watermarks"] = {
    "drawn marks": (
        "images",
        places("<results>/watermarks/frames/{shard}/ledger.jsonl"),
    ),
    "imported marks": (
        "images",
        places("<results>/watermarks/sets/{set}/ledger.jsonl"),
    ),
}


wildcard_constraints:
    set=any_of(WATERMARK_SETS),


def watermark_set(wildcards):
    """Return the settings of a set of images with watermarks."""
    return WATERMARK_SETS[wildcards.set]


def watched_watermarks(wildcards):
    """Return a value that changes with the files of a set, which must exist."""
    given = watermark_set(wildcards)
    check_there(f"watermarks.sets: {given['name']!r}", given["path"])
    return fingerprint(files_below(given["path"]))


def watched_materials(wildcards):
    """Return a value that changes with the logos and the fonts that watermarks are made of, which must exist."""
    found = []
    for material in ("logos", "fonts"):
        if path := config["watermarks"]["draw"][material]:
            check_there(f"watermarks.draw.{material}", path)
            found.append(fingerprint(files_below(path)))
    return found


rule import_watermarks:
    input:
        blocklist=lookup(dpath="sources/blocklist", within=config),
    output:
        images="<results>/watermarks/sets/{set}/images.parquet",
        annotations="<results>/watermarks/sets/{set}/annotations.parquet",
        pictures=directory("<results>/watermarks/sets/{set}/images"),
        ledger="<results>/watermarks/sets/{set}/ledger.jsonl",
    log:
        "<logs>/import_watermarks/{set}.log",
    benchmark:
        "<benchmarks>/import_watermarks/{set}.jsonl"
    params:
        watermark_set=watermark_set,
        watched=watched_watermarks,
        blocklist_distance=lookup(dpath="sources/blocklist_distance", within=config),
        code=code_digest("tessera.pipeline.watermarks.sets:import_watermarks"),
    script:
        "../scripts/import_watermarks.py"


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
        code=code_digest("tessera.pipeline.watermarks.draw:draw_watermarks"),
    script:
        "../scripts/draw_watermarks.py"
