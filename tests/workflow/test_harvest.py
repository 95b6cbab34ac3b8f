"""A harvest in a real run."""

import pytest
from label_sets import picture
from projects import Project
from website import Page, website

pytestmark = pytest.mark.workflow


def test_a_harvest_is_repeated_only_for_what_changed(project: Project) -> None:
    project.write_manifest([])
    project.snakefile = project.write_snakefile(["common", "sources", "frames", "harvest", "datasets"])
    with website() as site:
        site.pages = {f"/{number}.png": Page(picture(number)) for number in range(3)}
        table = project.folder / "addresses.tsv"
        rows = [f"{site.address}/{number}.png\tgeneral\tCC0\n" for number in range(3)]
        table.write_text("url\tcontent\trights\n" + "".join(rows[:2]))
        project.settings = {"harvest": {"table": "addresses.tsv", "contact": "tests", "rate": 1000, "private": True}}
        run = project.run("harvest")
        assert run.jobs == ["check_gate harvest", "harvest_pictures"], run.output
        assert len(list((project.results / "harvest" / "general" / "harvest").iterdir())) == 2
        table.write_text("url\tcontent\trights\n" + "".join(rows))
        site.requests.clear()
        assert project.run("harvest").jobs == ["check_gate harvest", "harvest_pictures"]
        assert site.asked() == ["/2.png"]
        assert len(list((project.results / "harvest" / "general" / "harvest").iterdir())) == 3
