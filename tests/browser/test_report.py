"""The report in a real browser: everybody can read it, and it asks for nothing else."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor
from report_room import figure, report, some_figures

from browser import chromium, faults
from tessera.imaging.figures import DARK, LIGHT, new_figure


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
        page.evaluate("() => document.querySelectorAll('details').forEach((each) => { each.open = true; })")
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
            pixels = np.asarray(Image.open(io.BytesIO(page.locator(shown).screenshot())).convert("RGB"))
            assert (pixels[10, 10] == ImageColor.getrgb(theme["paper"])).all(), file
            assert (pixels == ImageColor.getrgb(theme["ink"])).all(axis=2).any(), file
