"""Write tab-separated tables, and read those that people write: all their faults are reported at once, each with its line."""

import csv
import io
import re
import stat
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

from pydantic import AfterValidator, BaseModel, ValidationError

from tessera.core.errors import TesseraError
from tessera.core.files import look_alike
from tessera.core.messages import Message, did_you_mean, pluralize, truncate
from tessera.core.settings import complaint, without_passwords

M = TypeVar("M", bound=BaseModel)
Fault = tuple[int, str]
SHOWN = 100  # faults that are listed; more of them usually have one cause, and would fill the terminal
SHOWN_CHARACTERS = 200  # of a field in a message
FIELD_CHARACTERS = 2**20  # of a field; Python's own limit of 131,072 refuses long captions


def _as_day(value: str) -> str:
    try:
        day = date.fromisoformat(value).isoformat()
    except ValueError:
        day = ""
    if day != value:
        raise ValueError("should be a date such as 2024-12-31")
    return value


Day = Annotated[str, AfterValidator(_as_day)]  # a date in the form 2024-12-31


class Sheet(NamedTuple, Generic[M]):
    """A table that a person wrote. Each row and each fault comes with its line number."""

    rows: list[tuple[int, M]]  # the rows without a fault
    texts: list[tuple[int, dict[str, str]]]  # the fields of all rows, by column
    faults: list[Fault]


def read_sheet(path: Path, model: type[M], name: str, fix: str, columns: Sequence[str] | None = None) -> Sheet[M]:
    """Return the content of the file `path`, whose rows are instances of `model`, with all faults of the file.

    Fields that contain a tab, a quote or a newline are quoted as in CSV. Lines before the header that start with `#` are
    comments, also in the quotes that a spreadsheet puts around one with a comma. The order of the columns does not matter,
    and spreadsheets may have saved empty ones after the last. `columns`: those of a CSV without a header.
    Raises `TesseraError` if the file does not exist or cannot be read. The message calls it `name`, and ends with `fix`, which
    says how to fix it.
    """
    try:
        # Line endings stay as they are, because a field may contain one.
        text = Path(path).read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise TesseraError(f"{path}: no such {name}{look_alike(path) or f'; {fix}'}") from None
    except OSError as error:
        raise TesseraError(f"{path}: the {name} cannot be read ({error.strerror}); {fix}") from None
    except UnicodeDecodeError as error:
        raise TesseraError(
            f"{path}: not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8, as text and not as a workbook"
        ) from None
    lines = io.StringIO(text, newline="").readlines()  # not str.splitlines, which also splits at rarer separators
    if conflict := next((number for number, line in enumerate(lines, 1) if line.startswith("<<<<<<< ")), 0):
        return Sheet([], [], [(conflict, "a conflict that git left; keep the rows of both sides, and remove the three marks")])
    skipped = next((i for i, line in enumerate(lines) if not line.startswith(("#", '"#'))), len(lines))
    reader = csv.reader(lines[skipped:], delimiter="," if columns else "\t", strict=True)
    faults: list[tuple[int, Message]] = []
    rows: list[tuple[int, dict[str, str]]] = []
    has_header = False
    line = skipped + 1
    csv.field_size_limit(FIELD_CHARACTERS)
    try:
        header = list(columns) if columns else [name.strip() for name in next(reader, [])]
        while header and not header[-1]:
            header.pop()
        faults += [(line, fault) for fault in _header_faults(header, model)]
        has_header = not faults
        line = skipped + reader.line_num + 1
        for fields in reader:
            if len(fields) == 1 < len(header) and (separator := re.search("[,; ]", fields[0])):
                faults.append((line, f"the fields are separated by {separator[0]!r}; separate them with tabs"))
            elif any(fields):
                if any(fields[len(header) :]):
                    fix = "remove what is too much, or put a field that contains a tab in quotes"
                    faults.append((line, f"{pluralize(len(fields), 'fields')}, the header has {len(header)}; {fix}"))
                rows.append((line, dict(zip(header, fields, strict=False))))
            line = skipped + reader.line_num + 1
    except csv.Error as error:
        if "field limit" in str(error):
            message = f"a field of more than {FIELD_CHARACTERS:,} characters; shorten it, or close its quote"
        else:
            fix = 'close the quote, or write the field as "…" with each of its quotes doubled'
            message = f"a quote that is not closed, or not at the end of its field ({error}); {fix}"
        faults.append((line, message))
    valid: list[tuple[int, M]] = []
    for line, row in rows if has_header else []:
        try:
            valid.append((line, model.model_validate(row)))
        except ValidationError as error:
            for fault in error.errors(include_url=False):
                column = ".".join(map(str, fault["loc"]))
                value = repr(fault["input"])
                value = value if len(value) <= SHOWN_CHARACTERS else f"{value[:SHOWN_CHARACTERS]}…"
                faults.append((line, without_passwords(f"{column}: {complaint(fault)}; given: {value}")))
    return Sheet(valid, rows, faults)


def is_empty(path: Path) -> bool:
    """Return whether `path` is a regular file without a byte, as is left of one whose first row could not be written."""
    status = Path(path).stat()
    return stat.S_ISREG(status.st_mode) and not status.st_size


def read_shipped_sheet(path: Path, model: type[M], name: str, fix: str, default: Path) -> Sheet[M]:
    """Return the same for a table without which one can do: it is empty if the file has no bytes, or is `default` and missing.

    Raises `TesseraError` if another file does not exist.
    """
    path = Path(path)
    if is_empty(path) if path.exists() else path == default:
        return Sheet([], [], [])
    return read_sheet(path, model, name, f"{fix} (see config/README.md)")


def write_sheet(path: Path, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write `rows` to `path` in the format that `read_sheet` reads, below a header that names the `columns`."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter="\t", lineterminator="\n").writerows(chain([columns], rows))


def _header_faults(header: Sequence[str], model: type[BaseModel]) -> list[str]:
    if len(header) == 1 and (separator := re.search("[,; ]", header[0])):
        return [f"the columns are separated by {separator[0]!r}; separate columns with tabs"]
    required = [name for name, field in model.model_fields.items() if field.is_required()]
    allowed = ", ".join(model.model_fields)
    if not {name.casefold() for name in header} & set(model.model_fields):
        return [f"this is no header; the first line names the columns, separated by tabs: {allowed}"]
    counts = Counter(header)
    return [
        *(f"column {name!r} is missing" for name in required if name not in counts),
        *(
            f"unknown column {name!r}{did_you_mean(name, model.model_fields) or f'; allowed: {allowed}'}"
            for name in counts
            if name not in model.model_fields
        ),
        *(f"column {name!r} occurs twice" for name in sorted(name for name, count in counts.items() if count > 1)),
    ]


def refuse(path: Path, faults: Sequence[Fault]) -> None:
    """Raise `TesseraError` with the `faults` of the file `path`, sorted by line, if there are any."""
    if faults:
        listed = [f"line {line}: {fault}" for line, fault in sorted(faults, key=lambda fault: fault[0])]
        raise TesseraError("\n  ".join([f"{path} has {pluralize(len(faults), 'faults')}:", *truncate(listed, SHOWN)]))
