# Embeddings: a vector of every sampled frame, labelled image, clip, crop and picture of a classifier, and the near-duplicates
# that they show.

from tessera.catalogue import PICTURES, labelled_sets
from tessera.core.definitions import code_digest
from tessera.learning.weights.resolve import weights_checksums, weights_file

EMBEDDINGS = config["embeddings"]
# Those that find near-duplicates, and those whose near-duplicates are left out of the datasets.
COMPARING = [name for name, each in EMBEDDINGS.items() if each["near_duplicates"]]
OF_CLIPS = [name for name, each in EMBEDDINGS.items() if each["clips"]]
OF_CROPS = [name for name, each in EMBEDDINGS.items() if each["crops"]]
# Those that only classifiers use. They are asked for the pictures of these alone.
OF_CLASSIFIERS = {
    user["embedding"]
    for each in config["classifiers"].values()
    for user in (each, each["label_errors"] or {})
    if user.get("embedding")
}.difference(COMPARING, OF_CLIPS)
# Those of crops are of nothing else, unless the settings say so.
OF_FRAMES = [
    name
    for name in EMBEDDINGS
    if name not in OF_CLASSIFIERS.union(OF_CROPS).difference(COMPARING, OF_CLIPS)
]
EMBEDDED = {
    "pictures": expand(
        "<results>/embeddings/shards/{shard}/{embedding}",
        shard=SHARDS,
        embedding=OF_FRAMES,
    )
    + expand(
        "<results>/embeddings/labels/{labels}/{embedding}",
        labels=[
            name for name, each in LABELS.items() if each.dataset in WITHOUT_DUPLICATES
        ],
        embedding=OF_FRAMES,
    ),
    "clips": expand(
        "<results>/embeddings/clips/{shard}/{embedding}",
        shard=SHARDS,
        embedding=OF_CLIPS,
    ),
}
EMBEDDED_CROPS = expand(
    "<results>/embeddings/crops/{shard}/{embedding}", shard=SHARDS, embedding=OF_CROPS
)
if OF_CROPS:
    # The gate of crops. A trained detector may find them, for whose splits the near-duplicates behind the other gate are needed.
    GATES["crops"]["embedding crops"] = (
        "crops",
        [f"{table}.jsonl" for table in EMBEDDED_CROPS],
    )
if OF_FRAMES:
    GATES["embeddings"] = {
        f"embedding {unit}": (unit, [f"{table}.jsonl" for table in tables])
        for unit, tables in EMBEDDED.items()
        if tables
    }


wildcard_constraints:
    embedding=any_of(EMBEDDINGS),


def embedding_weights(wildcards):
    """Return the file of the weights of an embedding."""
    own = EMBEDDINGS[wildcards.embedding]
    return weights_file(own["weights"], own["detector"])


def embedding_checksums(wildcards):
    """Return the checksums of the weights of an embedding if they are trained here, else an empty list."""
    own = EMBEDDINGS[wildcards.embedding]
    return weights_checksums(own["weights"], own["detector"])


def embedder(wildcards):
    """Return the settings of an embedding, without those of its use."""
    used = {"clips", "crops", "near_duplicates"}
    own = EMBEDDINGS[wildcards.embedding]
    return {name: value for name, value in own.items() if name not in used}


def labelled_frames(wildcards):
    """Return the table of the labelled frames of a shard, or an empty list if labels of frames are not set."""
    folder = f"<results>/labels/frames/{wildcards.shard}"
    return [f"{folder}/images.parquet"] if wildcards.shard in LABELLED else []


def unsampled_frames(wildcards):
    """Return the folder of the labelled frames of a shard that were not sampled, or an empty list."""
    folder = f"<results>/labels/frames/{wildcards.shard}"
    return [f"{folder}/unsampled"] if wildcards.shard in LABELLED else []


