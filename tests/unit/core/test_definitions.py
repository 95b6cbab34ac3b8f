"""The digest of a function changes with the logic that it reaches, and only then: by example, and for all of Tessera."""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tessera
from tessera.core.definitions import Definitions, Key
from tessera.core.errors import TesseraError
from tessera.workflow.code import SCRIPTS, imported_by
from tessera.workflow.figures import figures_with_function

ROOT = Path(tessera.__file__).parent
NAMED = [
    tuple(functions)
    for path in sorted((ROOT.parents[1] / "workflow" / "rules").rglob("*.smk"))
    for arguments in re.findall(r"code_digest\(([^)]*)\)", path.read_text(encoding="utf-8"))
    if (functions := re.findall(r'"(tessera[\w.]+:\w+)"', arguments))
]
OF_SCRIPTS = {path.stem: tuple(imported_by(path.read_text(encoding="utf-8"))) for path in sorted(SCRIPTS.glob("*.py"))}
OF_FIGURES = [(figure.function,) for figure in figures_with_function()]
# The script of all figures imports the function of each by its name.
RULES = [*NAMED, *(functions for name, functions in OF_SCRIPTS.items() if name != "draw_figure"), *OF_FIGURES]
TREES = {
    ".".join(["tessera", *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__"): path.read_text("utf-8")
    for path in sorted(ROOT.rglob("*.py"))
}

ERRORS = "class TesseraError(Exception): pass\n"
LOG = "def tell(message): print(message)\n"
MESSAGES = "Message = str\n"
PROGRESS = "def progress(items, total=None, unit='items'): yield from items\n"
LOW = """
import numpy as np

LIMIT = 3
UNUSED = 4

class Base:
    def shrink(self): return LIMIT

def double(x): return 2 * np.asarray(x)

def unused(x): return x
"""
HIGH = '''
"""What this is."""
import logging
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from tessera.core.errors import TesseraError
from tessera.core.log import tell
from tessera.core.messages import Message
from tessera.core.progress import progress
from tessera.low import Base, double

if TYPE_CHECKING:
    import polars

log = logging.getLogger(__name__)

class Settings(BaseModel):
    """Settings."""
    size: int = Field(3, ge=1, description="pixels")

def wrap(function): return function

class Thing(Base):
    """A thing."""

    @wrap
    def grow(self, by, factor=2):
        """Grow."""
        items: list[int] = []
        if by < 0:
            raise ValueError(f"{by} is negative")
        assert by, "nothing"
        for item in progress(range(by), by, "steps"):
            tell(f"at {item}")
            log.info("at %s", item)
            items.append(item)
        reasons = ["small"]
        reasons.append("large")
        tell_all(items.append, "the curves")
        faults: list[tuple[int, Message]] = []
        if by > 9:
            faults.append((by, f"{by} are too many"))
        if faults:
            return TesseraError(f"{faults} are wrong")
        return double(by) * factor

def tell_all(listener, text): listener(text)

def work(settings: Settings, count: int) -> int:
    """Work."""
    from tessera.lazy import late

    def inner(LIMIT): return LIMIT

    return Thing().grow(settings.size) + late(inner(count))

def neighbour(): return 1
'''
LAZY = "def late(x): return x + 1\n"
CORE = {"core.errors": ERRORS, "core.log": LOG, "core.messages": MESSAGES, "core.progress": PROGRESS}
FILES = {**CORE, "low": LOW, "high": HIGH, "lazy": LAZY}


def definitions(folder: Path, files: dict[str, str]) -> Definitions:
    """Write a package of these modules, and return its definitions."""
    for name, text in {"__init__": "", **files}.items():
        path = folder.joinpath("tessera", *name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
    return Definitions(folder / "tessera")


def replaced(module: str, old: str, new: str) -> dict[str, str]:
    assert FILES[module].count(old) == 1, f"{old!r} does not occur exactly once in {module}"
    return {**FILES, module: FILES[module].replace(old, new)}


@pytest.fixture
def digest(tmp_path: Path) -> Callable[..., str]:
    """Return a function that digests `tessera.high:work`, or others, in a package of given modules."""

    def of(files: dict[str, str], *functions: str) -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        return definitions(folder, files).digest(*(functions or ["tessera.high:work"]))

    return of


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("high", "class Thing", "# A remark.\nclass Thing"),
        ("high", '"""What this is."""', '"""What this was."""'),
        ("high", '"""A thing."""', ""),
        ("high", '"""Work."""', "pass"),
        ("high", "double(by) * factor", "(double(by)   *factor)"),
        ("high", 'f"{by} is negative"', '"negative:", unused'),
        ("high", '"nothing"', 'f"nothing {by}"'),
        ("high", 'by, "steps"', 'by + 1, unit="levels"'),
        ("high", 'tell(f"at {item}")', 'tell("here")'),
        ("high", 'tell(f"at {item}")', ""),
        ("high", 'log.info("at %s", item)', 'log.warning("here")'),
        ("high", '(by, f"{by} are too many")', '"too many"'),
        ("high", 'TesseraError(f"{faults} are wrong")', 'TesseraError("wrong")'),
        ("high", "getLogger(__name__)", 'getLogger("tessera")'),
        ("high", ', description="pixels"', ', description="side of a square, pixels"'),
        ("high", ', description="pixels"', ""),
        ("high", "count: int) -> int", 'count: "float")'),
        ("high", "items: list[int] = []", "items: list[float] = []"),
        ("high", "    import polars", "    import polars as pl\n    from tessera.low import unused"),
        ("high", "neighbour(): return 1", "neighbour(): return 2"),
        ("high", "from tessera.low import Base, double", "from tessera.low import Base\nfrom tessera.low import double"),
        ("low", "UNUSED = 4", "UNUSED = 5"),
        ("low", "return x\n", "return -x\n"),
        ("low", "np.asarray(x)", "numpy.asarray(x)"),
        ("core.log", "print(message)", "print(message, flush=True)"),
        ("core.progress", "yield from items", "yield from list(items)"),
    ],
)
def test_changes_that_are_not_logic_do_not_change_the_digest(
    digest: Callable[..., str], module: str, old: str, new: str
) -> None:
    files = replaced(module, old, new)
    files["low"] = files["low"].replace(
        "import numpy as np", "import numpy" if "numpy.asarray" in new else "import numpy as np"
    )
    assert digest(files) == digest(FILES)


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("high", "double(by) * factor", "double(by) + factor"),
        ("high", "factor=2", "factor=3"),
        ("high", "factor=2", "factors=2"),
        ("high", "by < 0", "by <= 0"),
        ("high", "raise ValueError", "raise TypeError"),
        ("high", "return TesseraError(", "return ValueError("),
        ("high", "faults.append(", "faults.extend("),
        ("high", 'reasons.append("large")', 'reasons.append("huge")'),
        ("high", "tuple[int, Message]", "tuple[int, str]"),
        # A name that begins like that of the function for messages.
        ("high", 'tell_all(items.append, "the curves")', ""),
        ("high", "assert by,", "assert not by,"),
        ("high", "range(by), by", "range(by + 1), by"),
        ("high", "    @wrap\n", ""),
        ("high", "return function", "return lambda *_: function"),
        ("high", "Thing(Base)", "Thing"),
        ("high", "size: int", "size: float"),
        ("high", "ge=1", "ge=2"),
        ("high", "LIMIT): return LIMIT", "LIMIT): return -LIMIT"),
        ("high", "late(inner(count))", "inner(late(count))"),
        ("low", "LIMIT = 3", "LIMIT = 4"),
        ("low", "2 * np", "3 * np"),
        ("low", "import numpy as np", "import cupy as np"),
        ("low", "return LIMIT", "return -LIMIT"),
        ("lazy", "x + 1", "x + 2"),
    ],
)
def test_logic_changes_the_digest(digest: Callable[..., str], module: str, old: str, new: str) -> None:
    assert digest(replaced(module, old, new)) != digest(FILES)


