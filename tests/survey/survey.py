"""Compare what Tessera reads from many videos with FFmpeg's own decode, and print a table.

Generated films are written into a folder once. Other folders of videos can be given too. The exit status is 1 if a difference
is unexplained.
"""

import json
import os
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from fnmatch import fnmatch
from pathlib import Path
from subprocess import CalledProcessError, TimeoutExpired
from traceback import format_exc
from typing import NamedTuple

from compare import CHECKS, Film, read, summary
from recipes import Recipe, recipes, write
from rules import explained

from tessera.core.errors import Failed


class Row(NamedTuple):
    """What the table says of a film. `reasons`: of differences that are explained. `unexplained`: the others."""

    name: str
    codec: str
    frames: str
    checks: str
    reasons: list[str]
    unexplained: list[str]


def generate(folder: Path) -> dict[str, str]:
    """Write the films that are not in `folder`. Return those that FFmpeg cannot write, and why."""
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / "recipes.json"
    known: dict[str, list[str]] = json.loads(record.read_text()) if record.exists() else {}
    todo = []
    for recipe in recipes():
        text = str([step for step in recipe.steps if isinstance(step, str)])
        if known.get(recipe.name, [""])[0] != text:
            todo.append((recipe, text))
    try:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for (recipe, text), error in zip(todo, pool.map(lambda each: _write(each[0], folder), todo), strict=True):
                known[recipe.name] = [text, error]
    finally:
        record.write_text(json.dumps(known, indent=0))
    return {name: error for name, (_, error) in known.items() if error}


def _write(recipe: Recipe, folder: Path) -> str:
    """Write the film of `recipe` into `folder`. Return why FFmpeg cannot, or nothing."""
    with tempfile.TemporaryDirectory(dir=folder) as room:
        try:
            write(recipe, Path(room))
        except CalledProcessError as error:
            return (error.stderr.decode(errors="replace").strip().splitlines() or ["no message"])[-1]
        except TimeoutExpired:
            return "takes too long"
        made = Path(room) / recipe.name
        if not made.exists() or not made.stat().st_size:
            return "writes nothing"
        made.replace(folder / recipe.name)
    return ""


def row(path: Path, name: str) -> Row:
    """Compare the film at `path`."""
    try:
        film, differences = read(path)
        found = [(each, explained(film, each)) for each in differences]
    except Exception:
        return Row(name, "", "", "", [], [f"error: {format_exc(limit=-1)}"])
    reasons, unexplained = [], []
    for each, reason in found:
        if reason is None:
            unexplained.append(f"{each.kind}: {each.detail}")
        elif reason not in reasons:
            reasons.append(reason)
    media = next((each for each in film.admitted.values() if not isinstance(each, Failed)), None)
    codec = f"{media.container}, {media.codec}, {media.pixel_format}" if media else ""
    frames = f"{len(film.digests)}/{len(film.theirs.time)}"
    return Row(name, codec, frames, _admitted(film), reasons, unexplained)


def _admitted(film: Film) -> str:
    found = {check: film.admitted[check] for check in CHECKS}
    refused = {check: each.reason for check, each in found.items() if isinstance(each, Failed)}
    return ", ".join(f"{check}: {reason}" for check, reason in refused.items()) or "admitted"


def rows(paths: list[tuple[Path, str]]) -> Iterator[Row]:
    """Compare the films at `paths`, which have names, on all cores."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for number, done in enumerate(as_completed([pool.submit(row, *each) for each in paths]), 1):
            if number % 50 == 0:
                print(f"{number}/{len(paths)}", file=sys.stderr)
            yield done.result()


def table(found: Iterable[Row], cannot: dict[str, str]) -> str:
    """Return the report as Markdown."""
    found = sorted(found)
    lines = ["| file | container, codec, pixels | frames here/FFmpeg | checks | explained | unexplained |", "|" + "---|" * 6]
    for each in found:
        cells = [each.name, each.codec, each.frames, each.checks, "; ".join(each.reasons), "; ".join(each.unexplained)]
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    reasons = summary([reason for each in found for reason in each.reasons])
    kinds = summary([text.split(":")[0] for each in found for text in each.unexplained])
    bad = sum(bool(each.unexplained) for each in found)
    lines += ["", f"{len(found)} files, {sum(not each.reasons and not each.unexplained for each in found)} equal,"]
    lines += [f"{sum(bool(each.reasons) and not each.unexplained for each in found)} with explained differences only,"]
    lines += [f"{bad} with unexplained ones.", "", "Explained, files:", *(f"- {count}: {reason}" for reason, count in reasons)]
    lines += ["", "Unexplained:", *(f"- {count}: {kind}" for kind, count in kinds)]
    lines += ["", f"FFmpeg cannot write {len(cannot)} kinds:", ", ".join(sorted(cannot))]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the generated films are, or are written")
    parser.add_argument("more", type=Path, nargs="*", help="other folders, all files of which are compared")
    parser.add_argument("--only", default="*", help="pattern of the names of the films to compare")
    parser.add_argument("--table", type=Path, help="file for the table; by default, it is printed")
    given = parser.parse_args()
    cannot = generate(given.folder)
    paths = [(path, path.name) for path in sorted(given.folder.iterdir()) if path.suffix != ".json" and path.is_file()]
    paths += [(path, str(path.relative_to(more))) for more in given.more for path in sorted(more.rglob("*")) if path.is_file()]
    found = list(rows([each for each in paths if fnmatch(each[1], given.only)]))
    text = table(found, cannot)
    if given.table:
        given.table.write_text(text)
    else:
        print(text)
    return int(any(each.unexplained for each in found))


if __name__ == "__main__":
    sys.exit(main())
