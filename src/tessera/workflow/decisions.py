"""The decisions of people, with the keys of pictures as they are now."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tessera.core.errors import TesseraError
from tessera.core.files import file_name
from tessera.extras.identities.admit import check_named
from tessera.records.annotation.label_files import frame_label_keys
from tessera.records.decisions import Decision, read_decisions
from tessera.records.identities import IdentityDecision, read_identity_decisions, read_references
from tessera.records.manifest import ListedSource
from tessera.records.moved_keys import keys_by_position, moved_key, read_moved_keys, write_moved_keys


class Decisions(NamedTuple):
    """The decisions of a project."""

    samples: list[Decision]
    identities: list[IdentityDecision]
    moved_keys: dict[str, str]  # what keys by position became, by the former key


def load_decisions(
    config: Mapping[str, Any],
    sources: list[ListedSource],
    folders: Mapping[str, Path],
    results: str,
    warn: Callable[[str], None] | None,
) -> Decisions:
    """Read the decisions about samples and identities.

    `folders`: the folders of pictures, by the names of their sources in keys. Keys by position that are not known yet are
    looked up in these folders and in `results`, and `warn` is called with what became of them; None: they are not looked up.
    Raises `TesseraError` for faults in the tables of decisions.
    """
    labels: dict[str, Any] = {name: classifier["labels"] for name, classifier in config["classifiers"].items()}
    samples = read_decisions(config["decisions"], labels | dict.fromkeys(config["face_sets"], ()))
    identities = _identity_decisions(config, sources)
    in_folders = [source.source for source in sources if file_name(source.source) in folders]
    labelled = frame_label_keys(config["annotations"]["frame_labels"], in_folders)
    keys = [*(decision.key for decision in samples), *labelled, *(decision.target for decision in identities)]
    moved = _follow_positions(keys, folders, results, warn)
    return Decisions(
        [decision.model_copy(update={"key": moved_key(decision.key, moved)}) for decision in samples],
        [decision.model_copy(update={"target": moved_key(decision.target, moved)}) for decision in identities],
        moved,
    )


def _identity_decisions(config: Mapping[str, Any], sources: list[ListedSource]) -> list[IdentityDecision]:
    identities = config["identities"]
    if not identities:
        return []
    check_named(identities["sources"], sources, config["manifest"])
    return read_identity_decisions(identities["decisions"], _names_of_references(identities))


def _names_of_references(identities: Mapping[str, Any]) -> list[str]:
    """Return the identities in the folder of references; none if it cannot be read, which is reported where it is used."""
    try:
        folder = (identities["references"] or {}).get("folder")
        return [each.identity for each in read_references(Path(folder))] if folder else []
    except TesseraError:
        return []


def _follow_positions(
    keys: Iterable[str], folders: Mapping[str, Path], results: str, warn: Callable[[str], None] | None
) -> dict[str, str]:
    """Return what keys by position became, by the former key, after those of `keys` were looked up that were not yet."""
    moved = read_moved_keys()
    unknown = keys_by_position(keys, folders) - moved.keys()
    if unknown and warn:
        # It imports what planning does without.
        from tessera.stages.footage.moving import move_keys, report_moved

        rows = move_keys(unknown, folders, Path(results))
        write_moved_keys(rows)
        warn(report_moved(rows))
        moved = read_moved_keys()
    return moved
