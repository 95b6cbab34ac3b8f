"""Face sets: what each is made of, and what must be removed of those that may not be made any more."""

from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from tessera.core.contents import contents_of
from tessera.core.errors import TesseraError
from tessera.core.files import check_exists, file_name
from tessera.core.messages import truncate
from tessera.core.provenance import digest
from tessera.extras.face_sets.drawn import drawn_masks
from tessera.extras.face_sets.placed import Placement, read_placements
from tessera.learning.weights.resolve import weights_file
from tessera.records.manifest import results_among
from tessera.workflow.labels import decisions_on_pictures
from tessera.workflow.project import Paths, Project, Wildcards, require_sources

FACES = "<results>/faces/{shard}/{face_set}"
UNPACKED = "<results>/unpacked"
SEARCHED = {"path", "folder", "frame_labels"}  # settings whose folders are read with all that lies in them


def faces_of_set(project: Project, name: str, part: str) -> list[str]:
    """Return `part` of the faces of the set `name` for each shard with a source that it may be made of."""
    admitted = set(project.face_sets[name].sources)
    shards = [shard for shard, sources in project.shards.items() if any(each.source in admitted for each in sources)]
    return project.of_shards(f"{FACES}/{part}", shards, face_set=[name])


def faces_of_job(project: Project, wildcards: Wildcards, part: str) -> list[str]:
    """Return `part` of the faces of the set of a job, for each of its shards."""
    return faces_of_set(project, wildcards.dataset, part)


def face_sets(project: Project) -> list[str]:
    """Return the names of the face sets that are made."""
    return [name for name in project.config["face_sets"] if name in project.datasets]


def faces_of_all_sets(project: Project, part: str) -> list[str]:
    """Return `part` of the faces of each set that is made, for each of its shards."""
    return [path for name in face_sets(project) for path in faces_of_set(project, name, part)]


def ledgers_of_faces(project: Project) -> dict[str, list[str]]:
    """Return the ledgers of the faces of each set that may be made, by its name."""
    return {name: faces_of_set(project, name, "ledger.jsonl") for name in face_sets(project)}


def extraction(project: Project, wildcards: Wildcards) -> dict[str, Any]:
    """Return the settings that decide which faces are cut out of a shard, with the sources in it that are admitted."""
    settings = project.config["face_sets"][wildcards.face_set]
    own = {"identity", "masks", "masks_by_hand", "filter", "pack"}
    stated = {name: value for name, value in settings.items() if name not in own}
    return {**stated, "sources": _sources_of_job(project, wildcards)}


