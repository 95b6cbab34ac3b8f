"""Restored videos: the sources whose column `use` names `restore`, and the models that restore them."""

from functools import cache
from pathlib import Path
from typing import Any

from tessera.catalogue import part_of
from tessera.configuration.confidences import targets_in
from tessera.core.contents import content_of
from tessera.core.errors import TesseraError
from tessera.core.ledger import read_ledger
from tessera.learning.weights.known import STARTER
from tessera.learning.weights.resolve import weights_checksums, weights_file
from tessera.records.manifest import RESTORE
from tessera.records.previews import check_ids, ids_of
from tessera.records.rights import missing_rights
from tessera.workflow.detectors import Targets
from tessera.workflow.project import Paths, Project, Wildcards
from tessera.workflow.records import recorded_inputs
from tessera.workflow.starters import USED

OWN = ("shown", "detect", "track", "choose")  # settings of finding the mosaics and of the report


@cache
def restored(project: Project) -> dict[str, list[str]]:
    """Return the ids of the sources to restore, by shard. Raises `TesseraError` if the settings name others."""
    by_shard = ids_of(project.shards, lambda source: RESTORE in source.use)
    settings = project.config["restore"]
    named = {f"restore.{key}": settings[key] for key in ("shown", "spans")}
    known = [source for sources in by_shard.values() for source in sources]
    check_ids(named, known, f" with `{RESTORE}` in its column `use`")
    return by_shard


def unrestored(project: Project) -> list[str]:
    """Return the folders of restored videos that no job makes any more."""
    ledgers = Path(project.results).glob("restored/*/ledger.jsonl")
    return sorted(str(ledger.parent) for ledger in ledgers if ledger.parent.name not in restored(project))


def refused_but_restored(project: Project) -> list[str]:
    """Return the ledgers of the shards with a restored video of a source that is refused or not in the manifest any more.

    The jobs of these shards make their videos without it.
    """
    shard_of = {source.source: shard for shard, sources in project.shards.items() for source in sources}
    return [
        f"<results>/restored/{shard}/ledger.jsonl"
        for shard in restored(project)
        if (ledger := Path(project.results, "restored", shard, "ledger.jsonl")).exists()
        and any(
            row["status"] == "ok" and not (row["key"] in shard_of and row["key"] in _usable(project, shard_of[row["key"]]))
            for row in read_ledger(ledger)
        )
    ]


@cache
def _usable(project: Project, shard: str) -> set[str]:
    """Return the ids of the sources of `shard` that are not refused; none if they were admitted by another blocklist."""
    blocklist = project.config["sources"]["blocklist"]
    folder = Path(project.results, "sources", "shards", shard)
    admission = folder / "ledger.jsonl"
    was = recorded_inputs(project.results, "admit_sources", f"{folder}/sources.parquet").get(blocklist)
    if not admission.exists() or was != content_of(blocklist):
        return set()
    # What was made of footage that is missing stays until it is there again.
    refused = {row["key"] for row in read_ledger(admission) if row["status"] == "dropped" and row["reason"] != "missing"}
    return {source.source for source in project.shards[shard] if not missing_rights(source)} - refused


def require_restored(project: Project, wildcards: Wildcards) -> list[str]:
    """Return no files. Raises `TesseraError` if there is no source to restore."""
    if not restored(project):
        raise TesseraError(
            f"{project.config['manifest']} lists no video to restore: write `{RESTORE}` into the column `use` of its row, or"
            ' add one with `make restore VIDEO=film.mp4 CONTENT=general RIGHTS="my own"`'
        )
    return []


def sources_to_restore(project: Project, wildcards: Wildcards) -> list[str]:
    """Return the ids of the sources of a shard that are restored."""
    return restored(project)[wildcards.shard]


def restored_targets(project: Project) -> Targets:
    """Return the confidences of the restored videos that are targets."""
    return targets_in(project.config, "restore")


def mosaic_detector(project: Project, wildcards: Wildcards) -> Paths:
    """Return the file of the detector of the mosaics in videos."""
    return _required(project, "detector", ".pt")


def mosaic_detector_checksums(project: Project) -> Paths:
    """Return the checksums of the detector of the mosaics in videos if it is trained here, else an empty list."""
    return _checksums(project, "detector")


def restoration_weights(project: Project, wildcards: Wildcards) -> Paths:
    """Return the file of the model that restores videos."""
    return _required(project, "restorer", ".safetensors")


def restoration_checksums(project: Project) -> Paths:
    """Return the checksums of the model that restores videos if it is trained here, else an empty list."""
    return _checksums(project, "restorer")


def restoration_settings(project: Project) -> dict[str, Any]:
    """Return the settings of restoring videos, without those of finding the mosaics and of the report."""
    return {name: value for name, value in project.config["restore"].items() if name not in OWN}


def of_shown(project: Project, name: str) -> list[str]:
    """Return the file `name` of each shard with a source that the report shows."""
    shown = set(project.config["restore"]["shown"])
    return [f"<results>/restored/{shard}/{name}" for shard, sources in restored(project).items() if shown & set(sources)]


def _checksums(project: Project, name: str) -> Paths:
    """Return the checksums of the model `name` of `USED` if it is trained here, else an empty list."""
    section, model, _ = USED[name]
    return weights_checksums(part_of(project.config, section)["weights"], model)


def _required(project: Project, name: str, suffix: str) -> Paths:
    """Return the file of the weights of the model `name` of `USED`. Raises `TesseraError` if there are none."""
    section, model, _ = USED[name]
    weights = part_of(project.config, section)["weights"]
    if weights is None or (weights == "trained" and model not in project.models):
        raise TesseraError(
            f"`{section}.weights` is {weights or 'null'}, and no {model} is trained here: write `{STARTER}` there, declare"
            " weights of Tessera or of Lada, as {source: a path, sha256: …}, or add sources that it is trained on"
        )
    return weights_file(weights, model, suffix)
