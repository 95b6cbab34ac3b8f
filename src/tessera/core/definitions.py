"""Digests of definitions, which change exactly when the logic that a function reaches changes.

`code_digest("tessera.core.ledger:gate")` reads the source files and imports none of them. What counts, in whatever module:

- Every function, class and module-level variable that the function refers to, that these refer to, and so on. Each counts
  with its decorators, default values and base classes. So does a class that annotates an argument: its methods are called.
- Annotations in the body of a class: pydantic, pandera and dataclasses read them.
- Statements with side effects in every module that is imported on the way: calls, assignments to attributes and items, blocks
  such as `if` and `try`, definitions with a decorator that may register them, subclasses of a class that registers them.
- A whole module if its names are known only at run time: a star import, `globals()`, a module passed on as a value.

What does not count:

- Comments, layout, docstrings, `if TYPE_CHECKING:` and other annotations. A function keeps them if its decorator may read them.
- Messages: the arguments of the exception in `raise`, and of `TesseraError` anywhere; the text of `assert`; what is appended to
  a variable with `Message` in its annotation, such as `faults: list[Message] = []`; statements that call a logger or `tell`;
  and `description=` of a `Field`. `progress(items, …)` counts as `items`.
- Modules: a reference counts as the definition that it leads to, in any module and under any imported name.
"""

import ast
import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from copy import copy
from functools import cache
from importlib.util import cache_from_source
from pathlib import Path
from typing import NamedTuple

from tessera.core.errors import TesseraError
from tessera.core.syntax import Module, Text

DEPTH = 8  # number of references that are followed to distinguish two definitions of one name
ROOT = Path(__file__).parents[1]
CACHE = Path(cache_from_source(__file__)).with_suffix(".json")


_digested: dict[str, Callable[[], Sequence[str]]] = {}  # the functions, by the digests that were asked for


@cache
def _tessera() -> "Definitions":
    return Definitions(ROOT)


def code_digest(*functions: str) -> str:
    """Return a digest of all definitions of Tessera that `functions`, each as `package.module:name`, reach.

    Raises `TesseraError` for a module or a function that does not exist.
    """
    return cached_digest(" ".join(functions), lambda: functions)


def cached_digest(key: str, functions: Callable[[], Sequence[str]]) -> str:
    """Return the digest of all definitions that `functions()` reach. The functions depend on `key` alone.

    Digests are cached beside the bytecode of this module until a source file of Tessera changes. Computing those of all rules
    takes a second, and each run of Snakemake needs them.
    """
    sources, digests = _read_cache()
    if key not in digests:
        digests[key] = _tessera().digest(*functions())
        _write_cache({sources: digests})
    _digested[digests[key]] = functions
    return digests[key]


def definitions_behind(digest: str) -> dict[str, str]:
    """Return the names of the definitions that a `digest` of this process was made of, each with a digest of its own text.

    Empty if the digest was made by another process, or if the source files have changed since.
    """
    functions = _digested.get(digest, tuple)()
    # Their modules may be read only now.
    if not functions or _tessera().digest(*functions) != digest:
        return {}
    return _tessera().own_digests(*functions)


@cache
def _read_cache() -> tuple[str, dict[str, str]]:
    """Return a digest of the source files of Tessera as they are now, and the cached digests, by functions, of these files."""
    texts = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in ROOT.rglob("*.py")}
    sources = hashlib.sha256(json.dumps(texts, sort_keys=True).encode()).hexdigest()
    with suppress(OSError, ValueError):
        return sources, json.loads(CACHE.read_text(encoding="utf-8")).get(sources, {})
    return sources, {}


def _write_cache(digests: dict[str, dict[str, str]]) -> None:
    """Write `digests`, unless Python may write no bytecode there."""
    if sys.dont_write_bytecode:
        return
    # Several runs may write at a time. Each replaces the file by a complete one.
    partial = CACHE.with_name(f"{CACHE.name}.{os.getpid()}")
    with suppress(OSError):
        CACHE.parent.mkdir(exist_ok=True)
        partial.write_text(json.dumps(digests), encoding="utf-8")
        partial.replace(CACHE)


class Key(NamedTuple):
    """The key of a definition. The name is empty for a whole module, and `#NUMBER` for a statement with side effects."""

    module: str
    name: str


