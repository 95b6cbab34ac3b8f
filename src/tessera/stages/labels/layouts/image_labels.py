"""Sets whose images have labels as a whole: a folder per class, a table, flags of labelme, or choices of Label Studio."""

import csv
import io
from collections import defaultdict
from collections.abc import Sequence
from functools import partial

from tessera.core.archives import MAX_TEXT_BYTES, File, leaves
from tessera.core.errors import Dropped, Failed, TesseraError
from tessera.records.annotation.formats.label_studio import Task, read_choices
from tessera.stages.labels.layouts.item import Item, failed, given
from tessera.stages.labels.layouts.label_studio import read_exports
from tessera.stages.labels.layouts.labelme import Document, read_documents
from tessera.stages.labels.pictures import ClassFolders, Pictures, is_picture

SEPARATORS = {".tsv": "\t", ".csv": ","}


def read_folders(files: Sequence[File], question: str) -> list[Item[list[str]]]:
    """A folder for each class, directly in the set or in folders of splits, also in those of rounds; see `ClassFolders`."""
    pictures = list(filter(is_picture, files))
    folders = ClassFolders(file.path for file in pictures)
    items: list[Item[list[str]]] = []
    for file in pictures:
        if label := folders.label(file.path):
            items.append(Item(file.name, partial(given, file), partial(_stated, [label])))
        else:
            fault = Dropped("unlabelled", f"{file.shown} lies in no folder of a class; move it into one")
            items.append(failed(file.name, fault, [file]))
    return items


def read_tables(files: Sequence[File], question: str) -> list[Item[list[str]]]:
    """Tables, `.tsv` or `.csv`, with the columns `path` and `label` or `score`. Images are found by the end of `path`.

    Raises `TesseraError` if there is no table.
    """
    pictures = Pictures(filter(is_picture, files))
    tables = [file for file in files if file.suffix in SEPARATORS]
    if not tables:
        raise TesseraError("it contains no .tsv or .csv file with the columns path and label or score; add one")
    items: list[Item[list[str]]] = []
    stated: dict[str, tuple[File, list[str]]] = {}
    for table in tables:
        try:
            rows = _rows(table)
        except Failed as fault:
            items.append(failed(table.name, fault, [table]))
            continue
        for number, path, value in rows:
            name = path.replace("\\", "/").lstrip("/")
            try:
                if leaves(name):
                    raise Failed("path leaves the set", f"{table.shown}, line {number}: {path!r:.200}; correct it")
                picture = pictures.find(name, table.path)
            except Failed as fault:
                items.append(failed(f"{table.name}#{number}", fault))
            else:
                stated.setdefault(picture.name, (picture, []))[1].append(value)
    return [*items, *(Item(name, partial(given, file), partial(_stated, values)) for name, (file, values) in stated.items())]


def read_flags(files: Sequence[File], question: str) -> list[Item[list[str]]]:
    """labelme files, whose flag that is set is the label."""
    return read_documents(files, Document.flags)


def read_answers(files: Sequence[File], question: str) -> list[Item[list[str]]]:
    """Exports of Label Studio with choices, ratings or numbers for the `question`, a name in the labelling configuration."""
    return read_exports(files, partial(_answers, question))


def _answers(question: str, task: Task, key: str, width: int, height: int) -> list[str]:
    return read_choices(task, question)


def _stated(labels: list[str], key: str, width: int, height: int) -> list[str]:
    return labels


def _rows(table: File) -> list[tuple[int, str, str]]:
    """Return the line, the path and the label or score of each row of `table`. Raises `Failed` if it cannot be read."""
    try:
        text = table.read(MAX_TEXT_BYTES).decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=SEPARATORS[table.suffix], strict=True)
        columns = defaultdict(int, dict.fromkeys(reader.fieldnames or (), 1))
        value = "label" if columns["label"] else "score"
        if not columns["path"] or columns["label"] + columns["score"] != 1:
            raise Failed("no such columns", f"{table.shown}: the columns are path, and label or score; correct the first line")
        return [(reader.line_num, (row["path"] or "").strip(), (row[value] or "").strip()) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise Failed("broken table", f"{table.shown}: {error}; save it as UTF-8, with tabs (.tsv) or commas (.csv)") from None
