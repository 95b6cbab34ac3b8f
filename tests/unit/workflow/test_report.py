"""What the report says of the run that made it."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.settings.types import ConfigSettings

from tessera.workflow.report import origin_of_settings


def test_the_files_of_the_settings_are_named_as_seen_from_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "project"
    (project / "config").mkdir(parents=True)
    monkeypatch.chdir(project)
    (tmp_path / "more.yaml").write_text("seed: 1\n")

    def origin(**stated: object) -> list[str]:
        return origin_of_settings(SimpleNamespace(config_settings=ConfigSettings(**stated)))

    assert origin() == []
    (project / "config" / "config.yaml").write_text("seed: 2\n")
    assert origin() == ["config/config.yaml"]
    named = [tmp_path / "more.yaml", Path("config/config.yaml")]
    assert origin(configfiles=named, config={"seed": 1}) == ["config/config.yaml", "../more.yaml", "--config"]
