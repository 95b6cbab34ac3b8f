# Active learning: ask people for the labels from which a classifier learns most. `snakemake ask`

from tessera.core.definitions import code_digest
from tessera.stages.labels.settings import ImageLabelSet
from tessera.records.rounds import read_rounds, round_name


@cache
def asked_rounds():
    """Return the rounds that were asked so far."""
    try:
        return read_rounds(Path(ANSWERS["path"])) if ASKING else []
    except TesseraError as error:
        raise WorkflowError(str(error)) from None


# The classifier with a learning curve.
ASKED = [ASKING] if asked_rounds() else []


localrules:
    ask,


def has_labels():
    """Return whether there are labels that the classifier can learn from."""
    pictures = config["classifiers"][ASKING]["pictures"]
    return bool(
        pictures["regions"]
        or pictures["degraded"]
        or any(file_name(name) in READABLE for name in pictures["sets"])
    )


def of_trained(*paths):
    """Return a function that returns `paths`, expanded for all shards, if the classifier has labels to learn from."""

    def given(wildcards):
        return expand(list(paths), shard=SHARDS, **wildcards) if has_labels() else []

    return given


def labels_to_ask_with(wildcards):
    """Return the tables of the labelled pictures of the classifier."""
    return labels_of_pictures(wildcards) if has_labels() else []


def compared_vectors(wildcards):
    """Return the tables of the vectors that the pictures of a round differ in, if an embedding is set."""
    name = config["ask"]["embedding"]
    return (
        expand(f"<results>/embeddings/shards/{{shard}}/{name}.parquet", shard=SHARDS)
        if name
        else []
    )


def answered(wildcards):
    """Return no files. Raises `TesseraError` if the last round that was asked has no answer."""
    # It imports what planning does without.
    from tessera.stages.labels.whole import has_answers

    last = round_name(len(asked_rounds()))
    folder = Path(ANSWERS["path"], last)
    if asked_rounds() and not has_answers(ImageLabelSet(**ANSWERS), last, ANSWERED):
        raise TesseraError(
            f"{folder} has no answers yet: label its pictures, there or with `snakemake review`, then run `snakemake ask` again"
        )
    return []


def round_to_ask(wildcards):
    """Return the file that a round of the classifier makes. Raises `TesseraError` if none is set."""
    if not ASKING:
        raise TesseraError("`ask.model` is null: name the classifier to ask for")
    return f"<results>/asked/{ASKING}.jsonl"


rule ask:
    input:
        footage,
        WITHDRAWN,
        round_to_ask,


rule ask_round:
    input:
        answered,
        frames=expand("<results>/frames/{shard}/frames.parquet", shard=SHARDS),
        pictures=expand("<results>/frames/{shard}/images", shard=SHARDS),
        sources="<results>/sources/admitted.parquet",
        splits="<results>/datasets/splits.parquet",
        gate="<results>/gates/frames.json",
        duplicates=tables_of_duplicates,
        labels=labels_to_ask_with,
        regions=lambda wildcards: (
            regions_of("images")(wildcards) if has_labels() else []
        ),
        scores=of_trained("<results>/scores/frames/{shard}/{dataset}.parquet"),
        vectors=compared_vectors,
        metrics=lambda wildcards: (
            f"<results>/metrics/{wildcards.dataset}.json" if has_labels() else []
        ),
        dataset=lambda wildcards: (
            f"<results>/datasets/{wildcards.dataset}/pictures.parquet"
            if has_labels()
            else []
        ),
    output:
        # The pictures are not outputs, because they belong to the person who labels them.
        ledger="<results>/asked/{dataset}.jsonl",
    log:
        "<logs>/ask_round/{dataset}.log",
    benchmark:
        "<benchmarks>/ask_round/{dataset}.jsonl"
    wildcard_constraints:
        dataset=any_of([ASKING] if ASKING else []),
    params:
        answers=lambda wildcards: {
            "folder": ANSWERS["path"],
            "layout": ANSWERS["format"],
            "question": ANSWERS["task"] or ANSWERS["name"],
            "is_divided": ANSWERS["split_by"] == "image",
        },
        # Each answered round is followed by another.
        asked=lambda wildcards: len(asked_rounds()),
        settings=lookup(dpath="ask", within=config),
        classes=lambda wildcards: config["classifiers"][wildcards.dataset]["labels"],
        decisions=rows_of(FRAME_DECISIONS),
        distance=lookup(dpath="duplicates/distance", within=config),
        free=lambda wildcards: [
            source.source
            for source in SOURCES
            if (config["ask"]["hard_negatives"] or {}).get("free_of") in source.free_of
        ],
        seed=lookup(dpath="seed", within=config),
        code=code_digest("tessera.extras.active_learning.rounds:ask_round"),
    script:
        "../scripts/ask_round.py"


rule plot_learning:
    input:
        metrics="<results>/metrics/{model}.json",
        pictures=of_model("<results>/datasets/{dataset}/pictures.parquet"),
    output:
        table="<results>/asked/{model}.parquet",
        figure=report(
            "<results>/reports/models/{model}/learning.svg",
            caption="../report/learning.rst",
            category="3. Models",
            subcategory="{model}",
            labels={"figure": "4. Learning curve"},
        ),
    log:
        "<logs>/plot_learning/{model}.log",
    benchmark:
        "<benchmarks>/plot_learning/{model}.jsonl"
    wildcard_constraints:
        model=any_of(ASKED),
    localrule: True
    params:
        rounds=lambda wildcards: [
            (
                each.reached.model_dump()
                if each.reached and each.model == wildcards.model
                else None
            )
            for each in asked_rounds()
        ],
        code=code_digest("tessera.pages.report.learning:draw_learning"),
    script:
        "../scripts/plot_learning.py"
