# Scores: apply classifiers, trained here or declared, to the sampled frames and to clips.

from tessera.core.definitions import code_digest
from tessera.core.weights.resolve import weights_checksums, weights_file

# How classifiers are used, by their names: their weights and their tiling.
CLASSIFIERS = {
    **{
        name: {"weights": "trained", "tiling": each["tiling"]}
        for name, each in config["classifiers"].items()
    },
    **config["declared_classifiers"],
}

# Those by which frames are left out of datasets that are made.
DROPPING = list(
    dict.fromkeys(
        name for dataset in DATASETS for name in config["drops"].get(dataset, {})
    )
)
if DROPPING:
    GATES["scores"] = {
        "scoring frames": (
            "frames",
            expand(
                "<results>/scores/frames/{shard}/{classifier}.jsonl",
                shard=SHARDS,
                classifier=DROPPING,
            ),
        )
    }


wildcard_constraints:
    classifier=any_of(CLASSIFIERS),


def classifier_weights(wildcards):
    """Return the file of a classifier."""
    name = wildcards.classifier
    return weights_file(CLASSIFIERS[name]["weights"], name, ".safetensors")


def classifier_checksums(wildcards):
    """Return the checksums of a classifier if it is trained here, else an empty list."""
    name = wildcards.classifier
    return weights_checksums(CLASSIFIERS[name]["weights"], name)


def use_of_classifier(wildcards):
    """Return the settings of the use of a classifier."""
    return CLASSIFIERS[wildcards.classifier]


rule score_frames:
    input:
        frames="<results>/frames/{shard}/frames.parquet",
        pictures="<results>/frames/{shard}/images",
        classifier=classifier_weights,
        checksums=classifier_checksums,
    output:
        # The store, the folder `kept`, is not an output, so that it survives killed jobs and changes.
        scored="<results>/scores/frames/{shard}/{classifier}.parquet",
        ledger="<results>/scores/frames/{shard}/{classifier}.jsonl",
    log:
        "<logs>/score_frames/{classifier}/{shard}.log",
    benchmark:
        "<benchmarks>/score_frames/{classifier}/{shard}.jsonl"
    threads: 8
    resources:
        gpu=1,
    params:
        settings=use_of_classifier,
        scored_by=code_digest("tessera.pipeline.classifiers.predict:score_frames"),
        code=code_digest(
            "tessera.pipeline.classifiers.predict:score_frames",
            "tessera.core.weights.resolve:expected_digest",
            "tessera.imaging.classification.settings:Tiling",
        ),
    script:
        "../scripts/score_frames.py"


rule classify_clips:
    input:
        clips="<results>/clips/{shard}/clips.parquet",
        pictures="<results>/clips/{shard}/images",
        classifier=classifier_weights,
        checksums=classifier_checksums,
    output:
        scored="<results>/scores/clips/{shard}/{classifier}.parquet",
        ledger="<results>/scores/clips/{shard}/{classifier}.jsonl",
    log:
        "<logs>/classify_clips/{classifier}/{shard}.log",
    benchmark:
        "<benchmarks>/classify_clips/{classifier}/{shard}.jsonl"
    threads: 8
    resources:
        gpu=1,
    params:
        settings=use_of_classifier,
        samples=lookup(dpath="scores/samples", within=config),
        scored_by=code_digest("tessera.pipeline.classifiers.predict:classify_clips"),
        code=code_digest(
            "tessera.pipeline.classifiers.predict:classify_clips",
            "tessera.core.weights.resolve:expected_digest",
            "tessera.imaging.classification.settings:Tiling",
        ),
    script:
        "../scripts/classify_clips.py"
