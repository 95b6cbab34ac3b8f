"""Face sets: what each is made of, and what must be removed of those that may not be made any more."""

from pathlib import Path
from typing import Any

from tessera.core.errors import TesseraError
from tessera.learning.weights.resolve import weights_file
from tessera.workflow.project import Paths, Project, Wildcards, require_sources

FACES = "<results>/faces/{shard}/{face_set}"


def faces_of_set(project: Project, name: str, part: str) -> list[str]:
    """Return `part` of the faces of the set `name` for each shard with a source that it may be made of."""
    admitted = set(project.face_sets[name].sources)
    shards = [shard for shard, sources in project.shards.items() if any(each.source in admitted for each in sources)]
    return project.of_shards(f"{FACES}/{part}", shards, face_set=[name])


def faces_of_job(project: Project, wildcards: Wildcards, part: str) -> list[str]:
    """Return `part` of the faces of the set of a job, for each of its shards."""
    return faces_of_set(project, wildcards.dataset, part)


def ledgers_of_faces(project: Project) -> dict[str, list[str]]:
    """Return the ledgers of the faces of each set that may be made, by its name."""
    return {
        name: faces_of_set(project, name, "ledger.jsonl") for name in project.config["face_sets"] if name in project.datasets
    }


def extraction(project: Project, wildcards: Wildcards) -> dict[str, Any]:
    """Return the settings that decide which faces are cut out of a shard, with the sources in it that are admitted."""
    admitted = project.face_sets[wildcards.face_set].sources
    in_shard = {source.source for source in project.shards[wildcards.shard]}
    settings = project.config["face_sets"][wildcards.face_set]
    stated = {name: value for name, value in settings.items() if name not in {"identity", "filter", "pack"}}
    return {**stated, "sources": [source for source in admitted if source in in_shard]}


def face_models(project: Project, wildcards: Wildcards, part: str) -> Paths:
    """Return the file of the weights in `part` of a face set, such as `detector`; an empty list without any."""
    return weights_file(project.config["face_sets"][wildcards.face_set][part]["weights"])


def embeddings_of_set(project: Project, name: str, suffix: str) -> list[str]:
    """Return the files of the vectors of the faces of the set `name`, or their ledgers, by `suffix`; none without a model."""
    is_embedded = project.config["face_sets"][name]["identity"]["weights"]
    return faces_of_set(project, name, f"embeddings{suffix}") if is_embedded else []


def embeddings_of_job(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the files of the vectors of the faces of the set of a job."""
    return embeddings_of_set(project, wildcards.dataset, ".parquet")


def distances_of_job(project: Project, wildcards: Wildcards) -> Paths:
    """Return the table of how far the faces of the set of a job are from its person; an empty list without a model."""
    is_embedded = project.config["face_sets"][wildcards.dataset]["identity"]["weights"]
    return f"<results>/face_sets/{wildcards.dataset}/distances.parquet" if is_embedded else []


def identity(project: Project, wildcards: Wildcards) -> dict[str, Any]:
    """Return the settings of the model that tells other people from the person of a set."""
    settings: dict[str, Any] = project.config["face_sets"][wildcards.face_set]["identity"]
    return settings


def references_of_person(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the sources that show the person of a set alone."""
    return list(project.config["face_sets"][wildcards.dataset]["identity"]["references"])


def subject_of_set(project: Project, wildcards: Wildcards) -> dict[str, Any]:
    """Return the row of the person of a face set in the table of subjects."""
    name = project.config["face_sets"][wildcards.face_set]["subject"]
    if name not in project.subjects:
        raise TesseraError(f"{project.config['subjects']} does not name {name!r}")
    return project.subjects[name].model_dump(mode="json")


def face_filter(project: Project, wildcards: Wildcards) -> dict[str, Any]:
    """Return the settings by which the faces of a set are selected."""
    settings: dict[str, Any] = project.config["face_sets"][wildcards.dataset]["filter"]
    return settings


def admitted_face_sets(project: Project) -> list[dict[str, str]]:
    """Return the rows of the ledger of all face sets, and of their sources: `SET` and `SET/SOURCE`."""
    rows = []
    for name, admission in project.face_sets.items():
        sources = project.config["face_sets"][name]["sources"] if admission.sources or admission.refused else []
        decided = {name: admission.refusal} | {f"{name}/{source}": admission.refused.get(source) for source in sources}
        for key, error in decided.items():
            status = "dropped" if error else "ok"
            rows.append(
                {"key": key, "status": status, "reason": error.reason if error else "", "detail": error.detail if error else ""}
            )
    return rows


def face_targets(project: Project) -> list[str]:
    """Return what is made of all face sets together: why which are refused."""
    return ["<results>/face_sets/ledger.jsonl"] if project.config["face_sets"] else []


def require_face_set(project: Project, wildcards: Wildcards, name: str) -> list[str]:
    """Return no files. Raises `TesseraError` if the face set `name` is refused, or there is no footage."""
    require_sources(project, wildcards)
    admission = project.face_sets[name]
    if not admission.sources:
        raise TesseraError(f"`face_sets.{name}` is refused: {'; '.join(admission.reasons())}")
    return []


def refused_faces(project: Project) -> list[str]:
    """Return the faces and vectors that may not be there any more.

    They are the folders of sets, and of shards of sets, that are not admitted, and what tells people apart in sets without a
    model for it: it would not be made again when a source is withdrawn.
    """
    results = Path(project.results)
    unused = [
        path
        for name, settings in project.config["face_sets"].items()
        if not settings["identity"]["weights"]
        for pattern in (f"faces/*/{name}/embedd*", f"face_sets/{name}/distances.*")
        for path in results.glob(pattern)
    ]
    admitted = {
        Path(path.replace("<results>", project.results)) for paths in ledgers_of_faces(project).values() for path in paths
    }
    folders = [folder for folder in results.glob("faces/*/*") if folder.is_dir() and folder / "ledger.jsonl" not in admitted]
    return [str(path) for path in sorted({*folders, *unused})]


def refused_face_sets(project: Project) -> list[str]:
    """Return the names of the face sets of which there are results, and which are not admitted."""
    results = Path(project.results)
    folders = [*results.glob("face_sets/*/"), *results.glob("faces/*/*/")]
    return sorted({folder.name for folder in folders} - ledgers_of_faces(project).keys())
