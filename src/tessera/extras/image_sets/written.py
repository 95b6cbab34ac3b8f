"""Captions that exist: in files beside pictures or in a folder of their own, found by the names of the pictures."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple, TypeVar

import polars as pl
import yaml

from tessera.core.archives import File, file_of_folder, leaves
from tessera.core.errors import Failed
from tessera.core.files import file_name, files_below, without_suffix
from tessera.core.names import pair_names
from tessera.extras.image_sets.caption_settings import BESIDE, CAPTION_SUFFIXES

MAX_BYTES = 2**20  # of a file with one caption
MAX_TABLE_BYTES = 2**28  # of a file with the captions of many pictures
TABLE = "metadata.jsonl"
OF_NONE = "caption of no picture"
KEYS = ("main_prompt", "caption")  # of EveryDream2's YAML
T = TypeVar("T")
Fault = tuple[str, str, str]  # key, reason and detail of a row of the ledger that is about no picture


class Written(NamedTuple):
    """Captions that exist. `texts`: by the key of a picture. `remarks`: reason and detail for its row. `faults`: other rows."""

    texts: dict[str, str]
    remarks: dict[str, tuple[str, str]]
    faults: list[Fault]


class Caption(NamedTuple):
    """A caption, and where it is written, for messages."""

    text: str
    where: str


def captions_of_frames(frames: pl.DataFrame, sources: Mapping[str, Path], files: Path | str) -> Written:
    """Return the captions of `frames`: the columns `key`, `source` and `name` of `tables.Frames`.

    `sources`: the folder of each source. `files`: `BESIDE`, to look in these folders, or a folder with files for the pictures
    at the same relative paths, which has a folder for each source, or is one for all.
    """
    pictures_by_folder: dict[Path, list[tuple[str, str]]] = defaultdict(list)
    for key, source, name in frames.filter(pl.col("source").is_in(list(sources)), pl.col("name").is_not_null()).iter_rows():
        top = sources[source] if files == BESIDE else Path(files) / file_name(source)
        pictures_by_folder[top if files == BESIDE or top.is_dir() else Path(files)].append((key, name))
    written = Written({}, {}, [])
    for top, pictures in sorted(pictures_by_folder.items()):
        captions = captions_in([file_of_folder(path, top) for path in files_below(top, CAPTION_SUFFIXES)], pictures)
        written.texts.update(captions.texts)
        written.remarks.update(captions.remarks)
        written.faults.extend((f"{top.name}/{key}", reason, detail) for key, reason, detail in captions.faults)
    return written


def captions_in(files: Sequence[File], pictures: Sequence[tuple[str, str]]) -> Written:
    """Return the captions in `files` of `pictures`, the key and the relative path of each.

    The first of these counts: `NAME.txt`, `NAME.caption`, `NAME.yaml` or `.yml`, a line of `metadata.jsonl`. Equal names go
    first, then those that are equal in composed letters or differ in case; a file that may belong to several pictures, or one
    of several that may belong to a picture, belongs to none.
    """
    faults: list[Fault] = [(file.name, file.fault, f"{file.shown}; leave it out") for file in files if file.fault]
    usable = [file for file in files if not file.fault]
    tables = [file for file in usable if file.path.name == TABLE]
    captions: dict[str, list[Caption]] = defaultdict(list)
    for suffixes, read in (((".txt",), _text), ((".caption",), _text), ((".yaml", ".yml"), _yaml)):
        sidecars = [(_stem(file.name), file.shown, file) for file in usable if file.suffix in suffixes]
        for name, each in _paired([(_stem(name), name) for _, name in pictures], sidecars, faults).items():
            try:
                caption = Caption(read(each), each.shown)
                captions[name].append(caption)
            except Failed as fault:
                faults.append((each.name, fault.reason, f"{each.shown}: {fault.detail}"))
    lines = [line for table in tables for line in _lines(table, faults)]
    for name, line in _paired([(name, name) for _, name in pictures], lines, faults).items():
        captions[name].append(line)
    texts: dict[str, str] = {}
    remarks: dict[str, tuple[str, str]] = {}
    for key, name in pictures:
        if name in captions:
            first, *others = captions[name]
            texts[key] = clean = " ".join(first.text.replace("\0", "").replace("\ufeff", "").split())
            unused = [each.where for each in others if each.text.split() != first.text.split()]
            if unused:
                remarks[key] = "several captions", f"that of {first.where} is used, not that of {', '.join(unused)}"
            elif clean != first.text.strip():
                remarks[key] = "caption cleaned", f"{first.where}: NUL, a byte order mark, a line break or spaces"
    return Written(texts, remarks, faults)


def _paired(pictures: Sequence[tuple[str, str]], captions: Iterable[tuple[str, str, T]], faults: list[Fault]) -> dict[str, T]:
    """Return the caption of each picture, by its path, and add what belongs to none, or not surely to one, to `faults`.

    `pictures`: what is compared with the names of `captions`, and the path of each. `captions`: the name, the place for
    messages and the caption of each.
    """
    of_name: dict[str, list[tuple[str, T]]] = defaultdict(list)
    for name, where, caption in captions:
        of_name[name].append((where, caption))
    paths: dict[str, list[str]] = defaultdict(list)
    for name, path in dict.fromkeys(pictures):
        paths[name].append(path)
    pairs = {theirs: mine for mine, theirs in pair_names(paths, of_name).items()}
    copies = Counter(path for _, path in pictures)
    chosen: dict[str, T] = {}
    for name, namesakes in of_name.items():
        where, caption = namesakes[0]
        meant = paths[pairs[name]] if name in pairs else []
        if len(namesakes) > 1:
            faults.append((name, "several captions of one name", f"{where} and {len(namesakes) - 1:,} more; keep one"))
        elif len(meant) > 1 or any(copies[path] > 1 for path in meant):
            faults.append((name, "several pictures of one name", f"{where} may belong to {', '.join(meant)}; rename them"))
        elif meant:
            chosen[meant[0]] = caption
        else:
            faults.append((name, OF_NONE, f"{where}: no picture has this name, or it is not known which"))
    return chosen


def _stem(name: str) -> str:
    return without_suffix(PurePosixPath(name)).as_posix()


def _decoded(file: File, most: int) -> str:
    try:
        return file.read(most).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Failed("broken caption", f"not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from None


def _text(file: File) -> str:
    return _decoded(file, MAX_BYTES)


def _yaml(file: File) -> str:
    """Return the caption in a YAML file of EveryDream2: its main prompt or caption, and its tags without their weights."""
    try:
        # Nodes are read without building objects from them: nested aliases could fill the memory.
        node = yaml.compose(_decoded(file, MAX_BYTES), yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise Failed("broken caption", f"no YAML ({' '.join(str(error).split())[:200]}); correct it") from None
    values = {key.value: value for key, value in _mapping(node)}
    said = [values[key].value for key in KEYS if isinstance(values.get(key), yaml.ScalarNode)][:1]
    tags = values.get("tags")
    for each in tags.value if isinstance(tags, yaml.SequenceNode) else ():
        tag = next((value for key, value in _mapping(each) if key.value == "tag"), each)
        said += [tag.value] if isinstance(tag, yaml.ScalarNode) else []
    if not said:
        raise Failed("broken caption", f"it has none of {', '.join(KEYS)} and tags; add one")
    return ", ".join(part.strip() for part in said if part.strip())


def _mapping(node: yaml.Node | None) -> list[tuple[yaml.Node, yaml.Node]]:
    return [pair for pair in node.value if isinstance(pair[0], yaml.ScalarNode)] if isinstance(node, yaml.MappingNode) else []


def _lines(table: File, faults: list[Fault]) -> Iterator[tuple[str, str, Caption]]:
    """Yield the path of the picture, below the top, and the caption of each line of `table`."""
    try:
        text = _decoded(table, MAX_TABLE_BYTES)
    except Failed as fault:
        faults.append((table.name, fault.reason, f"{table.shown}: {fault.detail}"))
        return
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{table.shown}, line {number}"
        try:
            row = json.loads(line)
            name, caption = row["file_name"], row["text"]
            if not isinstance(name, str) or not isinstance(caption, str):
                raise TypeError
        except (ValueError, RecursionError):
            faults.append((f"{table.name}#{number}", "broken caption", f"{where}: no JSON; correct it"))
        except (TypeError, KeyError):
            faults.append((f"{table.name}#{number}", "broken caption", f"{where}: it needs texts file_name and text"))
        else:
            if leaves(name):
                faults.append((f"{table.name}#{number}", "path leaves the folder", f"{where}: {name!r:.200}; correct it"))
            else:
                yield (table.path.parent / name).as_posix(), where, Caption(caption, where)
