# Frames: sample them from the admitted sources, and find near-duplicates.

from tessera.core.definitions import code_digest

GATES["frames"] = {
    "sampling": ("images", places("<results>/frames/{shard}/ledger.jsonl"))
}
# Decisions on pictures of folders, and on regions in them.
PICTURE_DECISIONS = [
    decision
    for key, decision in {**FRAME_DECISIONS, **REGION_DECISIONS}.items()
    if source_of(key.partition("+")[0]) in FOLDERS
]
if PICTURE_DECISIONS:
    GATES["frames"]["decisions on pictures"] = (
        "decisions",
        ["<results>/frames/decisions.jsonl"],
    )


rule sample_frames:
    input:
        sources="<results>/sources/shards/{shard}/sources.parquet",
        stills="<results>/sources/shards/{shard}/files.parquet",
        files=shard_files,
    output:
        # The store, the folder `kept`, is not an output, so that it survives killed jobs and changes.
        table="<results>/frames/{shard}/frames.parquet",
        images=directory("<results>/frames/{shard}/images"),
        ledger="<results>/frames/{shard}/ledger.jsonl",
    log:
        "<logs>/sample_frames/{shard}.log",
    benchmark:
        "<benchmarks>/sample_frames/{shard}.jsonl"
    threads: 2
    params:
        settings=lookup(dpath="frames", within=config),
        code=code_digest("tessera.stages.footage.sampling:sample_frames"),
    script:
        "../scripts/sample_frames.py"


rule match_decisions:
    input:
        frames=expand("<results>/frames/{shard}/frames.parquet", shard=SHARDS),
    output:
        ledger="<results>/frames/decisions.jsonl",
    log:
        "<logs>/match_decisions.log",
    benchmark:
        "<benchmarks>/match_decisions.jsonl"
    params:
        decisions=verbatim([decision.model_dump() for decision in PICTURE_DECISIONS]),
        code=code_digest("tessera.stages.footage.decided:match_decisions"),
    script:
        "../scripts/match_decisions.py"


def labelled_images(wildcards):
    """Return the tables of the images that people labelled. Of several near-duplicates, such an image is kept."""
    return [
        *set_places("images.parquet", WITHOUT_DUPLICATES),
        *places("<results>/labels/frames/{labelled}/images.parquet"),
    ]


rule find_duplicates:
    input:
        frames=expand("<results>/frames/{shard}/frames.parquet", shard=SHARDS),
        labelled=labelled_images,
    output:
        table="<results>/duplicates/duplicates.parquet",
        ledger="<results>/duplicates/ledger.jsonl",
    log:
        "<logs>/find_duplicates.log",
    benchmark:
        "<benchmarks>/find_duplicates.jsonl"
    params:
        settings=lookup(dpath="duplicates", within=config),
        code=code_digest("tessera.stages.footage.duplicates:drop_duplicates"),
    script:
        "../scripts/find_duplicates.py"