def _sources_of_job(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the sources in a shard that are admitted to a face set."""
    in_shard = {source.source for source in project.shards[wildcards.shard]}
    return [source for source in project.face_sets[wildcards.face_set].sources if source in in_shard]


@cache
def placements_of_set(project: Project, name: str) -> dict[str, list[Placement]]:
    """Return what a person placed in frames for the face set `name`, by the names of sources, see `read_placements`.

    Raises `TesseraError` if there is nothing at the path in the settings, or a table has a fault.
    """
    path = project.config["face_sets"][name]["landmarks_by_hand"]
    if not path:
        return {}
    check_exists(f"face_sets.{name}.landmarks_by_hand", Path(path))
    return read_placements(Path(path))


def watched_landmarks(project: Project, wildcards: Wildcards) -> str:
    """Return a value that changes with the landmarks that a person placed in the frames of a shard."""
    placed = placements_of_set(project, wildcards.face_set)
    names = [file_name(source) for source in sorted(_sources_of_job(project, wildcards))]
    return digest([[each.frame, each.content] for name in names for each in placed.get(name, [])])


@cache
def drawn_masks_of_set(project: Project, name: str) -> dict[str, list[Path]]:
    """Return the files with masks by hand for the face set `name`, by the names of sources, see `drawn_masks`.

    Raises `TesseraError` if the folder in the settings is not there.
    """
    folder = project.config["face_sets"][name]["masks_by_hand"]
    if not folder:
        return {}
    check_exists(f"face_sets.{name}.masks_by_hand", Path(folder), folder=True)
    return drawn_masks(Path(folder))


def watched_masks(project: Project, wildcards: Wildcards) -> str:
    """Return a value that changes with the masks that a person drew of faces in a shard."""
    drawn = drawn_masks_of_set(project, wildcards.face_set)
    return contents_of(file for source in _sources_of_job(project, wildcards) for file in drawn.get(file_name(source), []))


def masking(project: Project, wildcards: Wildcards) -> dict[str, Any]:
    """Return the settings of the masks of a face set: `model` and `by_hand`."""
    settings = project.config["face_sets"][wildcards.face_set]
    return {"model": settings["masks"], "by_hand": settings["masks_by_hand"]}


def unknown_sources_by_hand(project: Project) -> Iterator[str]:
    """Yield a message for what people placed and drew for each admitted face set, if it is of no source in the manifest.

    It says so too if it cannot be read.
    """
    names = {file_name(source.source) for source in project.sources}
    for name, admission in project.face_sets.items():
        for setting, found in (("landmarks_by_hand", placements_of_set), ("masks_by_hand", drawn_masks_of_set)):
            try:
                by_source = found(project, name) if admission.sources else {}
            except TesseraError as error:
                yield str(error)
                continue
            if lost := [str(each) for source, of_source in by_source.items() if source not in names for each in of_source]:
                yield (
                    f"face_sets.{name}.{setting}: these name no source in the manifest, and are not"
                    f" used: {'; '.join(truncate(lost, 5))}; correct the frame, or the name of the file"
                )


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


def distances_of_set(project: Project, name: str) -> Paths:
    """Return the table of how far the faces of the set `name` are from its person; an empty list without a model."""
    is_embedded = project.config["face_sets"][name]["identity"]["weights"]
    return f"<results>/face_sets/{name}/distances.parquet" if is_embedded else []


def distances_of_job(project: Project, wildcards: Wildcards) -> Paths:
    """Return the same for the set of a job."""
    return distances_of_set(project, wildcards.dataset)


def identity(project: Project, wildcards: Wildcards) -> dict[str, Any]:
    """Return the settings that decide the vectors of the faces of a set."""
    settings = project.config["face_sets"][wildcards.face_set]["identity"]
    return {name: value for name, value in settings.items() if name != "references"}


def references_of_person(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the sources that show the person of a set alone."""
    return list(project.config["face_sets"][wildcards.dataset]["identity"]["references"])


def subject_of_set(project: Project, wildcards: Wildcards) -> dict[str, Any]:
    """Return the row of the person of a face set in the table of subjects."""
    return _subject(project, project.config["face_sets"][wildcards.face_set]["subject"])


def subject_of_pack(project: Project, wildcards: Wildcards) -> dict[str, Any]:
    """Return the row of the person of a pack of others in the table of subjects."""
    return _subject(project, project.config["face_packs"][wildcards.pack]["subject"])


def _subject(project: Project, name: str) -> dict[str, Any]:
    if name not in project.subjects:
        raise TesseraError(f"{project.config['subjects']} does not name {name!r}")
    return project.subjects[name].model_dump(mode="json")


def masks_to_measure(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the tables of the masks of the set of a job by which occlusion is measured; none if all would be of landmarks."""
    settings = project.config["face_sets"][wildcards.dataset]
    is_measured = settings["masks"]["weights"] or settings["masks_by_hand"]
    return faces_of_set(project, wildcards.dataset, "masks.parquet") if is_measured else []


def pack_of_others(project: Project, wildcards: Wildcards) -> str:
    """Return the path of the pack of a job. Raises `TesseraError` if it is refused, or there is nothing at its path."""
    _require_pack(project, wildcards.pack)
    path = project.config["face_packs"][wildcards.pack]["path"]
    check_exists(f"face_packs.{wildcards.pack}.path", Path(path))
    return str(path)


def _require_pack(project: Project, name: str) -> None:
    if refusal := project.refused_packs.get(name):
        raise TesseraError(f"`face_packs.{name}` is refused: {refusal}")


def unpacked(project: Project) -> list[str]:
    """Return the last file of each pack that may be unpacked."""
    return [f"{UNPACKED}/{name}/ledger.jsonl" for name in project.config["face_packs"] if name not in project.refused_packs]


def require_packs(project: Project, wildcards: Wildcards) -> list[str]:
    """Return no files. Raises `TesseraError` if a pack is refused, or the settings name none."""
    if not project.config["face_packs"]:
        raise TesseraError("no pack is named: add one to `face_packs` (see docs/faces.md)")
    for name in project.config["face_packs"]:
        _require_pack(project, name)
    return []


def face_filter(project: Project, wildcards: Wildcards) -> dict[str, Any]:
    """Return the settings by which the faces of a set are selected."""
    settings: dict[str, Any] = project.config["face_sets"][wildcards.dataset]["filter"]
    return settings


def decisions_on_faces(project: Project, wildcards: Wildcards) -> list[dict[str, Any]]:
    """Return the decisions on single faces of a set."""
    return decisions_on_pictures(project, wildcards.dataset, "keep", "drop")


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


def check_apart_from_faces(project: Project) -> None:
    """Raise `TesseraError` if a setting of anything but face sets names a folder of faces, or one that has such a folder in it.

    What is made of such faces could also be made of adult footage, and would stay when the consent ends. The manifest names
    no results at all. The models of face sets may not be results either, because these can have learned of adult footage.
    """
    config, results = project.config, Path(project.results).resolve()
    if not config["face_sets"] and not config["face_packs"]:
        return
    folders = [results / name for name in ("faces", "face_sets", "unpacked")]
    folders += [results / "datasets" / name for name in config["face_sets"]]
    for setting, text in _texts({name: value for name, value in config.items() if name not in {"face_sets", "face_packs"}}):
        with suppress(ValueError):  # a null character
            path = Path(text).resolve()
            is_searched = setting.rpartition(".")[2] in SEARCHED
            if any(path.is_relative_to(each) or (is_searched and each.is_relative_to(path)) for each in folders):
                raise TesseraError(
                    f"`{setting}`: {text!r} holds faces of a person, of which nothing else is made; name another"
                )

    for setting, text in _texts(config["face_sets"], "face_sets"):
        if setting.endswith(".weights.source") and results_among([text], results):
            raise TesseraError(
                f"`{setting}`: {text!r} is a model that was trained here, which may have learned of adult footage; name another"
            )


def _texts(value: Any, setting: str = "") -> Iterator[tuple[str, str]]:
    """Yield the path of each setting in `value` that is a text, and the text, unless it is empty."""
    if isinstance(value, str) and value:
        yield setting, value
    elif isinstance(value, dict):
        for name, child in value.items():
            yield from _texts(child, f"{setting}.{name}" if setting else name)
    elif isinstance(value, list):
        for child in value:
            yield from _texts(child, setting)


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

    They are the folders of sets, of shards of sets, and of packs, that are not admitted, and what tells people apart in sets
    without a model for it: it would not be made again when a source is withdrawn.
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
    packs = project.config["face_packs"].keys() - project.refused_packs.keys()
    folders += [folder for folder in results.glob("unpacked/*/") if folder.name not in packs]
    return [str(path) for path in sorted([*folders, *unused])]


def refused_face_sets(project: Project) -> list[str]:
    """Return the names of the face sets of which there are results, and which are not admitted."""
    results = Path(project.results)
    folders = [*results.glob("face_sets/*/"), *results.glob("faces/*/*/")]
    return sorted({folder.name for folder in folders} - ledgers_of_faces(project).keys())
