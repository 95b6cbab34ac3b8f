# The review page, where people decide, and what it asks first: `snakemake review`, or `make review`, which does not lock the folder.

import sys

from tessera.catalogue import CLIPS, IMAGE_SETS, fed_by
from tessera.core.definitions import code_digest
from tessera.stages.mosaics.choose import CANDIDATES

# What is made here and can be decided on.
SHOWN_CLIPS = SHARDS if any(each.layout == CLIPS for each in DATASETS.values()) else []
# The detector whose regions are shown in the sampled frames, the first, and all whose detections can become regions.
SHOWN_DETECTOR = next(iter(REGION_DETECTORS), None)
SHOWN_DETECTORS = [name for name in REGION_DETECTORS if name in CANDIDATES]
SHOWN_REGIONS = (
    SHARDS
    if SHOWN_DETECTOR and not DATASETS.keys().isdisjoint(fed_by("regions"))
    else []
)
SHOWN_PAIRS = not DATASETS.keys().isdisjoint(WITHOUT_DUPLICATES)
# The datasets that leave out near-duplicates.
OF_PAIRS = [
    name
    for name, each in DATASETS.items()
    if SHOWN_PAIRS and (each.drops_duplicates or each.layout.rules == IMAGE_SETS.rules)
]
# The datasets of images that people label in sampled frames.
OF_LABELLED_FRAMES = [
    name
    for name, each in DATASETS.items()
    if LABELLED and any("{labelled}" in place for place in each.samples)
]
REVIEW_TARGETS = [
    *(REGION_TARGETS if SHOWN_REGIONS else []),
    *(CLIP_TARGETS if SHOWN_CLIPS else []),
]


localrules:
    review,


def content_of_all_sets(wildcards):
    """Return the `content` of each set of images that the settings name, by the id that its sources start with."""
    return {
        source: each["content"]
        for dataset in DATASETS.values()
        for source, each in sets_of(dataset, config).items()
    }


def command_of_this_run():
    """Return the command of Snakemake with the options of this run that decide what there is to do, but for its targets."""
    stated = workflow.config_settings
    command = [sys.executable, "-m", "snakemake", "--cores", "1"]
    command += ["--snakefile", workflow.main_snakefile]
    if stated.configfiles:
        command += ["--configfile", *map(str, stated.configfiles)]
    if stated.config_args:
        command += ["--config", *stated.config_args]
    return command


