"""Digests change exactly with their content, and file names are safe and unique."""

import hashlib
import os
import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tessera.core import files
from tessera.core.files import READABLE_BYTES, file_name, readable_name
from tessera.core.provenance import digest, sha256_file, sha256_if_readable

TEXTS = st.text(st.characters(), max_size=200) | st.text("a-.~%/ é\udcff\n", min_size=1, max_size=300)


@given(TEXTS)
@example("")
@example("..")
@example("-rf")
@example("~")
@example("a" * 1000)
def test_a_file_name_is_safe(text: str) -> None:
    name = file_name(text)
    assert 0 < len(name.encode("ascii")) <= files.NAME_BYTES
    assert name[0] not in ".-~"
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-%~")


@given(TEXTS, TEXTS)
@example("a/b", "a%2Fb")
@example("", "%")
@example(".", "%2E")
@example("a" * 200, "a" * 201)
def test_different_texts_have_different_file_names(one: str, other: str) -> None:
    assert (file_name(one) == file_name(other)) == (one == other)
    assert (readable_name(one) == readable_name(other)) == (one == other)


@given(st.text(st.characters(), max_size=300))
def test_a_readable_name_is_a_name_on_any_file_system(text: str) -> None:
    name = readable_name(text)
    assert 0 < len(name.encode()) <= READABLE_BYTES
    assert not re.search(r'[/\\:*?"<>|\x00-\x1f]', name) and name[0] not in ".- " and name[-1] not in ". "


@pytest.mark.parametrize("text", ["Мой фильм it's $HOME", "テスト ♥ (1)", "film.final.cut", "100 & more; #2"])
def test_a_readable_name_keeps_what_people_write(text: str) -> None:
    assert readable_name(text) == text


@given(st.integers(0, 400))
def test_no_file_name_of_a_text_equals_that_of_a_longer_text(number: int) -> None:
    # The end of a shortened name must not decode to another text.
    long = f"{number}" + "a" * 200
    name = file_name(long)
    decoded = name[: files.NAME_BYTES - 17] + "".join(chr(int(name[-16:-14], 16))) + name[-14:]
    assert file_name(decoded) != name


@given(st.text("abcXYZ059_.-", min_size=1).filter(lambda text: text[0] not in ".-" and len(text) < 100))
def test_plain_names_stay_as_they_are(text: str) -> None:
    assert file_name(text) == text


def test_a_digest_of_values_does_not_depend_on_the_order_of_keys() -> None:
    assert (
        digest({"a": 1, "b": [1, "é\udcff"]}) == digest({"b": [1, "é\udcff"], "a": 1}) != digest({"a": 1, "b": ["é\udcff", 1]})
    )


def test_a_file_has_the_sha256_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\0" * 3_000_000)
    assert sha256_file(tmp_path / "file") == hashlib.sha256(b"\0" * 3_000_000).hexdigest()


def test_what_is_no_file_has_no_sha256_and_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    assert {sha256_if_readable(tmp_path / name) for name in ("pipe", "link", "gone", ".")} == {""}
    (tmp_path / "file").write_bytes(b"x")
    assert sha256_if_readable(tmp_path / "file") == hashlib.sha256(b"x").hexdigest()
