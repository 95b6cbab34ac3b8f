"""The names of the classes that a set numbers, from the files of the set that state them."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import yaml

from tessera.core.archives import File
from tessera.core.errors import Failed, TesseraError
from tessera.core.log import tell
from tessera.core.messages import did_you_mean, truncate
from tessera.records.label_sets import ANY, LabelledSet, PictureSet, class_of

MAX_TEXT_BYTES = 2**20  # of a file that describes a set, and of a label file
LISTS = {"classes.txt", "_darknet.labels"}  # files with one class name per line, as is each *.names
SHOWN = 20  # labels that a message lists
BACKGROUND = {"background", "_background_", "__background__", "bg"}


@dataclass(frozen=True)
class Described:
    """What the files of a set state about its classes.

    `names`: by number. `where`: the files that state them, for messages; empty if none does. `lost`: files with names that are
    named, and missing. `keypoints`: `kpt_shape` of a set of poses.
    """

    names: Mapping[int, str] = field(default_factory=dict)
    where: str = ""
    lost: str = ""
    keypoints: tuple[int, int] | None = None


def read_described(files: Sequence[File], label_set: LabelledSet, labels: Collection[str] = ()) -> Described:
    """Return what `files` of `label_set` state about its classes. `labels`: the names of its label files.

    Names are read from the topmost YAML files, as a list, by number, or as a path; from `classes.txt`, `*.names`, the file that
    `*.data` of darknet names, and `notes.json` of Label Studio. Raises `TesseraError` if such a file cannot be read, or if two
    contradict each other.
    """
    files = [file for file in files if file.name not in labels]
    stated: list[tuple[str, dict[int, str]]] = []
    lost: list[str] = []
    keypoints: dict[tuple[int, int], str] = {}

    def follow(file: File, path: str) -> None:
        if (named := _named_file(path, file, files)) is None:
            lost.append(f"{file.shown} names {path!r:.100}, which is missing")
        else:
            stated.append((named.shown, _lines(named, label_set)))

    for file, content in described_files(files, label_set):
        for key, node in content:
            if key == "kpt_shape":
                keypoints[_keypoints(node, file, label_set)] = file.shown
            elif key == "names" and isinstance(node, yaml.CollectionNode):
                stated.append((file.shown, _names(node, file, label_set)))
            elif key == "names" and node.value.strip() and node.value.strip().casefold() not in {"null", "~"}:
                follow(file, node.value.strip())
    for file in files:
        if file.path.name.casefold() in LISTS or file.suffix == ".names":
            stated.append((file.shown, _lines(file, label_set)))
        elif file.suffix == ".data":
            for path in _darknet(file, label_set).get("names", ()):
                follow(file, path)
        elif file.path.name.casefold() == "notes.json":
            stated.append((file.shown, _notes(file, label_set)))
    names: dict[int, str] = {}
    where: list[str] = []
    for shown, each in stated:
        if each and shown not in where:
            _check_same(label_set, " and ".join(where), names, shown, each)
            names |= each
            where.append(shown)
    if len(keypoints) > 1:
        raise TesseraError(f"{label_set.name!r}: {' and '.join(keypoints.values())} state different `kpt_shape`; correct one")
    return Described(dict(sorted(names.items())), " and ".join(where), "; ".join(lost), next(iter(keypoints), None))


def read_values(files: Sequence[File], label_set: LabelledSet) -> Described:
    """Return what `files` of a set of masks state about the values of pixels: 0 is the background, and is not among the names.

    Names are those of `read_described`, or of the lines `NAME:…` of `labelmap.txt`. Raises `TesseraError` as there, and if
    they do not say that 0 is the background, so that it is not clear which value the first name has.
    """
    described = read_described(files, label_set)
    for file in files:
        if file.path.name.casefold() == "labelmap.txt":
            lines = [line for line in text_of(file, label_set).splitlines() if line.strip() and not line.startswith("#")]
            names = {number: line.partition(":")[0].strip() for number, line in enumerate(lines)}
            _check_same(label_set, described.where, described.names, file.shown, names)
            described = Described({**described.names, **names}, " and ".join(filter(None, [described.where, file.shown])))
    first = described.names.get(0)
    if first is not None and first.casefold() not in BACKGROUND:
        raise TesseraError(
            f"{label_set.name!r}: {described.where} gives 0 the name {first!r}, and 0 is the background in masks. Write in the"
            " settings of the set what each value means, such as `classes: {1: NAME}`, and remove the file"
        )
    return Described({number: name for number, name in described.names.items() if number}, described.where, described.lost)


def described_files(files: Sequence[File], label_set: LabelledSet) -> Iterator[tuple[File, list[tuple[str, Any]]]]:
    """Yield the topmost YAML files that describe a set, each with its keys and their nodes.

    Nodes are read without building objects from them: nested aliases could fill the memory. Raises `TesseraError` if a YAML
    file above or beside them cannot be read.
    """
    depth: int | None = None
    described = [file for file in files if file.suffix in (".yaml", ".yml")]
    for file in sorted(described, key=lambda file: (len(file.path.parts), file.name)):
        if depth is not None and len(file.path.parts) > depth:
            return
        try:
            content = yaml.compose(file.read(MAX_TEXT_BYTES), yaml.BaseLoader)
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError, Failed) as error:
            raise TesseraError(
                f"{label_set.name!r}: {file.shown} in {str(label_set.path)!r} cannot be read"
                f" ({' '.join(str(error).split())[:200]}); correct it, or remove it and set `classes` of the set"
            ) from None
        pairs = content.value if isinstance(content, yaml.MappingNode) else []
        entries = [(key.value, node) for key, node in pairs if isinstance(key, yaml.ScalarNode)]
        if {key for key, _ in entries} & {"names", "kpt_shape", "train", "val", "test"}:
            depth = len(file.path.parts)
            yield file, entries


def scalars(node: Any) -> list[str]:
    """Return the texts in a YAML `node`: its own, or those of a list."""
    nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
    return [
        each.value.strip() for each in nodes if isinstance(each, yaml.ScalarNode) and each.value.strip() not in {"", "null"}
    ]


def _names(node: Any, file: File, label_set: LabelledSet) -> dict[int, str]:
    """Return the names in a list, or in a mapping by number, whatever the order of its keys. Other values are no names."""
    if isinstance(node, yaml.SequenceNode):
        return {number: each.value.strip() for number, each in enumerate(node.value) if isinstance(each, yaml.ScalarNode)}
    names: dict[int, str] = {}
    for key, each in node.value:
        if not (isinstance(key, yaml.ScalarNode) and key.value.strip().isdecimal()):
            raise TesseraError(
                f"{label_set.name!r}: {file.shown}: `names` has the key {str(key.value)[:40]!r}, which is no class number;"
                " write NUMBER: NAME"
            )
        if isinstance(each, yaml.ScalarNode):
            number, name = int(key.value), each.value.strip()
            if names.setdefault(number, name) != name:
                raise TesseraError(f"{label_set.name!r}: {file.shown}: `names` has the number {number} twice; remove one")
    return names


def _keypoints(node: Any, file: File, label_set: LabelledSet) -> tuple[int, int]:
    numbers = [int(each) for each in scalars(node) if each.isdecimal() and len(each) < 5]
    if len(numbers) != 2 or numbers[0] < 1 or numbers[1] not in (2, 3):
        raise TesseraError(f"{label_set.name!r}: {file.shown}: `kpt_shape` should be [number of keypoints, 2 or 3]; correct it")
    return numbers[0], numbers[1]


def text_of(file: File, label_set: LabelledSet, most: int = MAX_TEXT_BYTES) -> str:
    """Return the text of a `file` that describes the set. Raises `TesseraError` if it is not UTF-8, or too large."""
    try:
        return file.read(most).decode("utf-8-sig")
    except (UnicodeDecodeError, Failed) as error:
        raise TesseraError(
            f"{label_set.name!r}: {file.shown} cannot be read ({' '.join(str(error).split())[:200]}); save it as UTF-8"
        ) from None


def _lines(file: File, label_set: LabelledSet) -> dict[int, str]:
    # An empty line is a number without a name, so that it moves no name after it.
    return {number: line.strip() for number, line in enumerate(text_of(file, label_set).splitlines()) if line.strip()}


def _darknet(file: File, label_set: LabelledSet) -> dict[str, list[str]]:
    """Return the values in a file of darknet, such as obj.data, with lines `key = value`."""
    options: dict[str, list[str]] = {}
    for line in text_of(file, label_set).splitlines():
        key, equals, value = line.partition("=")
        if equals and value.strip():
            options.setdefault(key.strip(), []).append(value.strip())
    return options


def darknet_files(files: Sequence[File], label_set: LabelledSet) -> Iterator[tuple[File, dict[str, list[str]]]]:
    """Yield the files of darknet that describe the set, each with its values."""
    for file in files:
        if file.suffix == ".data":
            yield file, _darknet(file, label_set)


def _notes(file: File, label_set: LabelledSet) -> dict[int, str]:
    """Return the categories in `notes.json`. The numbers are strings in some versions of Label Studio."""
    try:
        content = json.loads(text_of(file, label_set))
        categories = content.get("categories", []) if isinstance(content, dict) else []
        return {int(each["id"]): str(each["name"]).strip() for each in categories}
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise TesseraError(
            f"{label_set.name!r}: {file.shown}: its categories cannot be read ({str(error)[:100]}); correct or remove it"
        ) from None


def _named_file(path: str, beside: File, files: Sequence[File]) -> File | None:
    """Return the one of `files` whose path ends most like `path`, which the file `beside` states; None if there is none."""
    wanted = [part.casefold() for part in PurePosixPath(path.replace("\\", "/")).parts]
    best = [(common, file) for file in files if (common := common_end([part.casefold() for part in file.path.parts], wanted))]
    near = [each for each in best if each[1].path.parent == beside.path.parent] or best
    return max(near, key=lambda each: (each[0], -len(each[1].path.parts)))[1] if near else None


def common_end(parts: Sequence[str], other: Sequence[str]) -> int:
    """Return how many parts at the end of two paths are equal."""
    pairs = zip(reversed(parts), reversed(other), strict=False)
    return next((number for number, (part, other_part) in enumerate(pairs) if part != other_part), min(len(parts), len(other)))


def _check_same(label_set: LabelledSet, file: str, first: Mapping[int, str], other: str, second: Mapping[int, str]) -> None:
    """Raise `TesseraError` if two files give a number two names, or a name two numbers."""

    def shared(names: Mapping[int, str], others: Mapping[int, str]) -> dict[int, str]:
        known = set(others.values())
        return {number: name for number, name in names.items() if number in others or name in known}

    ours, theirs = shared(first, second), shared(second, first)
    if ours != theirs:
        number = min(number for number in {*ours, *theirs} if ours.get(number) != theirs.get(number))
        stated = [f"{names[number]!r}" if number in names else "not stated" for names in (ours, theirs)]
        raise TesseraError(
            f"{label_set.name!r}: {file} and {other} contradict each other: class {number} is {stated[0]} in one and"
            f" {stated[1]} in the other; remove the wrong file"
        )


def numbered(described: Described, label_set: LabelledSet) -> Callable[[int], str | None]:
    """Return a function that returns the label of a class number: the number if `classes` of the set has it, or its name.

    A number without a name is None if others have names. If none has, its label is no class, whatever the classes are.
    """
    keys = {int(key): key for key in label_set.classes if key.isdecimal()}

    def label(number: int) -> str | None:
        return keys.get(number) or described.names.get(number, None if described.names else f"{number} (no name)")

    return label


def stated_labels(described: Described, label_set: LabelledSet, used: Collection[int] = ()) -> dict[str, tuple[int, str]]:
    """Return the labels of the named and of the `used` class numbers, each with its number and its name, see `numbered`."""
    label = numbered(described, label_set)
    numbers = sorted({*described.names, *used})
    return {text: (number, described.names.get(number, "")) for number in numbers if (text := label(number)) is not None}


def check_keys(label_set: PictureSet, labels: Collection[str], shown: Collection[str] | None = None) -> None:
    """Raise `TesseraError` if a key of `classes` of a set is none of its `labels`. `shown`: those that the message lists."""
    for key in label_set.classes:
        if key != ANY and class_of(key, list(labels)) is None:
            known = sorted(set(labels if shown is None else shown))
            listed = ", ".join(truncate(list(map(repr, known)), SHOWN)) or "none"
            raise TesseraError(
                f"{label_set.name!r}: `classes` has {key!r}, which is no label of the set{did_you_mean(key, known) or '.'} Its"
                f" labels are {listed}"
            )


def check_keys_occur(label_set: PictureSet, labels: Collection[str], *, is_complete: bool, setting: str) -> None:
    """Raise `TesseraError` if `classes` of a set has a key that is none of its `labels`, which were read with its pictures.

    If some labels could not be read, they may have it: then it is only logged. A number may be that of a class without objects.
    """
    try:
        check_keys(label_set, {*labels, *(key for key in label_set.classes if key.isdecimal())}, labels)
    except TesseraError as error:
        if is_complete:
            raise TesseraError(f"{setting}: {error}") from None
        tell(f"{setting}: {error}, as far as they could be read")


def check_numbers(label_set: LabelledSet, described: Described, used: Collection[int] | None) -> None:
    """Raise `TesseraError` if a key of `classes` is no name or number of the set, or the number of one class and the name of
    another. `used`: the numbers that its labels use; None if they are not known yet.
    """
    names = described.names
    numbers = {str(number) for number in {*names, *(used or ())}}
    if used is None:
        numbers |= {key for key in label_set.classes if key.isdecimal()}
    for key in label_set.classes:
        if key.isdecimal() and key in names.values() and names.get(int(key)) != key and key in numbers:
            raise TesseraError(
                f"{label_set.name!r}: {key!r} in `classes` is the name of one class and the number of another"
                f" ({described.where}); rename the class"
            )
    check_keys(label_set, {*names.values(), *numbers}, names.values() or numbers)
