"""The parts of the syntax of a module that count, see `tessera.core.definitions`, and the references of each definition."""

import ast
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

IGNORED = {"ctx", "kind", "type_comment", "type_params"}  # fields of syntax trees that are redundant, or only concern types
HARMLESS = {"abc", "contextlib", "dataclasses", "enum", "functools", "typing"}  # modules whose decorators register nothing
PLAIN = {"classmethod", "property", "staticmethod", "torch.inference_mode", "torch.no_grad"}  # other such decorators
ERROR, PROGRESS, TELL = "errors.TesseraError", "progress.progress", "log.tell"  # ends of the dotted paths of functions
MESSAGE = "messages.Message"  # end of the path of the type that marks what holds messages
LOGGERS = {"log", "logger", "logging"}
LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "log"}
DYNAMIC = {"globals", "eval", "exec"}  # their references are known only at run time
GLOBAL = "."  # stands for the path of a name that a function declares as global

Names = dict[str, str | None]  # names, and the dotted paths that they lead to; None for a local variable


class Text(NamedTuple):
    """The parts of a definition that count: a digest of its syntax without references, and the references."""

    digest: bytes
    references: list[str]  # dotted paths in our package, in the order of the text
    annotations: list[str]  # dotted paths in annotations; only the classes among them count
    imports: list[str]  # modules that are imported while it runs


class Module:
    """The statements of a module, sorted by kind."""

    def __init__(self, name: str, text: str, package: str) -> None:
        self.name, self.package = name, package
        self.statements: dict[str, list[ast.stmt]] = {}  # by the names that they define
        self.names: Names = {}
        self.imports: list[str] = []
        self.stars: list[str] = []
        self.effects: list[str] = []
        self.bases: dict[str, list[str]] = {}  # dotted paths in our package, by class
        self.hooks: set[str] = set()  # classes that register their subclasses
        self._texts: dict[str, Text] = {}
        for number, statement in enumerate(_run(ast.parse(text).body)):
            self._sort(statement, f"#{number}")

    def is_ours(self, path: str) -> bool:
        """Return whether the dotted `path` lies in the package."""
        return path == self.package or path.startswith(f"{self.package}.")

    def _sort(self, statement: ast.stmt, number: str) -> None:
        match statement:
            case ast.Expr(value=ast.Constant()):
                return
            case ast.Import() | ast.ImportFrom():
                paths = dict(_imported(statement))
                self.stars += [path.removesuffix(".*") for path in paths.values() if path.endswith(".*")]
                self.names.update(paths)
                self.imports += filter(self.is_ours, _modules_of(statement))
                return
        bound = dict(_bound([statement]))
        for name in bound:
            self.statements.setdefault(name, []).append(statement)
            self.names[name] = f"{self.name}.{name}"
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                if not all(map(self.is_harmless, statement.decorator_list)):
                    self.effects.append(statement.name)
                if isinstance(statement, ast.ClassDef):
                    self._sort_class(statement)
            case ast.Assign() | ast.AnnAssign() | ast.AugAssign() if bound and not _sets_inside(statement):
                pass
            case _:
                self.statements[number] = [statement]
                self.effects.append(number)

    def _sort_class(self, node: ast.ClassDef) -> None:
        paths = [_dotted(base, self.names.get) for base in node.bases]
        self.bases[node.name] = [path for path in paths if path and self.is_ours(path)]
        methods = {member.name for member in node.body if isinstance(member, ast.FunctionDef)}
        if "__init_subclass__" in methods or any(keyword.arg == "metaclass" for keyword in node.keywords):
            self.hooks.add(node.name)

    def is_harmless(self, decorator: ast.expr) -> bool:
        """Return whether `decorator` only wraps a definition, and neither registers it nor reads its annotations."""
        call = decorator.func if isinstance(decorator, ast.Call) else decorator
        path = _dotted(call, lambda name: self.names.get(name, name)) or ""
        return path.partition(".")[0] in HARMLESS or path in PLAIN

    def text(self, name: str) -> Text:
        """Return the parts of the definition `name` that count."""
        if name not in self._texts:
            reader = _Reader(self)
            if name:
                # The number of a statement without a name does not count.
                reader.tokens.append(name if name.isidentifier() else "#")
                reader.read(self.statements[name])
            else:
                # Sorted by the last part of the paths first, so that moving a definition does not change the order.
                paths = {path for path in self.names.values() if path and self.is_ours(path)}
                reader.references += sorted(paths, key=lambda path: path.split(".")[::-1])
            for star in self.stars:
                reader.refer(star)
            digest = hashlib.sha256("\n".join(reader.tokens).encode("utf-8", "surrogatepass")).digest()
            self._texts[name] = Text(digest, reader.references, reader.annotations, reader.imports)
        return self._texts[name]


