"""Imports only go down: rooms stand on the foundation, never on each other, and planning imports nothing heavy."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import tessera

ROOT = Path(tessera.__file__).parent
SCRIPTS = sorted((ROOT.parents[1] / "workflow" / "scripts").glob("*.py"))
FOUNDATION = {
    "core",
    "errors",
    "blocklist",
    "settings",
    "provenance",
    "sheets",
    "manifest",
    "decisions",
    "material",
    "seeds",
    "ledger",
    "job",
    "tables",
    "weights",
    "media",
    "geometry",
    "markdown",
}
ABOVE = {"configuration", "schema"}
# Its trainer makes mosaics and degrades clips in processes of its own, where no script could hand them to it.
STANDS_ON = {"restoration": {"mosaics", "degradations"}}
# Seconds each, and none is needed to know what there is to do.
HEAVY = {
    *("av", "cv2", "imagehash", "matplotlib", "onnx", "onnxruntime", "pandas", "pandera", "PIL", "polars", "pycocotools"),
    *("scipy", "skimage", "snakemake", "torch", "torchvision", "ultralytics"),
}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(ROOT.rglob("*.py")) if path != ROOT / "__init__.py"}


def room_of(module: str) -> str:
    return module.split(".")[1]


def imports_of(path: Path) -> Iterator[str]:
    """Yield the modules of ours that the file `path` imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative imports are not seen by code_digest"
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in MODULES else str(node.module) for name in full]
        yield from (name for name in names if name in MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_lies_below_it(module: str) -> None:
    imported = {room_of(name) for name in imports_of(MODULES[module])} - {room_of(module)}
    if room_of(module) not in ABOVE:
        allowed = FOUNDATION | STANDS_ON.get(room_of(module), set())
        assert imported <= allowed, f"{module} imports {sorted(imported - allowed)}"


def test_the_floors_stand_on_each_other_in_one_order() -> None:
    below: dict[str, set[str]] = {}
    for module, path in MODULES.items():
        below.setdefault(room_of(module), set()).update({room_of(name) for name in imports_of(path)} - {room_of(module)})
    assert list(TopologicalSorter(below).static_order())[-1] in ABOVE


def test_the_rooms_that_are_known_are_there() -> None:
    assert {room_of(module) for module in MODULES} >= FOUNDATION | ABOVE


def loaded(*modules: str) -> set[str]:
    """Return the packages that are loaded after `modules` are imported."""
    code = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return {name.split(".")[0] for name in ran.stdout.split()}


def test_planning_imports_nothing_heavy() -> None:
    assert not loaded("tessera.configuration", "tessera.manifest", "tessera.core.definitions") & HEAVY


def test_the_foundation_imports_no_framework() -> None:
    # The trainer of restoration models brings its own, in an environment of its own.
    modules = [module for module in MODULES if room_of(module) in FOUNDATION]
    assert not loaded(*modules) & {"torch", "torchvision", "ultralytics", "matplotlib", "onnxruntime", "scipy", "snakemake"}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_only_translates(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), "a script says what it does"
    defined = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda)]
    assert not defined, "logic belongs into the library"
