"""The digest of a rule covers what its script imports from the library, and nothing else."""

from pathlib import Path

import pytest

import tessera.workflow.code
from tessera.core.definitions import code_digest
from tessera.core.errors import TesseraError
from tessera.workflow.code import SCRIPTS, digest_of_script, imported_by


def test_the_digest_of_a_script_is_that_of_the_functions_that_it_imports() -> None:
    functions = [
        "tessera.stages.footage.sampling:FrameSettings",
        "tessera.stages.footage.sampling:sample_frames",
    ]
    assert imported_by((SCRIPTS / "sample_frames.py").read_text(encoding="utf-8")) == functions
    assert digest_of_script("sample_frames") == code_digest(*functions)
    assert digest_of_script("sample_frames") != digest_of_script("find_duplicates")


def test_another_import_changes_the_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tessera.workflow.code, "SCRIPTS", tmp_path)
    script = tmp_path / "one.py"
    script.write_text("import os\nfrom tessera.core.job import job\nfrom tessera.core.ledger import gate\n")
    assert imported_by(script.read_text()) == ["tessera.core.ledger:gate"], "neither other packages nor what runs every job"
    before = digest_of_script("one")
    script.write_text("from tessera.core.ledger import gate\nfrom tessera.core.files import file_name\n")
    assert digest_of_script("one") != before


def test_a_script_that_is_missing_or_imports_nothing_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tessera.workflow.code, "SCRIPTS", tmp_path)
    with pytest.raises(TesseraError, match="there is no script"):
        digest_of_script("gone")
    (tmp_path / "empty.py").write_text("from tessera.core.job import job\n")
    with pytest.raises(TesseraError, match="imports no function"):
        digest_of_script("empty")
