"""Every file that is lost or changed after a job wrote it is named, with the output to make again."""

import shutil
from pathlib import Path

import pytest

from tessera.core.errors import TesseraError
from tessera.core.provenance import record_outputs
from tessera.core.verify import verify_outputs


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the records of two jobs, whose outputs are a folder, with an odd name in it, and a table."""
    monkeypatch.chdir(tmp_path)
    for name in ("images/a/one.jpg", "images/a/\udcff\n.jpg", "images/two.jpg", "table.tsv"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(name, errors="surrogateescape")
    records = tmp_path / "logs"
    (records / "sample").mkdir(parents=True)
    record_outputs([Path("images"), Path("table.tsv")], records / "sample" / "meadow.json")
    record_outputs([Path("table.tsv")], records / "gather.json")
    return records


def test_untouched_outputs_pass_also_beside_files_that_were_added(made: Path) -> None:
    Path("images/.snakemake_timestamp").touch()
    verify_outputs(made, {})


def test_a_lost_and_a_changed_file_are_named_with_the_way_to_make_them_again(made: Path) -> None:
    Path("images/a/one.jpg").unlink()
    Path("images/two.jpg").write_text("images/2wo.jpg")
    Path("table.tsv").write_text("")
    with pytest.raises(TesseraError) as raised:
        verify_outputs(made, {})
    assert str(raised.value) == (
        "2 of 2 outputs differ from what the jobs wrote:\n"
        "  images: 'a/one.jpg' is missing, 'two.jpg' was changed\n"
        "  table.tsv: it was changed\n"
        "make them again: add `--forcerun images table.tsv` to your next run"
    )


def test_an_output_that_was_removed_as_a_whole_is_named_if_people_use_it(made: Path) -> None:
    shutil.rmtree("images")
    verify_outputs(made, {})
    verify_outputs(made, {Path("not_made_yet"): [Path("images")]})
    with pytest.raises(TesseraError, match=r"1 of 2 outputs differ .*\n  images: it is missing\n.*--forcerun images"):
        verify_outputs(made, {Path("table.tsv"): [Path("images")]})


def test_the_newer_of_two_records_counts(made: Path) -> None:
    Path("table.tsv").write_text("made again by a rule of another name")
    record_outputs([Path("table.tsv")], made / "collect.json")
    verify_outputs(made, {})


def test_a_damaged_record_is_named(made: Path) -> None:
    (made / "gather.json").write_text('{"table.tsv": ')
    with pytest.raises(TesseraError, match=r"gather\.json is damaged .*; delete it"):
        verify_outputs(made, {})