class _Reader:
    """A reader that turns the parts of syntax trees that count into tokens, and collects their references.

    A node becomes its type and then its fields. Lists are in brackets. So different trees have different tokens.
    """

    def __init__(self, module: Module) -> None:
        self.module = module
        self.tokens: list[str] = []
        self.references: list[str] = []
        self.annotations: list[str] = []
        self.imports: list[str] = []
        self.scopes: list[Names] = [module.names]
        self.messages: list[set[str]] = []  # by function: names of its variables that hold messages

    def refer(self, path: str) -> None:
        """Record a reference to the dotted `path`, in our package or in a library."""
        if self.module.is_ours(path):
            self.tokens.append("@")
            self.references.append(path)
        else:
            self.tokens.append(f"^{path}")

    def lookup(self, name: str) -> str | None:
        """Return the dotted path that `name` leads to in this scope. None for a local variable or a built-in name."""
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        return None

    def read(self, node: Any) -> None:
        if reader := READERS.get(type(node)):
            reader(self, node)
        elif isinstance(node, ast.AST):
            self.read_fields(node)
        elif isinstance(node, list):
            self.tokens.append("[")
            for item in _run(node):
                self.read(item)
            self.tokens.append("]")
        else:
            self.tokens.append(repr(node))

    def read_fields(self, node: ast.AST, **instead: Any) -> None:
        """Read `node`, with the values of some fields replaced by those in `instead`."""
        self.tokens.append(type(node).__name__)
        for field in node._fields:
            if field not in IGNORED:
                self.read(instead[field] if field in instead else getattr(node, field, None))

    def read_inside(self, names: Names, *nodes: Any) -> None:
        """Read `nodes` in an inner scope with `names`, which hide outer names."""
        self.scopes.append(names)
        for node in nodes:
            self.read(node)
        self.scopes.pop()

    def read_name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            path = self.lookup(node.id)
        else:
            # A function declares a name as global before it sets it.
            path = self.scopes[-1].get(node.id) if len(self.scopes) > 1 else None
        if path:
            self.refer(path)
        else:
            self.tokens.append(f"${node.id}")
            if node.id in DYNAMIC:
                self.refer(self.module.name)

    def read_attribute(self, node: ast.Attribute) -> None:
        path = _dotted(node, self.lookup)
        if path:
            self.refer(path)
        else:
            self.read_fields(node)

    def read_constant(self, node: ast.Constant) -> None:
        self.tokens.append(f"={node.value!r}")

    def read_nothing(self, node: ast.AST) -> None:
        pass

    def read_expression(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant) and not (isinstance(node.value, ast.Call) and self.is_message(node.value)):
            self.read_fields(node)

    def is_message(self, call: ast.Call) -> bool:
        match call.func:
            case ast.Attribute(value=ast.Name(id=name), attr=level) if name in LOGGERS and level in LEVELS:
                return True
        return self.calls(call, TELL)

    def adds_message(self, call: ast.Call) -> bool:
        """Return whether `call` appends to a variable whose annotation says that it holds messages."""
        match call.func:
            case ast.Attribute(value=ast.Name(id=name), attr="append"):
                return any(name in names for names in self.messages)
        return False

    def holds_messages(self, annotation: ast.expr | None) -> bool:
        nodes = ast.walk(annotation) if annotation else ()
        return any((_dotted(node, self.lookup) or "").endswith(MESSAGE) for node in nodes)

    def calls(self, call: ast.Call, end: str) -> bool:
        """Return whether `call` calls a function of our package whose dotted path ends with `end`."""
        path = _dotted(call.func, self.lookup) or ""
        return self.module.is_ours(path) and path.endswith(end)

    def read_call(self, node: ast.Call) -> None:
        if node.args and self.calls(node, PROGRESS):
            self.read(node.args[0])
            return
        if self.calls(node, ERROR) or self.adds_message(node):
            self.read_fields(node, args=[], keywords=[])
            return
        ignored = {"description"} if (_dotted(node.func, self.lookup) or "").endswith("Field") else set()
        self.read_fields(node, keywords=[keyword for keyword in node.keywords if keyword.arg not in ignored])

    def read_raise(self, node: ast.Raise) -> None:
        self.read_fields(node, exc=node.exc.func if isinstance(node.exc, ast.Call) else node.exc)

    def read_assert(self, node: ast.Assert) -> None:
        self.read_fields(node, msg=None)

    def read_import(self, node: ast.Import | ast.ImportFrom) -> None:
        self.imports += filter(self.module.is_ours, _modules_of(node))
        for _, path in _imported(node):
            # Inside a function, only the use of the imported name counts.
            if len(self.scopes) == 1 or not self.module.is_ours(path):
                self.refer(path)

    def read_annotated(self, node: ast.AnnAssign) -> None:
        if node.value:
            self.read(ast.Assign([node.target], node.value))

    def read_field(self, node: ast.stmt) -> None:
        """Read a statement in the body of a class."""
        if isinstance(node, ast.AnnAssign):
            self.note_types(node.annotation)
            self.read_fields(node)
        else:
            self.read(node)

    def note_types(self, annotation: ast.expr | None) -> None:
        """Record the names in `annotation`, in quotes or not."""
        for node in ast.walk(annotation) if annotation else ():
            text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
            paths = [_dotted(node, self.lookup), *map(self.lookup, re.findall(r"\w+", text))]
            self.annotations += [path for path in paths if path and self.module.is_ours(path)]

    def read_class(self, node: ast.ClassDef) -> None:
        self.read_fields(node, body=[])
        # Methods do not see the variables of the class. This reader does let them see its imports.
        self.scopes.append({name: path for name, path in _bound(node.body) if path})
        for statement in node.body:
            self.read_field(statement)
        self.scopes.pop()
        self.tokens.append("]")

    def read_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        is_typed = not all(map(self.module.is_harmless, node.decorator_list))
        self.tokens += [type(node).__name__, node.name]
        self.read(node.decorator_list)
        self.read_arguments(node.args, is_typed)
        if is_typed:
            self.read(node.returns)
        names: Names = dict.fromkeys(argument.arg for argument in _arguments(node.args))
        for name, path in _bound(node.body):
            names[name] = self.module.names.get(name) if path == GLOBAL else path or names.get(name)
        declared = [(argument.arg, argument.annotation) for argument in _arguments(node.args)]
        assigned = [inner for inner in ast.walk(node) if isinstance(inner, ast.AnnAssign)]
        declared += [(ast.unparse(assignment.target), assignment.annotation) for assignment in assigned]
        self.messages.append({name for name, annotation in declared if self.holds_messages(annotation)})
        self.read_inside(names, node.body)
        self.messages.pop()

    def read_lambda(self, node: ast.Lambda) -> None:
        self.tokens.append("Lambda")
        self.read_arguments(node.args, is_typed=False)
        self.read_inside(dict.fromkeys(argument.arg for argument in _arguments(node.args)), node.body)

    def read_arguments(self, arguments: ast.arguments, is_typed: bool) -> None:
        for group in (arguments.posonlyargs, arguments.args, [arguments.vararg], arguments.kwonlyargs, [arguments.kwarg]):
            self.tokens.append("[")
            for argument in group:
                self.tokens.append(argument.arg if argument else "")
                self.note_types(argument.annotation if argument else None)
                self.read(argument.annotation if argument and is_typed else None)
            self.tokens.append("]")
        self.read(arguments.defaults)
        self.read(arguments.kw_defaults)

    def read_comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> None:
        self.tokens.append(type(node).__name__)
        # The first iterable is evaluated in the outer scope.
        self.read(node.generators[0].iter)
        names = dict.fromkeys(name for generator in node.generators for name in _stored(generator.target))
        parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        rest = [
            [generator.target, generator.iter if number else None, generator.ifs, generator.is_async]
            for number, generator in enumerate(node.generators)
        ]
        self.read_inside(names, parts, rest)


