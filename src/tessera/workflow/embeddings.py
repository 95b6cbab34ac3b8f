"""The embeddings: what each is made of, and the near-duplicates that they find."""

from typing import Any

from tessera.core.errors import TesseraError
from tessera.learning.weights.resolve import weights_checksums, weights_file
from tessera.workflow.project import Paths, Project, Wildcards, require_sources


def embeddings_with(project: Project, use: str) -> list[str]:
    """Return the names of the embeddings whose settings have `use`: `near_duplicates`, `clips` or `crops`."""
    return [name for name, each in project.config["embeddings"].items() if each[use]]


def embeddings_of_frames(project: Project) -> list[str]:
    """Return the embeddings of frames and of labelled images.

    Those that only classifiers use are asked for the pictures of these alone, and those of crops are of nothing else, unless
    the settings say so.
    """
    others = {*embeddings_with(project, "near_duplicates"), *embeddings_with(project, "clips")}
    of_classifiers = {
        user["embedding"]
        for each in project.config["classifiers"].values()
        for user in (each, each["label_errors"] or {})
        if user.get("embedding")
    } - others
    left_out = of_classifiers.union(embeddings_with(project, "crops")) - others
    return [name for name in project.config["embeddings"] if name not in left_out]


def embedded(project: Project) -> dict[str, list[str]]:
    """Return the tables of vectors, without their suffix, by what they are of: `pictures` and `clips`."""
    of_frames = embeddings_of_frames(project)
    pictures = project.of_shards("<results>/embeddings/shards/{shard}/{embedding}", embedding=of_frames)
    for name, each in project.labels.items():
        if each.dataset in project.without_duplicates:
            pictures += [f"<results>/embeddings/labels/{name}/{embedding}" for embedding in of_frames]
    clips = project.of_shards("<results>/embeddings/clips/{shard}/{embedding}", embedding=embeddings_with(project, "clips"))
    return {"pictures": pictures, "clips": clips}


def embedded_crops(project: Project) -> list[str]:
    """Return the tables of the vectors of crops, without their suffix."""
    return project.of_shards("<results>/embeddings/crops/{shard}/{embedding}", embedding=embeddings_with(project, "crops"))


def embedding_weights(project: Project, wildcards: Wildcards) -> Paths:
    """Return the file of the weights of an embedding."""
    settings = project.config["embeddings"][wildcards.embedding]
    return weights_file(settings["weights"], settings["detector"])


def embedding_checksums(project: Project, wildcards: Wildcards) -> Paths:
    """Return the checksums of the weights of an embedding if they are trained here, else an empty list."""
    settings = project.config["embeddings"][wildcards.embedding]
    return weights_checksums(settings["weights"], settings["detector"])


def embedder(project: Project, wildcards: Wildcards) -> dict[str, Any]:
    """Return the settings of an embedding, without those of its use."""
    used = {"clips", "crops", "near_duplicates"}
    settings = project.config["embeddings"][wildcards.embedding]
    return {name: value for name, value in settings.items() if name not in used}


def labelled_frames(project: Project, wildcards: Wildcards, part: str) -> list[str]:
    """Return `part` of the labelled frames of a shard, or an empty list if its frames have no labels."""
    is_labelled = wildcards.shard in project.labelled_shards
    return [f"<results>/labels/frames/{wildcards.shard}/{part}"] if is_labelled else []


def embedded_pictures(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the tables of the vectors of all pictures."""
    end = f"/{wildcards.embedding}"
    return [f"{table}.parquet" for table in embedded(project)["pictures"] if table.endswith(end)]


def tables_of_duplicates(project: Project) -> list[str]:
    """Return the tables of near-duplicates that are left out: by hash, and by those embeddings that the settings name."""
    names = project.config["duplicates"]["embeddings"]
    by_embedding = [f"<results>/near_duplicates/{name}/near_duplicates.parquet" for name in names]
    return ["<results>/duplicates/duplicates.parquet", *by_embedding]


def embedding_targets(project: Project) -> list[str]:
    """Return everything that is made of embeddings."""
    comparing = embeddings_with(project, "near_duplicates")
    tables = [*embedded(project)["pictures"], *embedded(project)["clips"], *embedded_crops(project)]
    return [
        *(["<results>/gates/embeddings.json"] if embeddings_of_frames(project) else []),
        *(f"{table}.parquet" for table in tables),
        *(f"<results>/near_duplicates/{name}/near_duplicates.parquet" for name in comparing),
        *(f"<results>/reports/near_duplicates/{name}" for name in comparing),
    ]


def require_embeddings(project: Project, wildcards: Wildcards) -> list[str]:
    """Return no files. Raises `TesseraError` if there is nothing to embed, or no embedding."""
    if not project.config["embeddings"]:
        raise TesseraError("no embedding is declared: add one to `embeddings`")
    return require_sources(project, wildcards) if not project.labels else []
