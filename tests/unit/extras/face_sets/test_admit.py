"""A face set is made only of a person who consented, and of general sources with rights; each refusal says why."""

from datetime import date
from typing import Any

import pytest

from tessera.extras.face_sets.admit import admit_face_set
from tessera.records.manifest import Source
from tessera.records.subjects import Subject

TODAY = date(2026, 11, 26)
ADA = {"name": "Ada", "consent": "release 1", "scope": "face_sets", "adult_attested": "yes", "evidence": "a" * 64}
FILM = {"source": "film", "path": "film.mp4", "content": "general", "rights": "CC0"}
ADULT = {"content": "adult", "consent": "release 2", "adults_verified": "yes"}


def admit(subject: dict[str, Any], *sources: dict[str, Any], named: tuple[str, ...] = ("film",), today: date = TODAY) -> Any:
    manifest = {row["source"]: Source.model_validate(row) for row in sources}
    return admit_face_set("ada", "Ada", named, {subject["name"]: Subject.model_validate(subject)}, manifest, today)


def test_a_consented_person_in_a_general_source_with_rights_is_admitted() -> None:
    admission = admit(ADA, FILM)
    assert admission.sources == ("film",)
    assert not admission.reasons()


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"name": "Bob"}, "no such subject"),
        ({"consent": ""}, "no consent"),
        ({"scope": ""}, "outside the consent"),
        ({"adult_attested": "no"}, "not attested to be an adult"),
        ({"evidence": ""}, "no evidence"),
        ({"revoked": "yes"}, "consent revoked"),
        ({"expires": "2026-11-25"}, "consent expired"),
    ],
)
def test_a_set_without_a_valid_consent_has_no_sources(changed: dict[str, str], reason: str) -> None:
    admission = admit({**ADA, **changed}, FILM)
    assert admission.sources == ()
    assert admission.refusal.reason == reason
    assert admission.reasons()[0].startswith(f"{reason}: ")


def test_a_consent_is_valid_through_its_last_day() -> None:
    assert admit({**ADA, "expires": "2026-11-26"}, FILM).sources == ("film",)
    assert admit({**ADA, "expires": "2026-11-26"}, FILM, today=date(2026, 11, 27)).sources == ()


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (ADULT, "adult source"),
        ({"content": "adult"}, "adults not verified; no consent"),
        ({"rights": " "}, "no rights"),
        ({"use": "nsfw_detection"}, "source not for ada"),
        ({"source": "another"}, "source not in the manifest"),
    ],
)
def test_a_source_that_may_not_be_used_is_refused_alone(changed: dict[str, str], reason: str) -> None:
    other = {**FILM, "source": "other"}
    admission = admit(ADA, {**FILM, **changed}, other, named=("film", "other"))
    assert admission.sources == ("other",)
    assert [(name, error.reason) for name, error in admission.refused.items()] == [("film", reason)]
    assert admission.refusal is None
    assert admission.reasons()[0].startswith(f"source 'film': {reason}")


def test_a_set_whose_sources_are_all_refused_is_refused() -> None:
    admission = admit(ADA, {**FILM, **ADULT})
    assert admission.sources == ()
    assert admission.refusal.reason == "no source"
    assert admission.refused["film"].reason == "adult source"