READERS: dict[type[ast.AST], Callable[[_Reader, Any], None]] = {
    ast.Name: _Reader.read_name,
    ast.Attribute: _Reader.read_attribute,
    ast.Constant: _Reader.read_constant,
    ast.Pass: _Reader.read_nothing,
    ast.Expr: _Reader.read_expression,
    ast.Call: _Reader.read_call,
    ast.Raise: _Reader.read_raise,
    ast.Assert: _Reader.read_assert,
    ast.Import: _Reader.read_import,
    ast.ImportFrom: _Reader.read_import,
    ast.AnnAssign: _Reader.read_annotated,
    ast.ClassDef: _Reader.read_class,
    ast.FunctionDef: _Reader.read_function,
    ast.AsyncFunctionDef: _Reader.read_function,
    ast.Lambda: _Reader.read_lambda,
    **dict.fromkeys((ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp), _Reader.read_comprehension),
}


def _run(statements: Iterable[Any]) -> Iterator[Any]:
    """Yield `statements`, without those that only type checkers see."""
    for statement in statements:
        if isinstance(statement, ast.If) and (_dotted(statement.test, str) or "").endswith("TYPE_CHECKING"):
            yield from statement.orelse
        else:
            yield statement


def _dotted(node: ast.AST, lookup: Callable[[str], str | None]) -> str | None:
    """Return the dotted path that a name with its attributes leads to, if `lookup` knows the name."""
    attributes = ""
    while isinstance(node, ast.Attribute):
        attributes = f".{node.attr}{attributes}"
        node = node.value
    path = lookup(node.id) if isinstance(node, ast.Name) else None
    return path and path + attributes


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str]]:
    """Yield each name that an import defines, and the dotted path that it leads to."""
    for alias in node.names:
        if isinstance(node, ast.ImportFrom):
            yield alias.asname or alias.name, f"{'.' * node.level}{node.module or ''}.{alias.name}"
        elif alias.asname:
            yield alias.asname, alias.name
        else:
            yield (package := alias.name.partition(".")[0]), package


