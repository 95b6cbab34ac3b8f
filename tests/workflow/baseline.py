"""A finished project, changes that tests make to it and undo again, and the reruns that the documentation states for them."""

import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from projects import REPOSITORY, Project, Run

from tessera.core.provenance import sha256_file

Rows = list[dict[str, str]]
Change = Callable[["Baseline", ExitStack], None]

DOCUMENTATION = (REPOSITORY / "docs" / "reruns.md").read_text(encoding="utf-8")
GROUPS = {
    name: re.findall(r"`(\w+)`", rules) for name, rules in re.findall(r"^- \*\*(\w+)\*\*(.+?)\.$", DOCUMENTATION, re.M | re.S)
}


def table_of_reruns(header: str) -> dict[str, str]:
    """Return the table of docs/reruns.md whose first column is called `header`: what each change reruns."""
    rows = re.search(rf"^\| {header} \| reruns \|\n\|---\|---\|\n((?:\|.+\n)+)", DOCUMENTATION, re.MULTILINE)[1]
    return dict(re.findall(r"^\| ([^|]+?) \| ([^|]+?) \|$", rows, re.MULTILINE))


def rules_in(clause: str) -> set[str]:
    """Return the rules that a clause of such a table names, one by one or as a group."""
    groups = (members for group, members in GROUPS.items() if re.search(rf"\b{group}\b", clause))
    return set(re.findall(r"`(\w+)`", clause)).union(*groups)


def rerun_jobs(cell: str, finished: Run) -> Counter[str]:
    """Return the jobs of the `finished` run that the `cell` of such a table names: how many of each rule.

    A clause names rules. The names in italics after them, if there are any, leave only the jobs with one of these wildcards.
    """
    expected: set[str] = set()
    for clause in cell.split(";"):
        rules, names = rules_in(clause), set(re.findall(r"\*(\w+)\*", clause))
        assert rules <= {job.split()[0] for job in finished.jobs}
        expected |= {job for job in finished.jobs if job.split()[0] in rules and (not names or names & set(job.split()))}
    return Counter(job.split()[0] for job in expected)


class Baseline:
    """A project whose `targets` are made, and its workflow, which may be a copy that tests can change."""

    def __init__(self, project: Project, rows: Rows, snakefile: Path, targets: Sequence[str] = ("all",)) -> None:
        self.project = project
        self.rows = rows
        self.snakefile = snakefile
        self.targets = targets
        self._after: dict[tuple[Change, ...], dict[str, int]] = {}

    def planned_after(self, *changes: Change) -> dict[str, int]:
        """Return what `planned` does after `changes`, which are undone again. Several tests may ask for the same changes."""
        if changes not in self._after:
            with ExitStack() as stack:
                for change in changes:
                    change(self, stack)
                self._after[changes] = self.planned(*self.targets)
        return self._after[changes]

    def planned(self, *targets: str) -> dict[str, int]:
        """Return the rules that Snakemake would run now, and how many jobs of each."""
        run = self.project.run("--dry-run", *targets, snakefile=self.snakefile)
        assert run.returncode == 0, run.output
        counts = re.findall(r"^ (\w[\w ]*?) +(\d+) *$", run.output.partition("Job stats")[2], re.MULTILINE)
        planned = {rule.replace(" ", "_"): int(count) for rule, count in counts}
        return {rule: count for rule, count in planned.items() if rule not in {"total", *targets}}

    @contextmanager
    def edited(self, path: Path, old: str, new: str) -> Iterator[None]:
        """Replace `old` by `new` in `path` inside the block."""
        text, state = path.read_text(encoding="utf-8"), path.stat()
        assert old in text, f"{old!r} is not in {path}"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        try:
            yield
        finally:
            path.write_text(text, encoding="utf-8")
            os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))

    @contextmanager
    def set(self, path: str, value: object) -> Iterator[None]:
        """Change the setting at the dotted `path` inside the block."""
        *parents, last = path.split(".")
        section = self.project.settings
        for parent in parents:
            section = section.setdefault(parent, {})
        before = dict(section)
        section[last] = value
        try:
            yield
        finally:
            section.clear()
            section.update(before)

    def code(self, module: str) -> Path:
        """Return the file of `module` in the copy of the workflow."""
        return self.snakefile.parent / "src" / "tessera" / module


def setting(path: str, value: object) -> Change:
    return lambda baseline, stack: stack.enter_context(baseline.set(path, value))


def edit(file: str, old: str, new: str) -> Change:
    return lambda baseline, stack: stack.enter_context(baseline.edited(baseline.project.folder / file, old, new))


def code(module: str, old: str, new: str) -> Change:
    return lambda baseline, stack: stack.enter_context(baseline.edited(baseline.code(module), old, new))


def remove(path: Path) -> None:
    """Remove a file or a folder."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def digests(project: Project, paths: Sequence[str]) -> dict[str, str]:
    """Return the sha256 of each file in `paths`, files and folders of the results."""
    files = [file for path in paths for file in [project.results / path, *(project.results / path).rglob("*")]]
    return {str(file.relative_to(project.results)): sha256_file(file) for file in files if file.is_file()}
