"""The report is one file that needs nothing else, shows each figure once, and shows names as text."""

import html
import itertools
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest
from jinja2 import Environment
from jinja2.meta import find_undeclared_variables
from small_report import CAPTIONS, HOSTILE, figure, report, some_figures

import tessera
from tessera.configuration.read import load_configuration
from tessera.core.errors import TesseraError
from tessera.core.files import file_name
from tessera.pages.report.pages import write_page


class Tags(HTMLParser):
    """The tags of a page in order, each with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))


def test_it_loads_and_runs_nothing(tmp_path: Path) -> None:
    text = report(tmp_path, some_figures(tmp_path), [])
    tags = Tags(text).tags
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & {tag for tag, _ in tags}
    loaded = [attributes[name] for _, attributes in tags for name in ("src", "srcset", "poster", "data") if name in attributes]
    assert len(loaded) == 6 and all(address.startswith("data:image/") for address in loaded)
    assert not [name for _, attributes in tags for name in attributes if name.startswith("on")]
    style = re.search("<style>(.*?)</style>", text, re.DOTALL)
    assert style and "url(" not in style[1] and "@import" not in style[1]
    policies = [attributes["content"] for _, attributes in tags if attributes.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"]


def test_it_shows_each_figure_once_in_the_order_of_the_numbers(tmp_path: Path) -> None:
    text = report(tmp_path, some_figures(tmp_path), [])
    names = ["funnel.svg", "samples/train.html", "samples/val.html", "card.html", "timings.svg"]
    assert re.findall("<code data-figure>(.*?)</code>", text) == [str(tmp_path / name) for name in names]
    assert re.findall("<h2[^>]*>(.*?)</h2>", text) == ["At a glance", "Footage", "Samples", "Models", "Cost"]
    assert re.findall("<h4>(.*?)</h4>", text) == ["Funnel", "Clips, training split", "Clips, validation split", "Card", "Time"]
    assert "A <code>story</code>." in text


def test_the_files_of_a_folder_are_shown_by_their_names(tmp_path: Path) -> None:
    names = ["1. test", "Dr. val & son", "{x}"]
    (tmp_path / "sheets").mkdir()
    for name in names:
        write_page(tmp_path / "sheets" / f"{file_name(name)}.html", name, "")
    write_page(tmp_path / "numbers.html", "Numbers", "")
    shown = [
        figure(tmp_path / "sheets", label="{identity}", patterns=["{identity}.html"]),
        figure(tmp_path / "numbers.html", label="1. Numbers"),
    ]
    text = report(tmp_path, shown, [])
    assert list(map(html.unescape, re.findall("<h4>(.*?)</h4>", text))) == ["Numbers", *names]


def test_headings_are_in_order_and_links_lead_somewhere(tmp_path: Path) -> None:
    tags = Tags(report(tmp_path, some_figures(tmp_path), [])).tags
    levels = [int(tag[1]) for tag, _ in tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and all(after <= before + 1 for before, after in itertools.pairwise(levels))
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(set(ids)) == len(ids)
    assert {attributes["href"].removeprefix("#") for tag, attributes in tags if tag == "a"} <= set(ids)
    assert all("scope" in attributes for tag, attributes in tags if tag == "th")
    assert all(attributes["alt"] for tag, attributes in tags if tag == "img")


def test_names_are_text(tmp_path: Path) -> None:
    text = report(tmp_path, some_figures(tmp_path), [(HOSTILE, "samples", "drop", 2), ("ana", "identities", "rename", 1)])
    assert "<b>&" not in text
    assert f'<th scope="row">{html.escape(HOSTILE)}'.replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in text
    assert re.search(r"<b>3</b> decisions of people", text)


def test_it_says_what_the_run_was_and_which_decisions_did_nothing(tmp_path: Path) -> None:
    text = html.unescape(report(tmp_path, some_figures(tmp_path), [("Ada", "samples", "drop", 2)]))
    assert "<b>2</b> decisions of people, and 2 that match nothing" in text
    assert f"Made 2026-01-31 11:01 UTC with Tessera {tessera.__version__}, from config/config.yaml and {HOSTILE}:" in text
    assert "The 7 jobs that made the results took 30:00 min, or 45:00 min one after another; the first began 2026-01-31" in text
    assert '<th scope="row">frames</th><td><pre>every: 8</pre></td><td><pre>every: 30</pre></td>' in text
    assert f"<h1>{HOSTILE}</h1>" in text
    assert "There is no earlier run to compare with." in text
    assert f"<td>{HOSTILE}</td><td>general</td><td>CC0</td>" in text, "the sources"


def test_it_says_first_what_changed_since_the_last_run(tmp_path: Path) -> None:
    figures = some_figures(tmp_path)
    report(tmp_path, figures, [])
    before = json.loads((tmp_path / "new_runs.json").read_text())
    before["now"]["made"] = "2025-12-24 18:00"
    before["now"]["run"]["settings"]["frames.every"] = HOSTILE
    (tmp_path / "runs.json").write_text(json.dumps(before))
    text = report(tmp_path, figures, [("Ada", "samples", "drop", 2)])
    shown = " ".join(re.sub("<[^>]*>", "", text[text.index('<details class="since">') :][:2000]).split())
    assert html.unescape(shown).startswith(
        "Since the run of 2025-12-24 18:00 UTC, these changed: 1 setting, decisions of people"
        f" 1 setting frames.every: 8, before {HOSTILE} decisions of people 4, before 2"
    )
    assert text.index("these changed") < text.index("How good the models are")


def test_equal_files_give_equal_bytes(tmp_path: Path) -> None:
    figures = some_figures(tmp_path)
    assert report(tmp_path, figures, []) == report(tmp_path, figures, [])


@pytest.mark.parametrize(
    ("caption", "told"),
    [("{{ snakemake.config.nothing }}", "attribute 'nothing'"), ("{% if %}", "Expected an expression"), (None, "not found in")],
)
def test_a_caption_that_cannot_be_rendered_is_named(caption: str | None, told: str, tmp_path: Path) -> None:
    captions = tmp_path / "captions"
    captions.mkdir()
    for name in ("report.html", "blur.rst"):
        shutil.copy(CAPTIONS / name, captions)
    if caption is not None:
        (captions / "card.rst").write_text(caption)
    figures = some_figures(tmp_path)[1:2]
    with pytest.raises(TesseraError, match=rf"card\.rst of .*card\.html: .*{re.escape(told)}"):
        report(tmp_path, figures, [], captions)


def test_a_figure_of_an_unknown_format_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "film.avi").touch()
    with pytest.raises(TesseraError, match=r"film\.avi: the report shows \.svg, .* correct the rule render_card"):
        report(tmp_path, [figure(tmp_path / "film.avi")], [])


@pytest.mark.parametrize("caption", sorted(path.name for path in CAPTIONS.glob("*.rst")))
def test_each_caption_asks_for_nothing_but_the_wildcards_and_what_the_report_states(caption: str) -> None:
    source = (CAPTIONS / caption).read_text(encoding="utf-8")
    assert find_undeclared_variables(Environment().parse(source)) <= {"snakemake", "descriptions", "blur"}


@pytest.mark.parametrize("caption", sorted(path.name for path in CAPTIONS.glob("*.rst")))
def test_snakemake_renders_each_caption_too(caption: str) -> None:
    """As `snakemake --report` does: with its own object, without our folder of captions, and without what we add."""
    wildcards = SimpleNamespace(dataset="a", model="a", embedding="a", split="worst")
    config = load_configuration({})
    config["identities"] = {"decisions": "config/identities.tsv"}
    known = SimpleNamespace(wildcards=wildcards, config=config)
    source = (CAPTIONS / caption).read_text(encoding="utf-8")
    assert Environment().from_string(source).render(snakemake=known, categories={}, files={}).strip()
