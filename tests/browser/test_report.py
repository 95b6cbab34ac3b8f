"""The report in a real browser: everybody can read it, and it asks for nothing else."""

from pathlib import Path

import pytest
from report_room import report, some_figures

from browser import chromium, faults


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
