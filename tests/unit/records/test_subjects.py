"""Faces are collected only of subjects whose consent covers it, on the day on which it is used."""

from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.core.errors import Dropped, TesseraError
from tessera.records.subjects import Subject, check_consent, read_subjects

EVIDENCE = "0123456789abcdef" * 4
TODAY = date(2026, 11, 26)
GIVEN = {"name": "ada", "consent": "release 7", "scope": "face_sets", "adult_attested": "yes", "evidence": EVIDENCE}


def write(path: Path, *rows: dict[str, str]) -> Path:
    columns = list(Subject.model_fields)
    lines = ["\t".join(columns), *("\t".join(row.get(column, "") for column in columns) for row in rows)]
    path.write_text("# people who signed\n" + "\n".join(lines) + "\n")
    return path


def test_a_consent_covers_what_it_names(tmp_path: Path) -> None:
    (subject,) = read_subjects(write(tmp_path / "subjects.tsv", GIVEN)).values()
    check_consent(subject, "face_sets", TODAY)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"consent": " "}, "no consent"),
        ({"scope": ""}, "outside the consent"),
        ({"adult_attested": "no"}, "not attested to be an adult"),
        ({"adult_attested": ""}, "not attested to be an adult"),
        ({"evidence": ""}, "no evidence"),
        ({"revoked": "yes"}, "consent revoked"),
        ({"revoked": "2027-01-01"}, "consent revoked"),
        ({"expires": "2026-11-25"}, "consent expired"),
        ({"consent": "", "evidence": ""}, "no consent; no evidence"),
    ],
)
def test_without_one_of_these_nothing_may_be_collected(change: dict[str, str], reason: str, tmp_path: Path) -> None:
    (subject,) = read_subjects(write(tmp_path / "subjects.tsv", GIVEN | change)).values()
    with pytest.raises(Dropped) as refused:
        check_consent(subject, "face_sets", TODAY)
    assert refused.value.reason == reason


@given(st.dates(min_value=date(2000, 1, 1), max_value=date(2100, 1, 1)))
def test_a_consent_is_valid_through_its_stated_day(last: date) -> None:
    subject = Subject.model_validate(GIVEN | {"expires": last.isoformat()})
    check_consent(subject, "face_sets", last)
    with pytest.raises(Dropped, match="consent expired"):
        check_consent(subject, "face_sets", last + timedelta(days=1))


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ([GIVEN | {"scope": "face_sets, everything"}], "3: scope: unknown scope 'everything'; allowed: face_sets"),
        ([GIVEN | {"expires": "31.12.2027"}], "3: expires"),
        ([GIVEN | {"evidence": "abc"}], "3: evidence"),
        ([GIVEN, GIVEN | {"name": "Ada"}], "4: name: 'Ada' is already on line 3; case does not count"),
        ([GIVEN | {"name": ""}], "3: name"),
        ([GIVEN | {"adult_attested": "ja"}], "3: adult_attested"),
    ],
)
def test_a_fault_in_the_table_is_named_with_its_line(rows: list[dict[str, str]], fault: str, tmp_path: Path) -> None:
    with pytest.raises(TesseraError) as error:
        read_subjects(write(tmp_path / "subjects.tsv", *rows))
    assert fault in str(error.value)