rule embed_frames:
    input:
        frames="<results>/frames/{shard}/frames.parquet",
        pictures="<results>/frames/{shard}/images",
        labelled=labelled_frames,
        unsampled=unsampled_frames,
        weights=embedding_weights,
        checksums=embedding_checksums,
    output:
        # The store, the folder `kept`, is not an output, so that it survives killed jobs and changes.
        table="<results>/embeddings/shards/{shard}/{embedding}.parquet",
        ledger="<results>/embeddings/shards/{shard}/{embedding}.jsonl",
    log:
        "<logs>/embed_frames/{embedding}/{shard}.log",
    benchmark:
        "<benchmarks>/embed_frames/{embedding}/{shard}.jsonl"
    threads: 8
    resources:
        gpu=1,
    params:
        settings=embedder,
        embedded_by=code_digest("tessera.extras.near_duplicates.embed:embed_pictures"),
        code=code_digest(
            "tessera.extras.near_duplicates.embed:embed_pictures",
            "tessera.learning.weights.resolve:expected_digest",
            "tessera.extras.near_duplicates.settings:EmbeddingSettings",
        ),
    script:
        "../scripts/embed_frames.py"


rule embed_labels:
    input:
        labelled="<results>/labels/sets/{labels}/images.parquet",
        pictures="<results>/labels/sets/{labels}/pictures",
        weights=embedding_weights,
        checksums=embedding_checksums,
    output:
        table="<results>/embeddings/labels/{labels}/{embedding}.parquet",
        ledger="<results>/embeddings/labels/{labels}/{embedding}.jsonl",
    log:
        "<logs>/embed_labels/{embedding}/{labels}.log",
    benchmark:
        "<benchmarks>/embed_labels/{embedding}/{labels}.jsonl"
    threads: 8
    resources:
        gpu=1,
    params:
        settings=embedder,
        embedded_by=code_digest("tessera.extras.near_duplicates.embed:embed_pictures"),
        code=code_digest(
            "tessera.extras.near_duplicates.embed:embed_pictures",
            "tessera.learning.weights.resolve:expected_digest",
            "tessera.extras.near_duplicates.settings:EmbeddingSettings",
        ),
    script:
        "../scripts/embed_labels.py"


rule embed_clips:
    input:
        clips="<results>/clips/{shard}/clips.parquet",
        pictures="<results>/clips/{shard}/images",
        weights=embedding_weights,
        checksums=embedding_checksums,
    output:
        table="<results>/embeddings/clips/{shard}/{embedding}.parquet",
        ledger="<results>/embeddings/clips/{shard}/{embedding}.jsonl",
    log:
        "<logs>/embed_clips/{embedding}/{shard}.log",
    benchmark:
        "<benchmarks>/embed_clips/{embedding}/{shard}.jsonl"
    threads: 8
    resources:
        gpu=1,
    params:
        settings=embedder,
        samples=lookup(dpath="embeddings/{embedding}/clips", within=config),
        embedded_by=code_digest("tessera.extras.near_duplicates.embed:embed_clips"),
        code=code_digest(
            "tessera.extras.near_duplicates.embed:embed_clips",
            "tessera.learning.weights.resolve:expected_digest",
            "tessera.extras.near_duplicates.settings:EmbeddingSettings",
        ),
    script:
        "../scripts/embed_clips.py"


rule embed_crops:
    input:
        crops="<results>/crops/{shard}/crops.parquet",
        pictures="<results>/crops/{shard}/images",
        sources="<results>/sources/shards/{shard}/sources.parquet",
        weights=embedding_weights,
        checksums=embedding_checksums,
    output:
        table="<results>/embeddings/crops/{shard}/{embedding}.parquet",
        ledger="<results>/embeddings/crops/{shard}/{embedding}.jsonl",
    log:
        "<logs>/embed_crops/{embedding}/{shard}.log",
    benchmark:
        "<benchmarks>/embed_crops/{embedding}/{shard}.jsonl"
    threads: 8
    resources:
        gpu=1,
    params:
        settings=embedder,
        steps=lookup(dpath="embeddings/{embedding}/crops", within=config),
        embedded_by=code_digest("tessera.extras.near_duplicates.embed:embed_crops"),
        code=code_digest(
            "tessera.extras.near_duplicates.embed:embed_crops",
            "tessera.learning.weights.resolve:expected_digest",
            "tessera.extras.near_duplicates.settings:EmbeddingSettings",
        ),
    script:
        "../scripts/embed_crops.py"


