"""Imports only point to lower layers, no stage imports another stage, and planning imports nothing heavy."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import tessera

ROOT = Path(tessera.__file__).parent
REPOSITORY = ROOT.parents[1]
SCRIPTS = sorted((REPOSITORY / "workflow" / "scripts").glob("*.py"))
# Their packages exchange records and files, and import none of each other.
PARALLEL = ("stages", "extras", "pages", "demo")
LAYERS = (("core",), ("imaging",), ("learning",), ("records",), PARALLEL, ("catalogue",), ("configuration",), ("workflow",))
LAYER_OF = {name: number for number, layer in enumerate(LAYERS) for name in layer}
# These take seconds to import, and planning needs none of them.
HEAVY = {
    *("av", "cleanlab", "cv2", "imagehash", "matplotlib", "numba", "onnx", "onnxruntime", "pandas", "pandera", "PIL", "polars"),
    *("pycocotools", "scipy", "skimage", "sklearn", "snakemake", "timm", "torch", "torchvision", "ultralytics"),
}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}
IN_LAYERS = [module for module in MODULES if module.count(".") and module.split(".")[1] in LAYER_OF]


@cache
def imports_of(path: Path) -> list[str]:
    """Return our modules that the file `path` imports, anywhere in it."""
    return list(_imports(ast.parse(path.read_text(encoding="utf-8")), path))


def _imports(tree: ast.Module, path: Path) -> Iterator[str]:
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write the import absolute, so that its layer can be read"
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in MODULES else str(node.module) for name in full]
        yield from (name for name in names if name in MODULES)


def layer_of(module: str) -> int:
    return LAYER_OF[module.split(".")[1]]


def package_of(module: str) -> str | None:
    """Return the package of stages, extras or pages that `module` belongs to, or the demo, which is one package."""
    _, top, *inside = module.split(".")
    if top == "demo":
        return top
    return f"{top}.{inside[0]}" if top in PARALLEL and inside else None


def test_a_module_imports_neither_a_higher_layer_nor_another_package_beside_its_own() -> None:
    pairs = [(module, name) for module in IN_LAYERS for name in imports_of(MODULES[module]) if name != "tessera"]
    higher = [f"{module} imports {name}" for module, name in pairs if layer_of(name) > layer_of(module)]
    beside = [
        f"{module} imports {name}"
        for module, name in pairs
        if package_of(module) and package_of(name) not in {None, package_of(module)}
    ]
    assert len(pairs) > 500
    assert not higher, "of a higher layer"
    assert not beside, "of another package of the same layer; what both need belongs to a layer below"


def test_there_are_no_circular_imports() -> None:
    TopologicalSorter({module: set(imports_of(path)) - {module} for module, path in MODULES.items()}).prepare()


def test_every_package_is_a_layer_and_at_most_five_modules_stand_beside_them() -> None:
    assert {path.parent.name for path in ROOT.glob("*/__init__.py")} <= set(LAYER_OF)
    assert len(list(ROOT.glob("*.py"))) <= 5


def loaded(*modules: str) -> set[str]:
    """Return the packages that are loaded after `modules` are imported."""
    code = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return {name.split(".")[0] for name in ran.stdout.split()}


def test_planning_imports_nothing_heavy() -> None:
    modules = [module for module in MODULES if module.startswith("tessera.workflow.")]
    assert modules
    assert not loaded(*modules, "tessera.core.definitions") & HEAVY


def test_the_lower_layers_import_no_framework() -> None:
    # Only detection and training load a framework, when they start.
    modules = [module for module in IN_LAYERS if layer_of(module) < LAYER_OF["stages"]]
    assert not loaded(*modules) & {"torch", "torchvision", "ultralytics", "matplotlib", "onnxruntime", "snakemake"}


def test_one_module_imports_onnx_runtime_and_keeps_it_from_reporting() -> None:
    importing = [
        path.relative_to(ROOT).as_posix()
        for path in sorted(ROOT.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import) and any(alias.name == "onnxruntime" for alias in node.names)
    ]
    assert importing == ["learning/onnx.py"]


def has_packages(module: str | None) -> bool:
    """Return whether `module` lies in a package that may not import those beside it."""
    return str(module).startswith(tuple(f"tessera.{name}." for name in PARALLEL))


def test_a_script_only_translates_between_its_rule_and_one_package() -> None:
    assert SCRIPTS
    for path in SCRIPTS:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), f"{path.name}: a script says what it does"
        defined = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda)]
        assert not defined, f"{path.name}: logic belongs into the library"
        called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
        packages = {
            package_of(str(node.module))
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and has_packages(node.module)
            # A function of one package can be passed to another.
            if called & {alias.name for alias in node.names}
        }
        assert len(packages) <= 1, f"{path.name}: a script calls one package"


def test_a_script_passes_arguments_by_name() -> None:
    for path in SCRIPTS:
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        functions = {
            alias.asname or alias.name
            for node in nodes
            if isinstance(node, ast.ImportFrom) and has_packages(node.module)
            for alias in node.names
        }
        for node in nodes:
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in functions:
                assert len(node.args) <= 2, f"{path.name}:{node.lineno}: pass what {node.func.id} takes by name"


RULES = sorted((REPOSITORY / "workflow" / "rules").rglob("*.smk"))


# Code that once stood in several places, and the only place that may contain it now.
@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("crop_unscaled_", "src/tessera/records/lada"),
        ("WeightsSettings(**", "src/tessera/learning/weights"),
        ('/SHA256SUMS" if ', "src/tessera/learning/weights"),
    ],
)
def test_only_one_module_contains(text: str, place: str) -> None:
    files = [*MODULES.values(), *SCRIPTS, *RULES]
    found = {path.relative_to(REPOSITORY).as_posix() for path in files if text in path.read_text(encoding="utf-8")}
    assert all(name.startswith(place) for name in found), f"{text!r} stands outside {place}: {sorted(found)}"


def test_text_is_drawn_without_importing_matplotlib() -> None:
    drawn = (
        "from tessera.imaging.sheets import np, write; image = np.zeros((30, 90, 3), np.uint8); write(image, 'I', (0, 0), 20)"
    )
    code = f"import sys; {drawn}; assert image.any() and 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_tables_do_without_pandas_and_hide_it_from_nobody_else() -> None:
    first = "import sys; from tessera.records.tables.mosaics import Mosaics, pl; schema = Mosaics.to_schema()"
    check = "schema.validate(pl.DataFrame(schema={name: each.dtype.type for name, each in schema.columns.items()}))"
    code = f"{first}; {check}; assert 'pandas' not in sys.modules; import pandas; {check}"
    subprocess.run([sys.executable, "-c", code], check=True)
