"""The report in a real browser: everybody can read it, and it asks for nothing else."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor
from small_report import figure, report, some_figures

from browser import chromium, faults
from tessera.imaging.figures import DARK, LIGHT, new_figure
from tessera.pages.report.clips import animate
from tessera.pages.report.pages import write_page

OPEN = "() => document.querySelectorAll('details').forEach((each) => { each.open = true; })"
LONGEST = 15_000  # pixels, of a report of a large project whose parts are folded


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
def test_everybody_can_read_the_report_which_asks_for_nothing_else(scheme: str, width: int, tmp_path: Path) -> None:
    report(tmp_path, some_figures(tmp_path), [("Ada", "clips", "drop", 3)])
    asked, complaints = [], []
    with chromium() as browser:
        context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.goto((tmp_path / "report.html").as_uri())
        page.evaluate(OPEN)
        assert faults(page) == []
        assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    assert [address for address in asked if not address.startswith("data:")] == [(tmp_path / "report.html").as_uri()]
    assert complaints == []


@pytest.mark.parametrize(("scheme", "theme"), [("light", LIGHT), ("dark", DARK)])
def test_a_figure_has_the_colours_of_the_theme_in_the_report_and_alone(
    scheme: str, theme: dict[str, str], tmp_path: Path
) -> None:
    with new_figure(tmp_path / "figure.svg", 4, 2) as drawn:
        drawn.text(0.5, 0.5, "TEXT", fontsize=40, ha="center")
    report(tmp_path, [figure(tmp_path / "figure.svg")], [])
    with chromium() as browser:
        page = browser.new_context(color_scheme=scheme).new_page()
        for file, shown in (("report.html", ".picture img"), ("figure.svg", "svg")):
            page.goto((tmp_path / file).as_uri())
            page.evaluate(OPEN)
            pixels = np.asarray(Image.open(io.BytesIO(page.locator(shown).screenshot())).convert("RGB"))
            assert (pixels[10, 10] == ImageColor.getrgb(theme["paper"])).all(), file
            assert (pixels == ImageColor.getrgb(theme["ink"])).all(axis=2).any(), file


def test_a_report_of_many_datasets_and_models_is_short_while_its_parts_are_folded(tmp_path: Path) -> None:
    long = "<p>A line.</p>" * 500
    write_page(tmp_path / "long.html", "Long", long)
    names = [f"{place}. {name}" for place, name in ((2, "Samples"), (3, "Models"))]
    report(
        tmp_path,
        [figure(tmp_path / "long.html", category=name, subcategory=f"part {n}") for name in names for n in range(20)],
        [],
    )
    with chromium() as browser:
        page = browser.new_context(viewport={"width": 1400, "height": 900}).new_page()
        page.goto((tmp_path / "report.html").as_uri())
        height = "() => document.documentElement.scrollHeight"
        assert page.evaluate(height) < LONGEST
        page.evaluate(OPEN)
        assert page.evaluate(height) > 10 * LONGEST, "everything is there"


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_animations_can_be_paused_one_by_one_and_all_together_and_do_not_run_for_those_who_want_none(
    motion: str, tmp_path: Path
) -> None:
    pixels = [np.full((8, 8, 3), level, np.uint8) for level in (0, 255)]
    write_page(tmp_path / "val.html", "Clips", animate(pixels, ["one"]) + animate(pixels, ["two"]))
    report(tmp_path, [figure(tmp_path / "val.html")], [])
    with chromium() as browser:
        page = browser.new_context(reduced_motion=motion).new_page()
        page.goto((tmp_path / "report.html").as_uri())
        page.evaluate(OPEN)

        def seen() -> list[bool]:
            """Return whether each animation moves. A still picture stands where it does not."""
            moving = [each.is_visible() for each in page.locator(".moving").all()]
            assert [each.is_visible() for each in page.locator(".still").all()] == [not each for each in moving]
            return moving

        if motion == "reduce":
            assert seen() == [False, False]
            return
        assert seen() == [True, True]
        page.get_by_label("pause two").check()
        assert seen() == [True, False]
        page.get_by_label("Pause all animations").check()
        assert seen() == [False, False]
        page.get_by_label("Pause all animations").uncheck()
        assert seen() == [True, False]
