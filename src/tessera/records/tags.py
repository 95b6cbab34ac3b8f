"""Tags: when two names are those of one tag, and the tag lists of models."""

import csv
import difflib
import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from tessera.core.errors import Failed, TesseraError
from tessera.core.files import open_file
from tessera.core.log import tell
from tessera.learning.weights.resolve import verify_weights

# The numbers that Danbooru gives to categories, and 9, by which WD14 marks ratings.
CATEGORIES = {0: "general", 1: "artist", 3: "copyright", 4: "character", 5: "meta", 9: "rating"}
COLUMNS = "name", "category"
SHOWN = 10  # unknown tags that are named
LARGEST = 1 << 26  # bytes of a tag list; that of WD14 has less than a thousandth


def readable(tag: str) -> str:
    """Return `tag` with spaces in place of underscores, unless it is an emoticon such as `^_^`, which has no word."""
    return same_tag(tag) if re.search(r"[^\W_]{2}", tag) else tag


def same_tag(tag: str) -> str:
    """Return what the names of one tag have in common, such as `long_hair` and `long hair`, or `a_(b)` and `a \\(b\\)`."""
    return " ".join(re.sub(r"\\+([()])", r"\1", tag).replace("_", " ").split())


def unknown_tags(stated: Mapping[str, Iterable[str]], known: "Iterable[Tag]") -> list[str]:
    """Return a message for each of the `stated` tags, by their setting, that is none of those `known` to the tagger."""
    names = {same_tag(tag.name): tag.name for tag in known if tag.name}
    messages = []
    for setting, tags in stated.items():
        unknown = [tag for tag in dict.fromkeys(tags) if same_tag(tag) not in names]
        for tag in unknown[:SHOWN]:
            near = difflib.get_close_matches(same_tag(tag), names, 1)
            hint = f"did you mean {names[near[0]]!r}?" if near else "correct or remove it"
            messages.append(f"`{setting}`: the tagger has no tag {tag!r}; {hint}")
        if len(unknown) > SHOWN:
            messages.append(f"`{setting}`: {len(unknown) - SHOWN:,} more tags that the tagger does not have")
    return messages


class Tag(NamedTuple):
    """A tag: its name and its category, a value of `CATEGORIES`. Both are empty where the list has a row without a name."""

    name: str
    category: str


def read_tags(path: Path, expected: str | None = None) -> list[Tag]:
    """Return the tags in the file `path`, in its order. `expected`: its sha256, if it was not verified before.

    The format is that of `selected_tags.csv` of WD14 (https://huggingface.co/SmilingWolf): CSV with a header, of which the
    columns `name` and `category` are used. A row without a name keeps its position, because scores have the same positions; it
    is logged. Raises `TesseraError` if the sha256 differs, or the file is not such a list.
    """
    if expected is not None:
        verify_weights(path, expected)
    try:
        with open_file(path) as file:
            content = file.read(LARGEST + 1)
        text = content.decode("utf-8-sig")
        if len(content) > LARGEST:
            raise _not_a_list(path, f"it has more than {LARGEST} bytes")
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    except (Failed, UnicodeDecodeError, csv.Error) as error:
        raise _not_a_list(path, str(error)) from error
    if not rows or any(column not in rows[0] for column in COLUMNS):
        raise _not_a_list(path, f"it needs a header with {' and '.join(COLUMNS)}, and a row for each tag")
    tags = []
    for number, row in enumerate(rows, 1):
        name, category = (row[column] or "" for column in COLUMNS)
        if not name.strip():
            tell(f"{path}: row {number} has no name: its scores are not used")
            tags.append(Tag("", ""))
            continue
        if not name.isprintable():
            raise _not_a_list(path, f"the tag {name!r} in row {number} has control characters")
        if not category.isascii() or not category.isdigit() or int(category[:9]) not in CATEGORIES:
            known = ", ".join(f"{each} ({meaning})" for each, meaning in CATEGORIES.items())
            raise _not_a_list(path, f"the tag {name!r} in row {number} has the category {category!r}; known are {known}")
        tags.append(Tag(name, CATEGORIES[int(category)]))
    named = Counter(tag.name for tag in tags if tag.name)
    if not named:
        raise _not_a_list(path, "no row has a name")
    name, count = named.most_common(1)[0]
    if count > 1:
        raise _not_a_list(path, f"the tag {name!r} occurs {count} times")
    return tags


def _not_a_list(path: Path, reason: str) -> TesseraError:
    return TesseraError(f"{path}: not a tag list ({reason}); declare the `selected_tags.csv` of the model in `tagger.tags`")
