# Tags: what a tagger sees in the sampled frames and the crops.

from tessera.core.definitions import code_digest
from tessera.learning.weights.resolve import weights_file

TAGGER = config["tagger"]
# The shards whose pictures are tagged: all or, without a tagger, none.
TAGGED = SHARDS if TAGGER else []
PLACES["tagged"] = TAGGED
# Whether crops are tagged.
TAGS_CROPS = bool(
    TAGGER and {step["name"] for step in CROP_STEPS}.intersection(TAGGER["of"])
)
if TAGGER:
    GATES["tags"] = {
        "tagging": ("pictures", places("<results>/tags/{tagged}/ledger.jsonl"))
    }


def tagger(wildcards):
    """Return the settings of the tagger without the thresholds. Raises `TesseraError` if there is none."""
    if not TAGGER:
        raise TesseraError(
            "`tagger` is null: declare a model and its tag list (see config/README.md)"
        )
    return {name: value for name, value in TAGGER.items() if name != "thresholds"}


rule tag_pictures:
    input:
        frames="<results>/frames/{shard}/frames.parquet",
        pictures="<results>/frames/{shard}/images",
        crops=["<results>/crops/{shard}/crops.parquet"] if TAGS_CROPS else [],
        cropped=["<results>/crops/{shard}/images"] if TAGS_CROPS else [],
        weights=weights_file(TAGGER and TAGGER["weights"]),
        tag_list=weights_file(TAGGER and TAGGER["tags"]),
    output:
        # The store, the folder `kept`, is not an output, so that it survives killed jobs and changes.
        table="<results>/tags/{shard}/scores.parquet",
        ledger="<results>/tags/{shard}/ledger.jsonl",
    log:
        "<logs>/tag_pictures/{shard}.log",
    benchmark:
        "<benchmarks>/tag_pictures/{shard}.jsonl"
    threads: 8
    resources:
        gpu=1,
    params:
        settings=tagger,
        tagged_by=code_digest("tessera.extras.tagging.tag:tag_pictures"),
        code=code_digest(
            "tessera.extras.tagging.tag:tag_pictures",
            "tessera.extras.tagging.settings:TaggerSettings",
        ),
    script:
        "../scripts/tag_pictures.py"


# A rule of its own, so that a threshold does not run the tagger again.
rule choose_tags:
    input:
        tables=places("<results>/tags/{tagged}/scores.parquet"),
        gate="<results>/gates/tags.json",
    output:
        table="<results>/tags/tags.parquet",
    log:
        "<logs>/choose_tags.log",
    benchmark:
        "<benchmarks>/choose_tags.jsonl"
    params:
        thresholds=TAGGER and TAGGER["thresholds"],
        code=code_digest(
            "tessera.extras.tagging.tag:choose_tags",
            "tessera.extras.tagging.settings:TagThresholds",
        ),
    script:
        "../scripts/choose_tags.py"


# Everything that is made of tags alone.
MADE_OF_TAGS = ["<results>/tags/tags.parquet"] if TAGGER else []


def declared_tagger(wildcards):
    """Return no files. Raises `TesseraError` if there is no tagger, or no footage."""
    tagger(wildcards)
    return footage(wildcards)


rule tags:
    input:
        declared_tagger,
        WITHDRAWN,
        MADE_OF_TAGS,
    localrule: True
