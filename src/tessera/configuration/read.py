"""Read the configuration, and check it as a whole."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import model_validator

from tessera.configuration.checks.active_learning import faults_in_active_learning
from tessera.configuration.checks.classifiers import faults_in_classifiers, faults_in_scoring
from tessera.configuration.checks.crops import faults_in_crops
from tessera.configuration.checks.datasets import faults_in_order, faults_in_sets
from tessera.configuration.checks.detectors import faults_in_clips, faults_in_mosaics, faults_in_targets
from tessera.configuration.checks.face_sets import faults_in_face_sets
from tessera.configuration.checks.identities import faults_in_identities
from tessera.configuration.checks.image_sets import faults_in_image_sets
from tessera.configuration.checks.models import faults_in_comparisons, faults_in_embeddings, faults_in_searches
from tessera.configuration.renamed import RENAMED
from tessera.configuration.sections import Sections
from tessera.core.errors import TesseraError
from tessera.core.files import look_alike
from tessera.core.settings import Keys, load

# In the order of their messages.
CHECKS = (
    faults_in_sets,
    faults_in_classifiers,
    faults_in_mosaics,
    faults_in_clips,
    faults_in_targets,
    faults_in_crops,
    faults_in_embeddings,
    faults_in_identities,
    faults_in_scoring,
    faults_in_order,
    faults_in_searches,
    faults_in_active_learning,
    faults_in_comparisons,
    faults_in_image_sets,
    faults_in_face_sets,
)


FILE = Path("config/config.yaml")  # the settings of a project
# By a part of what PyYAML says.
YAML_FIXES = {
    "cannot start any token": "put the value in quotes",
    "did not find expected hexdecimal number": "write a path with single quotes, or with / instead of \\",
    "did not find expected key": "indent the keys of a section alike, and write an apostrophe in single quotes twice",
    "expected <document start>": "indent the keys of a section alike, and others not at all",
    "mapping values are not allowed": "put a value that contains a colon in quotes, or end the line before with a colon",
    "unknown escape character": "write a path with single quotes, or with / instead of \\",
}


class Configuration(Sections, defer_build=False):
    """The settings in config/config.yaml."""

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        faults = [fault for check in CHECKS for fault in check(self)]
        if faults:
            raise ValueError("\n".join(faults))
        return self


def settings_files(named: Iterable[str | Path]) -> list[Path]:
    """Return the settings files of the project in the working folder: its own, if it has one, and those that are `named`."""
    return [path for path in dict.fromkeys([FILE, *map(Path, named)]) if path != FILE or path.exists()]


def check_settings_files(named: Iterable[str | Path], given: Mapping[str, Any]) -> None:
    """Read the settings files of the project in the working folder. Raises `TesseraError` for the faults of `read_settings`.

    `named`: those that the command line names. `given`: other settings. If there are none at all, a file that has almost the
    name of the project's own is a fault too: it would be ignored.
    """
    files = settings_files(named)
    if not files and not given and (meant := look_alike(FILE)):
        raise TesseraError(f"{FILE}: no such file{meant}")
    for path in files:
        read_settings(path)


def read_settings(path: Path) -> dict[str, Any]:
    """Return the settings in the YAML file `path`.

    Raises `TesseraError` that names the line of a fault, or of a key that is given twice: YAML would keep only the last.
    """
    try:
        text = Path(path).read_bytes().decode()
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)  # in C, which is faster
        try:
            node = loader.get_single_node()
            _check_keys(node, path)
            values = node and loader.construct_document(node)
        finally:
            loader.dispose()
    except OSError as error:
        meant = "" if path.exists() else look_alike(path)
        raise TesseraError(f"{path}: cannot be read ({error.strerror}){meant or '; fix the path'}") from None
    except UnicodeDecodeError as error:
        raise TesseraError(f"{path}: not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise TesseraError(f"{path}: {position}{error.problem}; {_yaml_fix(error, text)}") from None
    except yaml.YAMLError as error:
        raise TesseraError(f"{path}: not YAML ({' '.join(str(error).split())}); remove this character") from None
    if not isinstance(values, dict):
        raise TesseraError(f"{path}: holds no settings; write keys and values such as `seed: 1`")
    return values


def _yaml_fix(error: yaml.MarkedYAMLError, text: str) -> str:
    """Return how to fix what `error` says of the `text` of a settings file."""
    mark, start = error.problem_mark or error.context_mark, error.context_mark
    before = "".join(text.splitlines()[mark.line : mark.line + 1])[: mark.column + 1] if mark else ""
    if re.search("^(<<<<<<<|>>>>>>>) ", text, re.MULTILINE):
        return "a conflict that git left: keep what belongs to one side, and remove the three marks"
    if "\t" in before:
        return "indent with spaces instead of tabs"
    if start and "unexpected end of stream" in str(error.problem):
        return f"close the quote that begins in line {start.line + 1}"
    return next(
        (fix for problem, fix in YAML_FIXES.items() if problem in str(error.problem)), "fix the YAML there or shortly before"
    )


def _check_keys(node: yaml.Node | None, path: Path) -> None:
    """Raise `TesseraError` if a key in `node`, or in what it contains, is given twice, or a number is not what it shows."""
    nodes, visited = [node], set()
    while nodes:
        node = nodes.pop()
        if id(node) in visited:  # an alias
            continue
        visited.add(id(node))
        if isinstance(node, yaml.ScalarNode):
            _check_number(node, path)
        elif isinstance(node, yaml.SequenceNode):
            nodes += node.value
        elif isinstance(node, yaml.MappingNode):
            lines: dict[str, int] = {}
            for key, value in node.value:
                nodes.append(value)
                if not isinstance(key, yaml.ScalarNode):
                    continue
                line = key.start_mark.line + 1
                if key.value in lines:
                    raise TesseraError(
                        f"{path}: line {line}: the key {key.value!r} is given twice, first in line {lines[key.value]}, and only"
                        " one would count; write what belongs to both under one of them"
                    )
                lines[key.value] = line


def _check_number(node: yaml.ScalarNode, path: Path) -> None:
    """Raise `TesseraError` if YAML would read `node` as another number than it shows: 010 as 8, and 1:30 as 90."""
    if node.tag.endswith((":int", ":float")) and (":" in node.value or re.fullmatch(r"[-+]?0[0-7_]+", node.value)):
        raise TesseraError(
            f"{path}: line {node.start_mark.line + 1}: YAML reads {node.value} as another number; write the number without"
            " leading zeros and colons, or put the text in quotes"
        )


def load_configuration(values: dict[str, Any], files: Sequence[Path] = ()) -> dict[str, Any]:
    """Return `values` with all defaults filled in, as plain JSON types.

    `files`: the settings files that the values are from. Raises `TesseraError` that lists all faults, with their lines.
    """
    locate = partial(_locate, files=files)
    return load(Configuration, values, "the configuration", locate=locate, renamed=RENAMED).model_dump(mode="json")


def _locate(keys: Keys, files: Sequence[Path]) -> str:
    """Return the line of the setting at `keys` in the last of `files` that states it, empty if none does."""
    for path in reversed(files):
        node, line = yaml.compose(path.read_bytes(), yaml.SafeLoader), None
        for key in keys:
            if isinstance(node, yaml.MappingNode):
                matching = [(name, value) for name, value in node.value if name.value == str(key)]
                if not matching:
                    break
                line, node = matching[-1][0].start_mark.line, matching[-1][1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
                node = node.value[key]
                line = node.start_mark.line
            else:
                break
        else:
            if line is not None:
                return f"{path}: line {line + 1}: "
    return ""
