# The captions of image sets.

from tessera.catalogue import IMAGE_SETS, image_set_of_part
from tessera.core.definitions import code_digest


def texts_of_set(wildcards):
    """Return the tables of captions and of overlaps of an image set, if the settings name any."""
    captions = settings_of_set("captions")(wildcards)
    overlaps = captions["tags"]["overlaps"]
    return [
        *([captions["table"]] if captions["table"] else []),
        *([overlaps] if overlaps not in (None, "words") else []),
    ]


rule caption_set:
    input:
        selected="<results>/selections/{dataset}/pictures.parquet",
        tags=tables_of_tags,
        tag_list=FETCHED_TAGS,
        identities=tables_of_identities,
        texts=texts_of_set,
    output:
        captions="<results>/image_sets/{dataset}/captions.parquet",
        core="<results>/image_sets/{dataset}/core_tags.parquet",
        ledger="<results>/image_sets/{dataset}/captions.jsonl",
    log:
        "<logs>/caption_set/{dataset}.log",
    benchmark:
        "<benchmarks>/caption_set/{dataset}.jsonl"
    wildcard_constraints:
        dataset=laid_out_as(IMAGE_SETS),
    threads: 2
    params:
        image_set=lambda wildcards: image_set_of_part(wildcards.dataset),
        settings=settings_of_set("captions"),
        seed=lookup(dpath="seed", within=config),
        code=code_digest(
            "tessera.pipeline.image_sets.captions:caption_set",
            "tessera.pipeline.image_sets.caption_settings:CaptionSettings",
        ),
    script:
        "../scripts/caption_set.py"
