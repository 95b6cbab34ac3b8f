"""Admit face sets and packs: of a person whose consent covers them, and of general content alone."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from tessera.core.errors import Dropped, TesseraError
from tessera.core.ledger import Ledger
from tessera.records.manifest import Source
from tessera.records.rights import check_identifiable, check_rights
from tessera.records.subjects import Subject, check_consent

SCOPE = "face_sets"  # what the consent must cover


@dataclass(frozen=True)
class Admission:
    """What a face set may be made of.

    `sources`: the ids of those that are admitted; none if the set is refused. `refusal`: why it is. `refused`: why the other
    sources are not admitted, by id.
    """

    sources: tuple[str, ...]
    refusal: Dropped | None
    refused: dict[str, Dropped]

    def reasons(self) -> list[str]:
        """Return why the set or its sources are refused, for messages."""
        of_sources = [f"source {name!r}: {error}" for name, error in self.refused.items()]
        return [str(self.refusal), *of_sources] if self.refusal else of_sources


def admit_face_set(
    name: str,
    subject: str,
    sources: Sequence[str],
    subjects: Mapping[str, Subject],
    manifest: Mapping[str, Source],
    today: date,
) -> Admission:
    """Decide what the face set `name` of the person `subject` may be made of, of the ids `sources`, on the day `today`, UTC.

    `subjects`: the table of subjects, by name. `manifest`: the sources, by id. What is refused raises nothing, so that the next
    run removes what earlier ones made of it.
    """
    refused: dict[str, Dropped] = {}
    try:
        _check_subject(subject, subjects, today)
    except Dropped as error:
        return Admission((), error, {})
    for source in sources:
        try:
            _check_source(source, manifest, name)
        except Dropped as error:
            refused[source] = error
    admitted = tuple(source for source in sources if source not in refused)
    return Admission(admitted, None if admitted else Dropped("no source", "all of its sources are refused"), refused)


def refusal_of_pack(subject: str, content: str, subjects: Mapping[str, Subject], today: date) -> Dropped | None:
    """Return why a pack with this `content`, of the person `subject`, may not be unpacked on the day `today`, UTC.

    It is None if it may. `subjects`: the table of subjects, by name.
    """
    try:
        _check_subject(subject, subjects, today)
        check_identifiable(content)
    except Dropped as error:
        return error
    return None


def require_consent(subject: Subject, today: date) -> None:
    """Raise `TesseraError` if the consent of `subject` does not cover face sets on the day `today`, UTC."""
    try:
        check_consent(subject, SCOPE, today)
    except Dropped as error:
        raise TesseraError(
            f"no faces of {subject.name!r} are collected ({error}); run again to remove those there are"
        ) from None


def _check_subject(name: str, subjects: Mapping[str, Subject], today: date) -> None:
    if name not in subjects:
        raise Dropped("no such subject", f"the table of subjects does not name {name!r}")
    check_consent(subjects[name], SCOPE, today)


def _check_source(source: str, manifest: Mapping[str, Source], name: str) -> None:
    """Raise `Dropped` if `source` may not be part of the face set `name`."""
    if source not in manifest:
        raise Dropped("source not in the manifest", "correct its id, or leave it out")
    stated = manifest[source]
    check_rights(stated)
    check_identifiable(stated.content)
    if stated.use and name not in stated.use:
        raise Dropped(f"source not for {name}", f"its column `use` names {', '.join(stated.use)}")


def write_admissions(rows: Iterable[Mapping[str, Any]], *, ledger: Path) -> None:
    """Write what was decided of face sets and their sources, the `rows` of a ledger, to `ledger`."""
    with Ledger(ledger) as writer:
        for row in rows:
            writer.row(**row)