@pytest.mark.parametrize(
    "text",
    [
        "from tessera.low import f\ndef work(): return f(1)",
        "from tessera.low import f as g\ndef work(): return g(1)",
        "import tessera.low\ndef work(): return tessera.low.f(1)",
        "import tessera.low as m\ndef work(): return m.f(1)",
        "from tessera import low\ndef work(): return low.f(1)",
        "from tessera.middle import f\ndef work(): return f(1)",
        "from tessera import middle\ndef work(): return middle.g(1)",
        "def work():\n    from tessera.low import f\n    return f(1)",
        "def work():\n    import tessera.low as m\n    return m.f(1)",
        "def f(x): return x + other()\nfrom tessera.low import other\ndef work(): return f(1)",
    ],
)
def test_the_place_and_the_import_of_a_definition_do_not_count(digest: Callable[..., str], text: str) -> None:
    rest = {
        "low": "def other(): return 1\ndef f(x): return x + other()",
        "middle": "from tessera.low import f\nfrom tessera.low import f as g",
    }
    expected = digest({"all": f"{rest['low']}\ndef work(): return f(1)"}, "tessera.all:work")
    assert digest({**rest, "high": text}) == expected
    assert digest({**rest, "low": rest["low"].replace("return 1", "return 2"), "high": text}) != expected


