"""A rule file imports or defines each name that it uses: nothing passes from one file to another."""

import ast
import builtins
from pathlib import Path
from types import SimpleNamespace
from typing import TextIO

import pytest
from snakemake.parser import parse
from snakemake.sourcecache import LocalSourceFile

WORKFLOW = Path(__file__).parents[3] / "workflow"
FILES = [WORKFLOW / "Snakefile", *sorted(WORKFLOW.rglob("*.smk"))]
# What Snakemake defines for all files, and `script` and `shell`, which its parser adds to rules.
SNAKEMAKE = {
    *("config", "workflow", "rules", "checkpoints", "lookup", "expand", "directory", "report", "update", "unpack"),
    *("script", "shell"),
}


def unknown_names(file: Path) -> set[str]:
    """Return the names that the rule file `file` uses, but neither imports nor defines."""
    tree = ast.parse(python_of(file))
    used, known = set(), {*dir(builtins), *SNAKEMAKE}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else known).add(node.id)
        elif isinstance(node, ast.arg):
            known.add(node.arg)
        elif isinstance(node, ast.FunctionDef):
            known.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            known |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ExceptHandler) and node.name:
            known.add(node.name)
    return used - known


def python_of(file: Path) -> str:
    """Return the Python code that Snakemake makes of the rule file `file`."""

    def opened(source: LocalSourceFile) -> TextIO:
        return Path(source.get_path_or_uri(secret_free=True)).open(encoding="utf-8")

    code, _ = parse(LocalSourceFile(str(file)), SimpleNamespace(sourcecache=SimpleNamespace(open=opened)), {})
    return str(code)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_rule_file_imports_or_defines_the_names_that_it_uses(file: Path) -> None:
    assert not unknown_names(file)


def test_a_name_of_another_rule_file_is_found(tmp_path: Path) -> None:
    file = tmp_path / "rules.smk"
    file.write_text(
        "from somewhere import known\n\nlocal = known(config)\n\n\nrule one:\n    input:\n        local,\n        other,\n"
        "    params:\n        size=lambda wildcards: wildcards.size + elsewhere(known),\n    shell:\n        'true'\n"
    )
    assert unknown_names(file) == {"other", "elsewhere"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_functions_and_tables_of_rules_are_typed_python(file: Path) -> None:
    defined = [node.name for node in ast.parse(python_of(file)).body if isinstance(node, ast.FunctionDef)]
    assert not [name for name in defined if not name.startswith("__")], "move it to src/tessera/workflow, where mypy checks it"
