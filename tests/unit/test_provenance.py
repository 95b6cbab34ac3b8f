"""Digests change exactly when what they stand for does, and names of files are safe and tell texts apart."""

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tessera import provenance
from tessera.provenance import code_digest, digest, file_name, sha256_file

Modules = Callable[[dict[str, str]], None]
TEXTS = st.text(st.characters(), max_size=200) | st.text("a-.~%/ é\udcff\n", min_size=1, max_size=300)


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Modules:
    """Return a function that writes the files of a package of ours, as the next process would find it."""
    monkeypatch.setattr(provenance, "ROOT", tmp_path)

    def write(files: dict[str, str]) -> None:
        provenance._tree.cache_clear()
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text, encoding="utf-8")

    return write


BASE = '''
"""What this is."""
from tessera.low import double


class Thing:
    """A thing."""

    def grow(self, by: int) -> int:
        """Grow."""
        return double(by)


def empty() -> None:
    """Nothing."""
'''


@pytest.fixture(autouse=True)
def _forget() -> object:
    yield
    provenance._tree.cache_clear()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("class Thing", "# A remark.\nclass Thing"),
        ("\n\ndef empty", "\n\n\n\ndef empty"),
        ('"""What this is."""', '"""What this was."""'),
        ('"""What this is."""', ""),
        ('"""A thing."""', '"""A thing, at length.\n\n    And more.\n    """'),
        ('"""Grow."""', "'''Shrink.'''"),
        ('        """Grow."""\n', ""),
        ('"""Nothing."""', "pass"),
        ("return double(by)", "return (double(by))"),
    ],
)
def test_comments_docstrings_and_layout_change_nothing(modules: Modules, old: str, new: str) -> None:
    modules({"high.py": BASE, "low.py": "def double(x): return 2 * x"})
    before = code_digest("tessera.high")
    assert old in BASE
    modules({"high.py": BASE.replace(old, new, 1)})
    assert code_digest("tessera.high") == before


@pytest.mark.parametrize(
    ("old", "new"),
    [("double(by)", "double(by + 1)"), ("by: int", "by: float"), ('"""Nothing."""', "return None"), ("Thing", "Item")],
)
def test_logic_changes_the_digest(modules: Modules, old: str, new: str) -> None:
    modules({"high.py": BASE, "low.py": "def double(x): return 2 * x"})
    before = code_digest("tessera.high")
    modules({"high.py": BASE.replace(old, new, 1)})
    assert code_digest("tessera.high") != before


@pytest.mark.parametrize(
    "statement",
    [
        "import tessera.low",
        "import tessera.low as other",
        "from tessera import low",
        "from tessera.low import double",
        "from tessera.middle import double",
        "from tessera.room import inner",
        "from tessera.room.inner import double",
        "import tessera.room.inner",
        "def work():\n    from tessera.low import double\n    return double",
        "if TYPE_CHECKING:\n    from tessera.low import double",
    ],
)
def test_what_is_imported_counts_however_and_however_far(modules: Modules, statement: str) -> None:
    rest = {
        "middle.py": "from tessera.low import double",
        "room/__init__.py": "",
        "room/inner.py": "from tessera.low import double",
    }
    modules({"high.py": statement, "low.py": "def double(x): return 2 * x", "other.py": "1", **rest})
    before = code_digest("tessera.high")
    modules({"other.py": "2"})
    assert code_digest("tessera.high") == before, "what is not imported does not count"
    modules({"low.py": "def double(x): return x + x"})
    assert code_digest("tessera.high") != before


def test_a_package_counts_for_what_is_in_it(modules: Modules) -> None:
    modules({"room/__init__.py": "", "room/inner.py": "1"})
    before = code_digest("tessera.room.inner")
    modules({"room/__init__.py": "import os"})
    assert code_digest("tessera.room.inner") != before


def test_imports_in_a_circle_end(modules: Modules) -> None:
    modules({"one.py": "import tessera.two", "two.py": "import tessera.one"})
    assert code_digest("tessera.one") == code_digest("tessera.two") == code_digest("tessera.two", "tessera.one")


def test_an_unknown_module_is_an_error(modules: Modules) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"tessera\.nothing"):
        code_digest("tessera.nothing")


def test_a_digest_of_code_runs_none_of_it() -> None:
    # Planning would otherwise wait for the libraries of every room.
    check = "import sys; from tessera.provenance import code_digest; code_digest('tessera.splits'); print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", check], check=True, capture_output=True, text=True)
    assert {name for name in ran.stdout.split() if name.startswith("tessera")} == {"tessera", "tessera.provenance"}


@given(TEXTS)
@example("")
@example("..")
@example("-rf")
@example("~")
@example("a" * 1000)
def test_a_file_name_is_safe(text: str) -> None:
    name = file_name(text)
    assert 0 < len(name.encode("ascii")) <= provenance.NAME_BYTES
    assert name[0] not in ".-~"
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-%~")


@given(TEXTS, TEXTS)
@example("a/b", "a%2Fb")
@example("", "%")
@example(".", "%2E")
@example("a" * 200, "a" * 201)
def test_different_texts_have_different_file_names(one: str, other: str) -> None:
    assert (file_name(one) == file_name(other)) == (one == other)


@given(st.integers(0, 400))
def test_no_text_has_the_file_name_of_a_longer_one(number: int) -> None:
    # The end of a name that was cut must not read as the code of another text.
    long = f"{number}" + "a" * 200
    name = file_name(long)
    decoded = name[: provenance.NAME_BYTES - 17] + "".join(chr(int(name[-16:-14], 16))) + name[-14:]
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
