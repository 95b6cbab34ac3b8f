"""How Sphinx builds the site; see `make docs`."""

import re
from typing import Any

project = "Tessera"
copyright = "the Tessera maintainers"
extensions = ["myst_parser", "sphinx_copybutton"]
root_doc = "docs/index"
include_patterns = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "config/README.md", "docs/*.md"]
# Folders of a project may hold millions of files, and need not be searched for documents.
exclude_patterns = [".*", "build", "examples", "labels", "resources", "results"]
# Headings of these levels can be linked to, by the names that GitHub gives them.
myst_heading_anchors = 4
# Nothing is fetched from elsewhere: the site works offline.
html_theme = "furo"
html_title = "Tessera"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False


def join_comments(app: Any, name: str, source: list[str]) -> None:
    """Make one line of each comment on the page of all settings. The browser wraps it at any width."""
    if name == "docs/settings":
        lines = re.compile(r"^( *)# .*(?:\n\1# .*)+$", re.MULTILINE)
        source[0] = lines.sub(lambda comment: re.sub(r"\n *# ", " ", comment[0]), source[0])


def setup(app: Any) -> None:
    """Change what is read before it is parsed."""
    app.connect("source-read", join_comments)