@pytest.mark.parametrize(
    "text",
    [
        "from tessera.low import *\ndef work(): return hidden(1)",
        "import tessera.low as m\ndef work(): return getattr(m, name)(1)",
        "from tessera import low\ndef work(): return run(low)",
        "import tessera.low as m\ndef work(): return m.from_getattr(1)",
    ],
)
def test_a_whole_module_counts_if_a_name_cannot_be_resolved(digest: Callable[..., str], text: str) -> None:
    files = {"high": text, "low": "def hidden(x): return x"}
    assert digest(files) != digest({**files, "low": "def hidden(x): return -x"})


def test_a_whole_module_counts_if_it_looks_up_its_own_names(digest: Callable[..., str]) -> None:
    text = "def hidden(x): return x\ndef work(name): return globals()[name](1)"
    assert digest({"high": text}) != digest({"high": text.replace("return x", "return -x")})


@pytest.mark.parametrize(
    "low",
    [
        "setup(1)",
        "REGISTRY = {}\nREGISTRY['one'] = 1",
        "import os\nos.environ['ONE'] = '1'",
        "import json\njson.loads = lambda text: 1",
        "if True:\n    setup(1)",
        "def register(function): return function\n@register\ndef one(): return 1",
        "from library import register\n@register(name='one')\nclass One: size = 1",
        "class Base:\n    def __init_subclass__(cls): pass\nclass Middle(Base): pass\nclass One(Middle): size = 1",
        "class Base(metaclass=type): pass\nclass One(Base): size = 1",
        "from tessera.lowest import two\nsetup(two)",
    ],
)
def test_side_effects_of_imports_count(digest: Callable[..., str], low: str) -> None:
    rest = {"lowest": "def two(): return 1", "middle": "import tessera.low"}
    for high in (
        "import tessera.middle\ndef work(): return 0",
        "def work():\n    from tessera.middle import low\n    return 0",
    ):
        one, other = ({"high": high, "low": text, **rest} for text in (low, re.sub(r"\b1\b", "2", low)))
        if "lowest" in low:
            other["lowest"] = "def two(): return 2"
        assert digest(one) != digest(other)
    assert digest(one, "tessera.lowest:two") == digest({**one, "low": "setup(9)"}, "tessera.lowest:two")


def test_a_package_runs_before_its_modules(digest: Callable[..., str]) -> None:
    files = {"room.__init__": "setup(1)", "room.inner": "def work(): return 1"}
    one, other = (digest({**files, "room.__init__": text}, "tessera.room.inner:work") for text in ("setup(1)", "setup(2)"))
    assert one != other


