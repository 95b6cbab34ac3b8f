# Scores: apply classifiers, trained here or declared, to the sampled frames, to clips, and to any folder. `snakemake score`

from tessera.core.definitions import code_digest
from tessera.core.files import check_apart, check_there, files_below
from tessera.core.provenance import fingerprint
from tessera.learning.weights.resolve import weights_checksums, weights_file

# How classifiers are used, by their names: their weights, their tiling, the labels of those that do not
# state them, and the settings of the embedding of a head.
CLASSIFIERS = {
    name: {
        "weights": (
            each["weights"] if name in config["declared_classifiers"] else "trained"
        ),
        "tiling": each["tiling"],
        "labels": each["labels"] if name in config["declared_classifiers"] else None,
        "embedding": config["embeddings"].get(each["embedding"]),
    }
    for name, each in [
        *config["classifiers"].items(),
        *config["declared_classifiers"].items(),
    ]
}

# Those by which frames are left out of datasets that are made, and of image sets.
DROPPING = list(
    dict.fromkeys(
        [
            *(
                name
                for dataset in DATASETS
                for name in config["drops"].get(dataset, {})
            ),
            *(
                name
                for each in config["image_sets"].values()
                for name in each["select"]["scores"]
            ),
        ]
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


def used_classifier(wildcards):
    """Return the name of the classifier of a job: its wildcard or, without one, that which `score` names."""
    name = getattr(wildcards, "classifier", config["score"]["model"])
    if name is None:
        raise TesseraError("`score.model` is null: name a classifier")
    if name in config["classifiers"] and name not in MODELS:
        footage(wildcards)
    return name


def classifier_weights(wildcards):
    """Return the file of the classifier of a job."""
    name = used_classifier(wildcards)
    return weights_file(CLASSIFIERS[name]["weights"], name, ".safetensors")


def classifier_checksums(wildcards):
    """Return the checksums of the classifier of a job if it is trained here, else an empty list."""
    name = used_classifier(wildcards)
    return weights_checksums(CLASSIFIERS[name]["weights"], name)


def embedder_weights(wildcards):
    """Return the file of the model of the vectors of a head, or an empty list for other classifiers."""
    own = CLASSIFIERS[used_classifier(wildcards)]["embedding"]
    return weights_file(own["weights"], own["detector"]) if own else []


def embedder_checksums(wildcards):
    """Return the checksums of the model of the vectors of a head if it is trained here, else an empty list."""
    own = CLASSIFIERS[used_classifier(wildcards)]["embedding"]
    return weights_checksums(own["weights"], own["detector"]) if own else []


def use_of_classifier(wildcards):
    """Return the settings of the use of the classifier of a job, without those of its embedding that are for other uses."""
    settings = CLASSIFIERS[used_classifier(wildcards)]
    others = {"clips", "crops", "near_duplicates", "detector"}
    own = settings["embedding"] and {
        name: value
        for name, value in settings["embedding"].items()
        if name not in others
    }
    return {**settings, "embedding": own}


rule score_frames:
    input:
        frames="<results>/frames/{shard}/frames.parquet",
        pictures="<results>/frames/{shard}/images",
        classifier=classifier_weights,
        checksums=classifier_checksums,
        embedder=embedder_weights,
        embedder_checksums=embedder_checksums,
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
        scored_by=code_digest("tessera.extras.classifiers.predict:score_frames"),
        code=code_digest(
            "tessera.extras.classifiers.predict:score_frames",
            "tessera.extras.classifiers.predict:use_of",
        ),
    script:
        "../scripts/score_frames.py"


rule classify_clips:
    input:
        clips="<results>/clips/{shard}/clips.parquet",
        pictures="<results>/clips/{shard}/images",
        classifier=classifier_weights,
        checksums=classifier_checksums,
        embedder=embedder_weights,
        embedder_checksums=embedder_checksums,
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
        scored_by=code_digest("tessera.extras.classifiers.predict:classify_clips"),
        code=code_digest(
            "tessera.extras.classifiers.predict:classify_clips",
            "tessera.extras.classifiers.predict:use_of",
        ),
    script:
        "../scripts/classify_clips.py"


def scored_folder(wildcards):
    """Return the folder that is scored. Raises `TesseraError` if it is not there, or is mixed up with the results."""
    folder = config["score"]["folder"]
    if folder is None:
        raise TesseraError("`score.folder` is null: name a folder of pictures")
    check_there("score.folder", folder, folder=True)
    check_apart("score.folder", folder, workflow.pathvars.apply("<results>/scores"))
    return folder


def watched_folder(wildcards):
    """Return a value that changes with the files in the folder that is scored."""
    return fingerprint(files_below(scored_folder(wildcards)))


rule score:
    input:
        # Also here, because Snakemake needs no classifier if there are earlier scores.
        classifier_weights,
        WITHDRAWN,
        "<results>/scores/folder/scores.tsv",
    localrule: True


rule score_folder:
    input:
        classifier=classifier_weights,
        checksums=classifier_checksums,
        embedder=embedder_weights,
        embedder_checksums=embedder_checksums,
        blocklist=lookup(dpath="sources/blocklist", within=config),
    output:
        scored="<results>/scores/folder/scores.parquet",
        ledger="<results>/scores/folder/ledger.jsonl",
    log:
        "<logs>/score_folder.log",
    benchmark:
        "<benchmarks>/score_folder.jsonl"
    threads: 8
    resources:
        gpu=1,
    params:
        settings=use_of_classifier,
        folder=scored_folder,
        watched=watched_folder,
        blocklist_distance=lookup(dpath="sources/blocklist_distance", within=config),
        code=code_digest(
            "tessera.extras.classifiers.folder:score_folder",
            "tessera.extras.classifiers.predict:use_of",
        ),
    script:
        "../scripts/score_folder.py"


rule show_scores:
    input:
        scored="<results>/scores/folder/scores.parquet",
    output:
        table="<results>/scores/folder/scores.tsv",
        brackets=directory("<results>/scores/folder/brackets"),
        sheets=directory("<results>/scores/folder/sheets"),
    log:
        "<logs>/show_scores.log",
    benchmark:
        "<benchmarks>/show_scores.jsonl"
    params:
        settings=verbatim(config["score"]),
        code=code_digest("tessera.extras.classifiers.folder:show_scores"),
    script:
        "../scripts/show_scores.py"