class Definitions:
    """The definitions of the package in the folder `root`."""

    def __init__(self, root: Path) -> None:
        self.package = root.name
        parts = ((path, path.relative_to(root.parent).with_suffix("").parts) for path in root.rglob("*.py"))
        self._files = {".".join(names[:-1] if names[-1] == "__init__" else names): path for path, names in parts}
        self._modules: dict[str, Module | None] = {}
        self._forget()

    def _forget(self) -> None:
        """Clear the results that depend on more than one module."""
        self._resolved: dict[str, tuple[Key | None, str]] = {}
        self._edges: dict[Key, frozenset[Key]] = {}
        self._effects: dict[str, frozenset[Key]] = {}
        self._colors: dict[tuple[Key, int], bytes] = {}

    def changed(self, texts: Mapping[str, str | None]) -> "Definitions":
        """Return these definitions with new `texts` of some modules, None for a removed one, without reading others again."""
        other = copy(self)
        modules = {name: None if text is None else Module(name, text, self.package) for name, text in texts.items()}
        other._modules = self._modules | modules
        other._forget()
        return other

    def digest(self, *functions: str) -> str:
        """Return a digest of all definitions that `functions` reach, as `code_digest` does."""
        colors = sorted(self._color(key, DEPTH) for key in self.reached(*functions))
        return hashlib.sha256(b"".join(colors)).hexdigest()[:16]

    def own_digests(self, *functions: str) -> dict[str, str]:
        """Return the names of all definitions that `functions` reach, each with a digest of its text and of what it names."""
        return {".".join(filter(None, key)): self._own_digest(key) for key in self.reached(*functions)}

    def _own_digest(self, key: Key) -> str:
        text = self.text(key)
        # Where a definition that it names lies does not count.
        named = [path.rpartition(".")[2] for path in text.references]
        return hashlib.sha256(text.digest + "\n".join(named).encode()).hexdigest()[:8]

    def reached(self, *functions: str) -> set[Key]:
        """Return all definitions that `functions` reach, and the statements with side effects that they import."""
        reached: set[Key] = set()
        frontier = {self._root(function) for function in functions}
        while frontier:
            reached |= frontier
            frontier = set().union(*map(self._references, frontier)) - reached
        return reached

    def _root(self, function: str) -> Key:
        module, colon, name = function.partition(":")
        if not (colon and name):
            raise TesseraError(f"code_digest({function!r}): name a function as `package.module:name`")
        if self._module(module) is None:
            raise TesseraError(f"code_digest({function!r}): there is no module {module!r}; correct the rule")
        key, _ = self._resolve(f"{module}.{name}")
        if key is None or not key.name:
            raise TesseraError(f"code_digest({function!r}): {module!r} defines no {name!r}; correct the rule")
        return key

    def _references(self, key: Key) -> frozenset[Key]:
        """Return the definitions that `key` refers to, and the statements with side effects that its imports run."""
        if key not in self._edges:
            text = self.text(key)
            references = {target for path in text.references if (target := self._resolve(path)[0])}
            references.update(*(self._classes(path) for path in text.annotations))
            references.update(*(self._run_by(module) for module in (key.module, *text.imports)))
            self._edges[key] = frozenset(references)
        return self._edges[key]

    def _color(self, key: Key, depth: int) -> bytes:
        """Return a digest of the definition `key` and of its references in their order, followed to `depth`."""
        if (key, depth) not in self._colors:
            text = self.text(key)
            color = hashlib.sha256(text.digest)
            for target, attributes in map(self._resolve, text.references if depth else ()):
                color.update((self._color(target, depth - 1) if target else b"") + attributes.encode() + b"\n")
            self._colors[key, depth] = color.digest()
        return self._colors[key, depth]

    def text(self, key: Key) -> Text:
        """Return the parts of the definition `key` that count."""
        return self._required_module(key.module).text(key.name)

    def _resolve(self, path: str) -> tuple[Key | None, str]:
        """Return the definition that the dotted `path` leads to, and the attributes that follow. None for `__file__`."""
        if path not in self._resolved:
            parts = path.split(".")
            count = max(count for count in range(1, len(parts) + 1) if self._module(".".join(parts[:count])))
            module = self._required_module(".".join(parts[:count]))
            name, rest = "".join(parts[count : count + 1]), parts[count + 1 :]
            target = module.names.get(name)
            if name in module.statements:
                self._resolved[path] = Key(module.name, name), ".".join(rest)
            elif target and module.is_ours(target):
                self._resolved[path] = self._resolve(".".join([target, *rest]))
            else:
                module_key = None if name.startswith("__") else Key(module.name, "")
                self._resolved[path] = module_key, ".".join(parts[count:])
        return self._resolved[path]

    def _classes(self, path: str) -> set[Key]:
        """Return the classes that the dotted `path` means in an annotation: the class itself, or the classes in an alias."""
        key, _ = self._resolve(path)
        statements = self._required_module(key.module).statements.get(key.name, []) if key else []
        if key and any(isinstance(node, ast.ClassDef) for node in statements):
            return {key}
        if key and any(isinstance(node, ast.Assign | ast.AnnAssign) for node in statements):
            return set().union(*(self._classes(node) for node in self.text(key).references))
        return set()

    def _run_by(self, module: str) -> frozenset[Key]:
        """Return the statements with side effects that the import of `module` runs, directly or through its own imports."""
        if module not in self._effects:
            loaded: dict[str, Module] = {}
            names = [module]
            while names:
                name = names.pop()
                if name not in loaded and (loaded_module := self._module(name)):
                    loaded[name] = loaded_module
                    # A package runs before its modules.
                    names += [name.rpartition(".")[0], *loaded_module.imports]
            effects = {Key(name, effect) for name, loaded_module in loaded.items() for effect in loaded_module.effects}
            classes = {Key(name, subclass) for name, loaded_module in loaded.items() for subclass in loaded_module.bases}
            self._effects[module] = frozenset(effects | set(filter(self._is_registered, classes)))
        return self._effects[module]

    def _is_registered(self, key: Key) -> bool:
        """Return whether a base of the class `key` registers subclasses, by `__init_subclass__` or a metaclass."""
        paths = self._required_module(key.module).bases.get(key.name, [])
        bases = [base for path in paths if (base := self._resolve(path)[0])]
        return any(base.name in self._required_module(base.module).hooks or self._is_registered(base) for base in bases)

    def _required_module(self, name: str) -> Module:
        module = self._module(name)
        assert module is not None, name
        return module

    def _module(self, name: str) -> Module | None:
        """Return the module `name`, which is read but not run. None if the package has no such module."""
        if name not in self._modules:
            file = self._files.get(name)
            self._modules[name] = Module(name, file.read_text(encoding="utf-8"), self.package) if file else None
        return self._modules[name]
