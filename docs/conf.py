"""How Sphinx builds the site; see `make docs`."""

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