rule gather_review:
    input:
        footage_or_images,
        sources="<results>/sources/admitted.parquet",
        splits="<results>/datasets/splits.parquet" if DATASETS else [],
        clips=expand("<results>/clips/{shard}/clips.parquet", shard=SHOWN_CLIPS),
        clip_scores=expand("<results>/clips/{shard}/scores.parquet", shard=SHOWN_CLIPS),
        clip_images=expand("<results>/clips/{shard}/images", shard=SHOWN_CLIPS),
        clip_masks=expand("<results>/clips/{shard}/masks", shard=SHOWN_CLIPS),
        classified=expand(
            "<results>/scores/clips/{shard}/{classifier}.parquet",
            shard=SHOWN_CLIPS,
            classifier=config["filters"]["classifiers"],
        ),
        selections=expand(
            "<results>/selections/{dataset}/ledger.jsonl",
            dataset=[name for name, each in DATASETS.items() if each.layout == CLIPS],
        ),
        frames=expand("<results>/frames/{shard}/frames.parquet", shard=SHARDS),
        frame_images=expand("<results>/frames/{shard}/images", shard=SHARDS),
        regions=expand(
            "<results>/regions/{shard}/{detector}.parquet",
            shard=SHOWN_REGIONS,
            detector=SHOWN_DETECTORS,
        ),
        verdicts=expand(
            "<results>/regions/{shard}/detections.jsonl", shard=SHOWN_REGIONS
        ),
        labelled=expand(
            "<results>/selections/{dataset}/ledger.jsonl", dataset=OF_LABELLED_FRAMES
        ),
        frame_labels=(
            expand(
                "<results>/labels/frames/{shard}/annotations.parquet",
                shard=SHOWN_REGIONS,
            )
            if LABELLED
            else []
        ),
        measured=evaluations(REVIEW_TARGETS),
        duplicates="<results>/duplicates/duplicates.parquet" if SHOWN_PAIRS else [],
        near_duplicates=expand(
            "<results>/near_duplicates/{embedding}/near_duplicates.parquet",
            embedding=COMPARING,
        ),
        images=labelled_images if SHOWN_PAIRS else [],
        without_duplicates=expand(
            "<results>/selections/{dataset}/ledger.jsonl", dataset=OF_PAIRS
        ),
        errors=expand(
            "<results>/evaluation/{model}/label_errors.parquet", model=CHECKED
        ),
        error_pictures=expand(
            "<results>/datasets/{dataset}/pictures.parquet",
            dataset=[MODELS[model].dataset for model in CHECKED],
        ),
        error_images=expand(
            "<results>/datasets/{dataset}/images",
            dataset=[MODELS[model].dataset for model in CHECKED],
        ),
        asked=(
            f"<results>/labels/images/{file_name(ANSWERS['name'])}/labels.parquet"
            if ASKED and file_name(ANSWERS["name"]) in READABLE
            else []
        ),
        identities="<results>/identities/identities.parquet" if IDENTITIES else [],
        crops=rules.identify_crops.input.vectors if IDENTITIES else [],
        crop_tables=rules.identify_crops.input.crops if IDENTITIES else [],
    output:
        table="<results>/review/items.parquet",
        settings="<results>/review/page.json",
    log:
        "<logs>/gather_review.log",
    benchmark:
        "<benchmarks>/gather_review.jsonl"
    localrule: True
    params:
        filters=lookup(dpath="filters", within=config),
        choose=lookup(dpath="regions/choose", within=config),
        scenes=lookup(dpath="scenes", within=config),
        targets=REVIEW_TARGETS,
        detector=SHOWN_DETECTOR,
        free=[source.source for source in SOURCES if SHOWN_DETECTOR in source.free_of],
        distance=lookup(dpath="duplicates/distance", within=config),
        checked=list(CHECKED),
        answers=(
            {
                "name": ANSWERS["name"],
                "layout": ANSWERS["format"],
                "folder": str(ANSWERS["path"]),
            }
            if ASKED
            else None
        ),
        # Each round is a folder that is never changed.
        rounds=len(asked_rounds()),
        sets=content_of_all_sets,
        blur=lookup(dpath="report/blur", within=config),
        # Where the page writes decisions, and what they may say.
        page=verbatim(
            {
                **config["review"],
                "classes": config["annotations"]["classes"],
                "decisions": str(config["decisions"]),
                "identities": str(IDENTITIES["decisions"]) if IDENTITIES else None,
                "classifiers": {
                    name: each["labels"]
                    for name, each in config["classifiers"].items()
                },
                "labels": str(config["annotations"]["frame_labels"] or "") or None,
                "results": workflow.pathvars.apply("<results>"),
                "command": command_of_this_run(),
            }
        ),
        code=code_digest(
            "tessera.pages.review.gather:gather",
            "tessera.pages.review.queues.clips:find_clips",
            "tessera.pages.review.queues.frames:find_frames",
            "tessera.pages.review.queues.frames:find_regions",
            "tessera.pages.review.queues.pairs:find_pairs",
            "tessera.pages.review.queues.labels:find_labels",
            "tessera.pages.review.queues.asked:find_asked",
            "tessera.pages.review.queues.identities:find_identities",
            "tessera.records.confidence:with_confidences",
        ),
    script:
        "../scripts/gather_review.py"


rule make_proxies:
    input:
        table=rules.gather_review.output.table,
        images=rules.gather_review.input.clip_images,
        masks=rules.gather_review.input.clip_masks,
    output:
        # The proxies lie in a folder of the page, which adds those that are beyond the budget while it shows them.
        ledger="<results>/review/proxies.jsonl",
    log:
        "<logs>/make_proxies.log",
    benchmark:
        "<benchmarks>/make_proxies.jsonl"
    threads: 8
    params:
        budget=lookup(dpath="review/proxies", within=config),
        code=code_digest("tessera.pages.review.media:make_proxies"),
    script:
        "../scripts/make_proxies.py"


rule review:
    input:
        table=rules.gather_review.output.table,
        settings=rules.gather_review.output.settings,
        proxies=rules.make_proxies.output.ledger,
    log:
        "<logs>/review.log",
    params:
        python=sys.executable,
    shell:
        "{params.python:q} -m tessera.pages.review.serve {input.table:q} 2> >(tee {log:q} >&2)"