def test_code_only_for_type_checkers_does_not_count(digest: Callable[..., str]) -> None:
    text = "import typing\nif typing.TYPE_CHECKING:\n    import tessera.low\ndef work(): return 1"
    assert digest({"high": text, "low": "setup(1)"}) == digest({"high": text, "low": "setup(2)"})


def test_the_class_of_an_argument_counts_through_any_alias(digest: Callable[..., str]) -> None:
    text = "from tessera.low import Alias\ndef work(thing: Alias): return thing.grow()"
    low = "class One:\n    def grow(self): return 1\nAlias = dict[str, 'int'] | list[One]"
    assert digest({"high": text, "low": low}) != digest({"high": text, "low": low.replace("return 1", "return 2")})
    assert digest({"high": text, "low": low}) == digest({"high": text, "low": low.replace("dict[str, 'int']", "tuple[str]")})


def test_definitions_that_refer_to_each_other_are_distinguished(digest: Callable[..., str]) -> None:
    text = "def even(n): return n == 0 or odd(n - 1)\ndef odd(n): return n != 0 and even(n - 1)\ndef work(n): return {}(n)"
    one, other = (digest({"high": text.format(name)}) for name in ("even", "odd"))
    assert one != other
    assert digest({"high": text.format("even").replace("n != 0", "n > 0")}) != one


@given(st.integers(0, 5))
def test_two_definitions_of_one_name_are_not_confused_when_they_change_places(depth: int) -> None:
    # The two definitions differ only in distant references, and exchanging them adds no definition.
    texts = {"tessera": "", "tessera.high": "import tessera.a, tessera.b\ndef work(): return {}.f0(1), {}.f0(2)"}
    for module, last in (("a", 1), ("b", 2)):
        chain = [f"def f{number}(x): return f{number + 1}(x)" for number in range(depth)]
        texts[f"tessera.{module}"] = "\n".join([*chain, f"def f{depth}(x): return {last}"])
    digests = []
    for order in (("tessera.a", "tessera.b"), ("tessera.b", "tessera.a")):
        changed = Definitions(ROOT).changed({**texts, "tessera.high": texts["tessera.high"].format(*order)})
        digests.append(changed.digest("tessera.high:work"))
    assert digests[0] != digests[1]


@pytest.mark.parametrize(
    "function", ["tessera.high", "tessera.nothing:work", "tessera.high:nothing", "tessera.high:", "other:f"]
)
def test_a_missing_definition_is_an_error_that_names_it(digest: Callable[..., str], function: str) -> None:
    with pytest.raises(TesseraError, match=re.escape(repr(function))):
        digest(FILES, function)


def printed(code: str, sources: Path = ROOT.parent) -> list[str]:
    """Return the words that a new Python prints that runs `code` and finds Tessera in `sources`."""
    environment = {**os.environ, "PYTHONPATH": str(sources), "PYTHONDONTWRITEBYTECODE": ""}
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment
    ).stdout.split()


def test_a_digest_runs_none_of_the_code() -> None:
    # Planning would otherwise wait for the libraries of every room.
    check = (
        "import sys; from tessera.core.definitions import ROOT, Definitions;"
        "Definitions(ROOT).digest('tessera.stages.datasets.splits:divide_sources'); print(*sys.modules)"
    )
    ours = {name for name in printed(check) if name.startswith("tessera.")}
    assert ours == {"tessera.core", "tessera.core.definitions", "tessera.core.syntax", "tessera.core.errors"}


