"""Figures follow the theme of the reader, and are drawn in one style."""

import re
from itertools import product
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image, ImageColor

import tessera
from tessera.imaging.figures import BLUE, DARK, GREEN, LIGHT, ORANGE, PURPLE, RED, SKY, Bar, draw_bars, legend, new_figure

DATA = {colour.lower() for colour in (BLUE, ORANGE, RED, GREEN, SKY, PURPLE)}
SVG = "{http://www.w3.org/2000/svg}"


def draw(path: Path) -> None:
    """Draw a figure with a part of each kind to `path`."""
    with new_figure(path, 6, 3) as figure:
        curves, bars = figure.subplots(1, 2)
        for height in range(6):
            curves.plot([0, 1], [0, height], marker=".", label=f"curve {height}")
        curves.set(title="curves", xlabel="epoch", ylabel="loss")
        curves.legend(title="legend")
        draw_bars(bars, [Bar("bar", [(1, BLUE)], "text")], 1.5)
        legend(figure, {"all": BLUE})


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, as WCAG 2 defines it."""

    def luminance(colour: str) -> float:
        parts = [part / 255 for part in ImageColor.getrgb(colour)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted([luminance(one), luminance(other)])
    return (light + 0.05) / (dark + 0.05)


def test_what_is_not_data_has_a_colour_for_each_theme(tmp_path: Path) -> None:
    draw(tmp_path / "figure.svg")
    file = (tmp_path / "figure.svg").read_text(encoding="utf-8")
    stated = set(re.findall(r'style="[^"]*?(?:fill|stroke): (#\w+)', file))
    dark = re.search(r"@media \(prefers-color-scheme: dark\) \{\n(.*?)\n\}", file, re.DOTALL)[1]
    changed = dict(re.findall(r'\[style\*="fill: (#\w+)"\] \{fill: (#\w+) !important\}', dark))
    assert dict(re.findall(r'\[style\*="stroke: (#\w+)"\] \{stroke: (#\w+) !important\}', dark)) == changed
    assert stated - DATA <= changed.keys() and changed == {LIGHT[name]: DARK[name] for name in LIGHT}
    # Without a colour, a text would be black in both themes.
    texts = [group for group in ElementTree.fromstring(file).iter(f"{SVG}g") if group.get("id", "").startswith("text_")]
    assert len(texts) > 10 and all("fill: " in group[0].get("style", "") for group in texts)


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_texts_are_readable_and_data_are_visible_in_each_theme(theme: dict[str, str]) -> None:
    for text, ground in product(("ink", "quiet", "link"), ("paper", "tint")):
        assert contrast(theme[text], theme[ground]) >= 4.5
    assert all(contrast(colour, theme["paper"]) >= 2 for colour in DATA)


def test_a_picture_without_themes_is_dark(tmp_path: Path) -> None:
    draw(tmp_path / "figure.png")
    pixels = np.asarray(Image.open(tmp_path / "figure.png").convert("RGB"))
    assert tuple(pixels[0, 0]) == ImageColor.getrgb(DARK["paper"])
    assert (pixels == ImageColor.getrgb(DARK["ink"])).all(axis=2).any()


@pytest.mark.parametrize("count", [1, 3, 8, 20])
@pytest.mark.parametrize("name", ["all", "a model with a name of forty-odd letters"])
def test_a_legend_is_not_wider_than_its_figure(count: int, name: str, tmp_path: Path) -> None:
    with new_figure(tmp_path / "figure.svg", 9.5, 4) as figure:
        legend(figure, {f"{name} {number}": BLUE for number in range(count)})
        figure.draw_without_rendering()
        (box,) = (each.get_window_extent() for each in figure.legends)
        assert box.x0 >= 0 and box.x1 <= figure.bbox.x1


def test_all_figures_are_drawn_in_this_style() -> None:
    root = Path(tessera.__file__).parent
    drawing = [path.relative_to(root).as_posix() for path in root.rglob("*.py") if "savefig" in path.read_text("utf-8")]
    assert drawing == ["imaging/figures.py"]