# Made where a classifier needs it. No rule gates its ledger, because near-duplicates decide the splits, so that all gates are
# before them: the rule itself stops if too many pictures fail.
rule embed_dataset:
    input:
        pictures="<results>/datasets/{dataset}/pictures.parquet",
        images="<results>/datasets/{dataset}/images",
        weights=embedding_weights,
        checksums=embedding_checksums,
    output:
        table="<results>/embeddings/datasets/{dataset}/{embedding}.parquet",
        ledger="<results>/embeddings/datasets/{dataset}/{embedding}.jsonl",
    log:
        "<logs>/embed_dataset/{embedding}/{dataset}.log",
    benchmark:
        "<benchmarks>/embed_dataset/{embedding}/{dataset}.jsonl"
    wildcard_constraints:
        dataset=laid_out_as(PICTURES),
    threads: 8
    resources:
        gpu=1,
    params:
        settings=embedder,
        max_failed=lookup(dpath="gates/embeddings", within=config),
        embedded_by=code_digest("tessera.extras.near_duplicates.embed:embed_dataset"),
        code=code_digest(
            "tessera.extras.near_duplicates.embed:embed_dataset",
            "tessera.core.ledger:gate",
            "tessera.learning.weights.resolve:expected_digest",
            "tessera.extras.near_duplicates.settings:EmbeddingSettings",
        ),
    script:
        "../scripts/embed_dataset.py"


def embedded_pictures(wildcards):
    """Return the tables of the vectors of all pictures."""
    return [
        f"{table}.parquet"
        for table in EMBEDDED["pictures"]
        if table.rpartition("/")[2] == wildcards.embedding
    ]


rule find_near_duplicates:
    input:
        tables=embedded_pictures,
        labelled=labelled_images,
        sources="<results>/sources/admitted.parquet",
        gate="<results>/gates/embeddings.json",
    output:
        table="<results>/near_duplicates/{embedding}/near_duplicates.parquet",
        ledger="<results>/near_duplicates/{embedding}/ledger.jsonl",
    log:
        "<logs>/find_near_duplicates/{embedding}.log",
    benchmark:
        "<benchmarks>/find_near_duplicates/{embedding}.jsonl"
    threads: 8
    params:
        settings=lookup(dpath="embeddings/{embedding}/near_duplicates", within=config),
        code=code_digest(
            "tessera.extras.near_duplicates.near_duplicates:find_near_duplicates"
        ),
    script:
        "../scripts/find_near_duplicates.py"


rule show_near_duplicates:
    input:
        pairs="<results>/near_duplicates/{embedding}/near_duplicates.parquet",
        tables=embedded_pictures,
        frames=expand("<results>/frames/{shard}/images", shard=SHARDS),
        sources="<results>/sources/admitted.parquet",
    output:
        # A folder, because there may be no near-duplicates.
        pictures=report(
            directory("<results>/reports/near_duplicates/{embedding}"),
            patterns=["{order}.html"],
            caption="../report/near_duplicates.rst",
            category="1. Footage",
            subcategory="near-duplicates",
            labels={"figure": "{embedding}: {order}"},
        ),
    log:
        "<logs>/show_near_duplicates/{embedding}.log",
    benchmark:
        "<benchmarks>/show_near_duplicates/{embedding}.jsonl"
    localrule: True
    params:
        settings=lookup(dpath="report", within=config),
        sets=verbatim(
            {each.source: each.values["content"] for each in labelled_sets(config)}
        ),
        code=code_digest("tessera.pages.report.near_duplicates:show_near_duplicates"),
    script:
        "../scripts/show_near_duplicates.py"


# Everything that is made of embeddings.
MADE_OF_EMBEDDINGS = [
    *(["<results>/gates/embeddings.json"] if OF_FRAMES else []),
    *(f"{table}.parquet" for tables in EMBEDDED.values() for table in tables),
    *(f"{table}.parquet" for table in EMBEDDED_CROPS),
    *expand(
        "<results>/near_duplicates/{embedding}/near_duplicates.parquet",
        embedding=COMPARING,
    ),
    *expand("<results>/reports/near_duplicates/{embedding}", embedding=COMPARING),
]


def declared_embeddings(wildcards):
    """Return no files. Raises `TesseraError` if there is nothing to embed, or no embedding."""
    if not EMBEDDINGS:
        raise TesseraError("no embedding is declared: add one to `embeddings`")
    return footage(wildcards) if not LABELS else []


rule embeddings:
    input:
        declared_embeddings,
        WITHDRAWN,
        MADE_OF_EMBEDDINGS,
    localrule: True
