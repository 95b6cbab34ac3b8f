# The captions of image sets.

from tessera.catalogue import IMAGE_SETS, image_set_of_part
from tessera.core.definitions import code_digest
from tessera.core.provenance import fingerprint
from tessera.extras.image_sets.caption_settings import BESIDE, TagSettings
from tessera.extras.image_sets.written import SUFFIXES


def texts_of_set(wildcards):
    """Return the tables of captions and of overlaps and the blacklist of an image set, if the settings name any."""
    captions = settings_of_set("captions")(wildcards)
    return [
        *([captions["table"]] if captions["table"] else []),
        *TagSettings(**captions["tags"]).files,
    ]


def files_of_captions(wildcards):
    """Return a fingerprint of the files with captions, which may be too many for inputs of a rule; empty if none are read."""
    files = settings_of_set("captions")(wildcards)["files"]
    if not files:
        return ""
    places = [source.path for source in SOURCES] if files == BESIDE else [files]
    found = [
        files_below(Path(place), SUFFIXES) for place in places if os.path.isdir(place)
    ]
    return fingerprint(file for some in found for file in some)


def needed_by_files(*paths):
    """Return a function that returns `paths` if the captions of a set are in files, else an empty list."""

    def given(wildcards):
        return list(paths) if settings_of_set("captions")(wildcards)["files"] else []

    return given


rule caption_set:
    input:
        selected="<results>/selections/{dataset}/pictures.parquet",
        tags=tables_of_tags,
        tag_list=FETCHED_TAGS,
        identities=tables_of_identities,
        texts=texts_of_set,
        frames=needed_by_files(
            *expand("<results>/frames/{shard}/frames.parquet", shard=SHARDS)
        ),
        sources=needed_by_files("<results>/sources/admitted.parquet"),
    output:
        captions="<results>/image_sets/{dataset}/captions.parquet",
        core="<results>/image_sets/{dataset}/core_tags.parquet",
        wildcards="<results>/image_sets/{dataset}/wildcards.txt",
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
        files=files_of_captions,
        seed=lookup(dpath="seed", within=config),
        code=code_digest(
            "tessera.extras.image_sets.captions:caption_set",
            "tessera.extras.image_sets.caption_settings:CaptionSettings",
        ),
    script:
        "../scripts/caption_set.py"