def test_a_digest_is_kept_until_a_source_file_changes(tmp_path: Path) -> None:
    for name in ("__init__", "core/__init__", "core/definitions", "core/errors", "core/syntax"):
        (tmp_path / "tessera" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / f"{name}.py", tmp_path / "tessera" / f"{name}.py")
    errors = tmp_path / "tessera" / "core" / "errors.py"
    check = "from tessera.core.definitions import code_digest; print(code_digest('tessera.core.errors:TesseraError'))"
    computed = printed(check, tmp_path)
    (kept,) = tmp_path.rglob("*.json")
    kept.write_text(kept.read_text().replace(*computed, "kept"))
    assert printed(check, tmp_path) == ["kept"]
    errors.write_text(f"{errors.read_text()}\n\ndef another(): return 1\n")
    assert printed(check, tmp_path) == computed
    errors.write_text(errors.read_text().replace("class TesseraError(", "class TesseraError(OSError, "))
    changed = printed(check, tmp_path)
    assert changed != computed
    # A file that another program broke is not used.
    kept.write_text("{")
    assert printed(check, tmp_path) == changed


# All of Tessera: what each rule reaches is changed, one definition at a time.


@pytest.fixture(scope="module")
def library() -> Definitions:
    return Definitions(ROOT)


@pytest.fixture(scope="module")
def reached(library: Definitions) -> dict[Key, set[tuple[str, ...]]]:
    """Return, for each definition, the rules that reach it."""
    found: dict[Key, set[tuple[str, ...]]] = {}
    for rule in RULES:
        for key in library.reached(*rule):
            found.setdefault(key, set()).add(rule)
    return found


def digests(library: Definitions) -> dict[tuple[str, ...], str]:
    return {rule: library.digest(*rule) for rule in RULES}