def _modules_of(node: ast.Import | ast.ImportFrom) -> list[str]:
    """Return the dotted paths in an import that may be modules."""
    names = [alias.name for alias in node.names]
    return names if isinstance(node, ast.Import) else [f"{node.module}", *(f"{node.module}.{name}" for name in names)]


def _bound(statements: Iterable[Any]) -> Iterator[tuple[str, str | None]]:
    """Yield each name that `statements` define in their own scope, and the path that it leads to if it is imported."""
    for node in statements:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, None
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from _imported(node)
        elif isinstance(node, ast.Expr | ast.Return | ast.Raise):
            continue
        elif isinstance(node, ast.Global):
            yield from ((name, GLOBAL) for name in node.names)
        else:
            targets = [*getattr(node, "targets", ()), getattr(node, "target", None), getattr(node, "pattern", None)]
            for target in (*targets, *(item.optional_vars for item in getattr(node, "items", ()))):
                yield from ((name, None) for name in _stored(target))
            if isinstance(node, ast.ExceptHandler) and node.name:
                yield node.name, None
            for block in ("body", "orelse", "finalbody", "handlers", "cases"):
                yield from _bound(getattr(node, block, ()))


def _stored(target: ast.AST | None) -> Iterator[str]:
    """Yield the names that the `target` of an assignment or a `case` defines."""
    if isinstance(target, ast.Name):
        yield target.id
        return
    for node in ast.walk(target) if target else ():
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.MatchAs | ast.MatchStar) and node.name:
            yield node.name
        elif isinstance(node, ast.MatchMapping) and node.rest:
            yield node.rest


def _arguments(arguments: ast.arguments) -> list[ast.arg]:
    candidates = [*arguments.posonlyargs, *arguments.args, arguments.vararg, *arguments.kwonlyargs, arguments.kwarg]
    return [argument for argument in candidates if argument]


def _sets_inside(node: ast.Assign | ast.AnnAssign | ast.AugAssign) -> bool:
    """Return whether an assignment changes an attribute or an item."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return any(isinstance(part, ast.Attribute | ast.Subscript) for target in targets for part in ast.walk(target))
