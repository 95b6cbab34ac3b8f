"""Digests: of files, of values, and of the code that a rule runs. And file names made from any text."""

import ast
import hashlib
import importlib.util
import json
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

PACKAGE = "tessera"
NAME_BYTES = 120


def sha256_file(path: Path) -> str:
    """Return the sha256 of the bytes of `path`, as 64 hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(value: Any) -> str:
    """Return the sha256 of `value` written as canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def file_name(text: str) -> str:
    """Return a file name for `text`: readable, portable, different for different texts.

    Letters, digits and `_.-` stay, everything else is percent-encoded; a leading `.` or `-` is encoded too,
    and a name that would be too long for a file system ends in a hash instead.
    """
    name = quote(text, safe="", errors="surrogatepass").replace("~", "%7E")
    if name[:1] in {".", "-"}:
        name = f"%{ord(name[0]):02X}{name[1:]}"
    if len(name) > NAME_BYTES:
        name = f"{name[: NAME_BYTES - 17]}%{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    return name


def code_digest(*modules: str) -> str:
    """Return a digest of the logic of `modules` and of everything of ours that they import.

    What is hashed is the syntax tree without docstrings, so a comment, a blank line or a docstring changes nothing
    and any change of logic does. Raises `ModuleNotFoundError` for a module that is not there.
    """
    seen: set[str] = set()
    todo = list(modules)
    while todo:
        module = todo.pop()
        if module not in seen:
            seen.add(module)
            todo.extend(_tree(module)[1])
    return digest({module: _tree(module)[0] for module in sorted(seen)})[:16]


@cache
def _tree(module: str) -> tuple[str, tuple[str, ...]]:
    """Return the digest of the syntax tree of `module`, and the modules of ours that it imports."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"no module {module!r}")
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    imports: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            # `from package import name`: the name may be a module of its own.
            imports.update({node.module, *(f"{node.module}.{alias.name}" for alias in node.names)})
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and _documented(node):
            node.body = node.body[1:] or [ast.Pass()]
    ours = sorted(name for name in imports if name.split(".")[0] == PACKAGE and name != PACKAGE and _is_module(name))
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), tuple(ours)


def _documented(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return ast.get_docstring(node, clean=False) is not None


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False