def logic(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a definition that count, without those in messages and annotations."""
    children = list(ast.iter_child_nodes(node))
    match node:
        case ast.Expr(value=ast.Constant()):
            return
        case ast.Expr(value=ast.Call(func=ast.Name(id="tell") | ast.Attribute(value=ast.Name(id="log")))):
            return
        case ast.Call(func=ast.Name(id="TesseraError") | ast.Attribute(value=ast.Name(id="faults"), attr="append") as kind):
            children = [kind]
        case ast.Call(func=ast.Name(id="progress"), args=[items, *_]):
            children = [items]
        case ast.Raise(exc=ast.Call(func=kind)):
            children = [kind]
        case ast.Assert(test=test):
            children = [test]
        case ast.arguments():
            children = [*node.defaults, *filter(None, node.kw_defaults)]
        case ast.keyword(arg="description"):
            return
        case ast.AnnAssign():
            children = [node.value] if node.value else []
        case ast.FunctionDef():
            children = [*node.body, *node.decorator_list, node.args]
            yield node
        case ast.JoinedStr() | ast.MatchValue():
            return
        case _:
            yield node
    for child in children:
        yield from logic(child)


def mutant(tree: ast.stmt, kind: type[ast.AST]) -> ast.stmt | None:
    """Return a definition with its first node of this kind replaced: an operator, a constant, a call or a name."""
    copy = deepcopy(tree)
    node = next((each for each in logic(copy) if isinstance(each, kind)), None)
    match node:
        case ast.Compare():
            node.ops[0] = ast.Gt() if not isinstance(node.ops[0], ast.Gt) else ast.Lt()
        case ast.BinOp():
            node.op = ast.FloorDiv() if not isinstance(node.op, ast.FloorDiv) else ast.Mod()
        case ast.Constant():
            node.value = 12345
        case ast.Call():
            node.keywords.append(ast.keyword("mutant", ast.Constant(1)))
        case ast.Attribute():
            node.attr += "_mutant"
        case _:
            return None
    return copy


def with_definition(key: Key, text: str) -> str:
    """Return the text of the module of `key` with another text of this definition."""
    lines = TREES[key.module].split("\n")
    statement = statement_of(key)
    first = min([statement.lineno, *(each.lineno for each in getattr(statement, "decorator_list", []))])
    return "\n".join([*lines[: first - 1], text, *lines[statement.end_lineno :]])


@cache
def statements(module: str) -> dict[str, ast.stmt]:
    """Return the definitions of `module` by their names."""
    return {name: each for each in ast.parse(TREES[module]).body for name in names_in(each)}


def statement_of(key: Key) -> ast.stmt:
    return statements(key.module)[key.name]


def names_in(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return [statement.name]
    targets = getattr(statement, "targets", [getattr(statement, "target", None)])
    return [node.id for target in targets if target for node in ast.walk(target) if isinstance(node, ast.Name)]


def test_every_rule_names_functions_that_exist(library: Definitions) -> None:
    assert len(RULES) > 60
    assert all(rule and library.reached(*rule) for rule in RULES)


KINDS = (ast.Compare, ast.BinOp, ast.Constant, ast.Call, ast.Attribute)


@pytest.mark.slow
def test_a_change_of_any_definition_changes_a_digest(library: Definitions, reached: dict[Key, set[tuple[str, ...]]]) -> None:
    tried: Counter[type[ast.AST]] = Counter()
    for module in sorted({key.module for key in reached}):
        # All definitions of a module at once, because each is checked on its own, with one kind of change each, in turn.
        mutants: dict[str, ast.stmt] = {}
        for number, (name, statement) in enumerate(statements(module).items()):
            for kind in KINDS[number % len(KINDS) :] + KINDS:
                if name not in mutants and (tree := mutant(statement, kind)):
                    mutants[name] = tree
                    tried[kind] += Key(module, name) in reached
        body = [mutants.get((names_in(each) or [""])[0], each) for each in ast.parse(TREES[module]).body]
        changed = library.changed({module: ast.unparse(ast.Module(body, []))})
        for name, tree in mutants.items():
            if (key := Key(module, name)) in reached:
                before, after = library.text(key), changed.text(key)
                assert (before.digest, before.references) != (after.digest, after.references), f"{key}:\n{ast.unparse(tree)}"
    assert all(tried[kind] > 50 for kind in KINDS), tried


@pytest.mark.slow
def test_a_change_concerns_exactly_the_rules_that_reach_it(
    library: Definitions, reached: dict[Key, set[tuple[str, ...]]]
) -> None:
    before = digests(library)
    keys = [key for key in sorted(reached) if key.name.isidentifier()]
    for key in keys[:: len(keys) // 20]:
        tree = next(filter(None, (mutant(statement_of(key), kind) for kind in KINDS)), None)
        if tree:
            changed = library.changed({key.module: with_definition(key, ast.unparse(tree))})
            after = digests(changed)
            # A statement can define several names, as in `BLUE, GREEN = …`.
            concerned = set().union(*(reached.get(Key(key.module, name), set()) for name in names_in(statement_of(key))))
            assert {rule for rule in RULES if before[rule] != after[rule]} == concerned, key
            # The change can be named.
            old, new = (each.own_digests(*min(concerned)) for each in (library, changed))
            differ = {name for name in old.keys() & new.keys() if old[name] != new[name]}
            assert differ and differ <= {f"{key.module}.{name}" for name in names_in(statement_of(key))}, key


def test_a_definition_that_no_rule_reaches_changes_no_digest(
    library: Definitions, reached: dict[Key, set[tuple[str, ...]]]
) -> None:
    changed = {}
    whole = {key.module for key in reached if not key.name}
    for module, text in TREES.items():
        for statement in reversed(ast.parse(text).body):
            if isinstance(statement, ast.FunctionDef) and Key(module, statement.name) not in reached and module not in whole:
                lines = changed.get(module, text).split("\n")
                lines.insert(statement.end_lineno or 0, "    mutant = 1")
                changed[module] = "\n".join(lines)
    assert len(changed) > 10
    assert digests(library.changed(changed)) == digests(library)


class Reworded(ast.NodeTransformer):
    """Changes every message, docstring and annotation of a module."""

    messages: frozenset[str] = frozenset()  # names of the variables of this function that hold messages

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        declared = [each for each in ast.walk(node) if isinstance(each, ast.AnnAssign)]
        self.messages = frozenset(
            ast.unparse(each.target) for each in declared if re.search(r"\bMessage\b", ast.unparse(each.annotation))
        )
        if not node.decorator_list:
            node.returns = None
            for each in ast.walk(node.args):
                if isinstance(each, ast.arg) and each.annotation:
                    # The classes in it are kept.
                    each.annotation = ast.Subscript(ast.Name("Annotated"), ast.Tuple([each.annotation, ast.Constant(1)]))
        return self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        if isinstance(node.exc, ast.Call):
            node.exc.args, node.exc.keywords = [ast.Constant("in other words")], []
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        match node.value:
            case ast.Constant(value=str()):
                node.value = ast.Constant("In other words.")
            case ast.Call(func=ast.Name(id="tell")):
                node.value.args = [ast.Constant("in other words")]
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        match node.func:
            case ast.Name(id="TesseraError"):
                node.args = [ast.Constant("in other words")]
            case ast.Attribute(value=ast.Name(id=name), attr="append") if name in self.messages:
                node.args = [ast.Constant("in other words")]
            case ast.Name(id="Field") | ast.Attribute(attr="Field"):
                for keyword in node.keywords:
                    if keyword.arg == "description":
                        keyword.value = ast.Constant("in other words")
        return self.generic_visit(node)


@pytest.mark.slow
def test_other_messages_change_no_digest(library: Definitions) -> None:
    reworded = {
        module: ast.unparse(ast.fix_missing_locations(Reworded().visit(ast.parse(text)))) for module, text in TREES.items()
    }
    assert sum(text.lower().count("in other words") for text in reworded.values()) > 1000
    assert digests(library.changed(reworded)) == digests(library)


@pytest.mark.slow
def test_a_definition_that_moves_to_another_module_changes_no_digest(
    library: Definitions, reached: dict[Key, set[tuple[str, ...]]]
) -> None:
    before = digests(library)
    whole = {key.module for key in reached if not key.name}
    moved: dict[str, str] = {}
    for key in sorted(reached):
        # One of each module.
        if key.module in moved or key.module in whole or not key.name.isidentifier():
            continue
        statement = statement_of(key)
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            other = f"{key.module}_moved"
            tree = ast.parse(TREES[key.module]).body
            imports = [ast.unparse(each) for each in tree if isinstance(each, ast.Import | ast.ImportFrom)]
            names = {name for each in tree for name in names_in(each)} - {key.name}
            back = [f"from {key.module} import {name}" for name in sorted(names)]
            moved[other] = "\n".join([*imports, *back, ast.unparse(statement)])
            moved[key.module] = with_definition(key, f"from {other} import {key.name}")
    assert len(moved) > 80
    assert digests(library.changed(moved)) == before


@pytest.mark.slow
def test_files_that_move_change_no_digest(library: Definitions) -> None:
    # A part of the library that most other modules import.
    moved_too = (
        "tessera.imaging.video",
        "tessera.stages.clips",
        "tessera.imaging.polygons",
        "tessera.records.annotation",
        "tessera.core.progress",
        "tessera.stages.restoration",
    )
    names = [module for module in TREES if module.startswith(moved_too)]
    places = {module: f"tessera.moved{number}.{module.split('.')[-1]}" for number, module in enumerate(names)}

    class Moved(ast.NodeTransformer):
        def visit_ImportFrom(self, node: ast.ImportFrom) -> list[ast.stmt]:
            found: list[ast.stmt] = []
            for alias in node.names:
                place = places.get(f"{node.module}.{alias.name}")
                if place:
                    package, _, name = place.rpartition(".")
                    found.append(ast.ImportFrom(package, [ast.alias(name, alias.asname or alias.name)], 0))
                else:
                    found.append(ast.ImportFrom(places.get(str(node.module), node.module), [alias], 0))
            return found

    texts: dict[str, str | None] = dict.fromkeys(places)
    for module, text in TREES.items():
        if module in places or any(each in text for each in moved_too):
            texts[places.get(module, module)] = ast.unparse(Moved().visit(ast.parse(text)))
    moved = library.changed(texts)
    for rule in RULES:
        elsewhere = [f"{places.get(module, module)}:{name}" for module, name in (function.split(":") for function in rule)]
        assert moved.digest(*elsewhere) == library.digest(*rule), rule
