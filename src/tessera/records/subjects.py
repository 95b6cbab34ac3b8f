"""The table of subjects: people who agreed to have their faces collected, for what, and until when."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from tessera.core.errors import Dropped
from tessera.core.files import file_name
from tessera.core.tsv import Day, Fault, read_sheet, refuse

SCOPES = ("face_sets",)  # what a consent may cover


def _as_scopes(value: Any) -> Any:
    return tuple(sorted({part.strip() for part in value.split(",")} - {""})) if isinstance(value, str) else value


def _known(scopes: tuple[str, ...]) -> tuple[str, ...]:
    if unknown := [scope for scope in scopes if scope not in SCOPES]:
        raise ValueError(f"unknown scope {unknown[0]!r}; allowed: {', '.join(SCOPES)}")
    return scopes


class Subject(BaseModel):
    """A row of the table of subjects: a person, and what the person agreed to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, description="unique name, which the settings use")
    consent: str = Field("", description="reference to the release that the person signed")
    scope: Annotated[tuple[str, ...], AfterValidator(_known)] = Field(
        (), description=f"what the consent covers, separated by commas: {', '.join(SCOPES)}"
    )
    adult_attested: Literal["yes", "no", ""] = Field("", description="`yes` if the person attested to be an adult")
    evidence: str = Field("", pattern="^([0-9a-f]{64})?$", description="sha256 of the signed release")
    expires: Day | Literal[""] = Field(
        "", description="last day on which the consent is valid, such as 2027-12-31; empty: none"
    )
    revoked: str = Field("", description="day on which the person revoked the consent, or `yes`; empty: not revoked")

    @field_validator("scope", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return _as_scopes(value)


class Refusal(NamedTuple):
    """Why the consent of a subject does not cover a use."""

    reason: str
    fix: str


def read_subjects(path: Path) -> dict[str, Subject]:
    """Return the subjects in the table `path` by name. Raises `TesseraError` that lists every fault with its line."""
    sheet = read_sheet(path, Subject, "table of subjects", "name a table of the people who agreed to be shown")
    lines: dict[str, int] = {}
    faults: list[Fault] = []
    for line, row in sheet.texts:
        # Some file systems ignore case, and a subject has a folder of results.
        name = file_name(row.get("name", "")).casefold()
        if name in lines:
            faults.append((line, f"name: {row['name']!r} is already on line {lines[name]}; case does not count"))
        lines.setdefault(name, line)
    refuse(path, [*sheet.faults, *faults])
    return {subject.name: subject for _, subject in sheet.rows}


def refusals(subject: Subject, scope: str, today: date) -> Iterator[Refusal]:
    """Yield every reason why faces of `subject` must not be used for `scope` on the day `today`, UTC; none if they may.

    A consent is valid through the day that it states. A revoked one is not valid, whatever day is stated.
    """
    if not subject.consent.strip():
        yield Refusal("no consent", "state the reference to the release in `consent`")
    if scope not in subject.scope:
        yield Refusal("outside the consent", f"the consent does not name {scope} in `scope`")
    if subject.adult_attested != "yes":
        yield Refusal("not attested to be an adult", "`adult_attested` should be `yes`: verify it first")
    if not subject.evidence:
        yield Refusal("no evidence", "state the sha256 of the signed release in `evidence`")
    if subject.revoked.strip():
        yield Refusal("consent revoked", f"it was revoked: {subject.revoked}")
    if subject.expires and date.fromisoformat(subject.expires) < today:
        yield Refusal("consent expired", f"it was valid through {subject.expires}")


def check_consent(subject: Subject, scope: str, today: date) -> None:
    """Raise `Dropped`, with all reasons, if faces of `subject` must not be used for `scope` on the day `today`, UTC."""
    if found := list(refusals(subject, scope, today)):
        raise Dropped("; ".join(each.reason for each in found), "; ".join(each.fix for each in found))
