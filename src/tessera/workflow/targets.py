"""The targets that make one model, image set or face set, each with its name."""

from tessera.catalogue import Model, all_models, image_set_of_part, trained_models
from tessera.core.errors import TesseraError
from tessera.workflow.crops import crop_targets, tag_targets
from tessera.workflow.embeddings import embedding_targets
from tessera.workflow.face_sets import face_targets, require_face_set, unpacked
from tessera.workflow.identities import identity_targets
from tessera.workflow.models import exported_names
from tessera.workflow.project import Given, Project, Wildcards, require_sources
from tessera.workflow.restore import refused_but_restored, restored

# What describes the samples of a dataset, whatever its layout is.
OF_EVERY_DATASET = "splits.parquet", "datasheet.json", "datasheet.md", "SHA256SUMS"


def products(project: Project) -> dict[str, list[str]]:
    """Return what people use of the results, by the file that is made last of it.

    The targets ask for all of it, because Snakemake makes a lost file again only if it is asked for.
    """
    datasets = {
        f"{folder}/croissant.json": [
            f"{folder}/{part}" for part in (*dataset.layout.folders, *dataset.layout.files, *OF_EVERY_DATASET)
        ]
        for dataset in project.datasets.values()
        for folder in [f"<results>/datasets/{dataset.name}"]
    }
    models = {
        f"<results>/weights/{name}/SHA256SUMS": [
            f"<results>/weights/{name}/{file.format(model=name)}"
            for file in (*exported_names(project, model), "card.json", "card.md")
        ]
        for name, model in project.models.items()
    }
    frames = {f"{folder}/frames.parquet": [f"{folder}/images"] for folder in project.of_shards("<results>/frames/{shard}")}
    restored_videos = {
        f"{folder}/ledger.jsonl": [f"{folder}/{part}" for part in ("videos", "comparisons", "sheets")]
        for folder in project.of_shards("<results>/restored/{shard}", restored(project))
    }
    return {**datasets, **models, **frames, **restored_videos}


def products_in(project: Project, folder: str) -> list[str]:
    """Return the `products` in a folder of the results, such as `datasets`, with the file that is made last of each."""
    return [
        path for last, files in products(project).items() if last.startswith(f"<results>/{folder}/") for path in (last, *files)
    ]


def targets(project: Project) -> dict[str, Given[list[str]]]:
    """Return a function that returns what each target makes, by the path of the setting that names the target."""
    models = {f"{model.kind.section}.{model.name}": project.of_job(_finished, model) for model in all_models(project.config)}
    sets = {f"image_sets.{name}": project.of_job(_parts_of_set, name) for name in project.config["image_sets"]}
    faces = {f"face_sets.{name}": project.of_job(_finished_faces, name) for name in project.config["face_sets"]}
    return {**models, **sets, **faces}


def extra_targets(project: Project) -> list[str]:
    """Return what is made besides datasets and models; nothing if only earlier results are removed."""
    if project.is_emptied:
        return []
    extras = [*embedding_targets(project), *crop_targets(project), *tag_targets(project), *identity_targets(project)]
    return [*extras, *face_targets(project), *unpacked(project), *refused_but_restored(project)]


def _finished(project: Project, wildcards: Wildcards, model: Model) -> list[str]:
    """Return the last file of `model`. Raises `TesseraError` if it is not trained."""
    if model.name not in project.models:
        if model.name in trained_models(project.config):
            require_sources(project, wildcards)
            raise TesseraError(f"{project.config['manifest']} lists no source that feeds a dataset: `use` is `restore` in all")
        raise TesseraError(model.untrained_hint)
    return products_in(project, f"weights/{model.name}")


def _parts_of_set(project: Project, wildcards: Wildcards, name: str) -> list[str]:
    """Return the last file of the image set `name`, or of each of its parts with one series."""
    parts = [each for each in project.datasets if image_set_of_part(each) == name]
    require_sources(project, wildcards)
    return [path for part in parts for path in products_in(project, f"datasets/{part}")]


def _finished_faces(project: Project, wildcards: Wildcards, name: str) -> list[str]:
    """Return the last file of the face set `name`. Raises `TesseraError` if it is refused."""
    require_face_set(project, wildcards, name)
    return [*face_targets(project), *products_in(project, f"datasets/{name}")]
