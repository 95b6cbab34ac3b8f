"""What is checked and reported before any job starts, and how Snakemake logs errors and orders jobs."""

import errno
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from tessera.catalogue import made_datasets
from tessera.core.errors import TesseraError
from tessera.core.files import or_folder
from tessera.core.messages import pluralize, truncate
from tessera.records.manifest import describe_missing
from tessera.stages.labels.settings import unclaimed_labels
from tessera.workflow.active_learning import asked_rounds
from tessera.workflow.face_sets import check_apart_from_faces, unknown_landmarks
from tessera.workflow.image_sets import check_files, unknown_tags_of_sets
from tessera.workflow.labels import exports_of_frames
from tessera.workflow.locks import explain_lock
from tessera.workflow.previews import previewed
from tessera.workflow.project import Project
from tessera.workflow.records import RECORDS
from tessera.workflow.restore import restored
from tessera.workflow.sources import missing_sources

# Errors of the system that a person can mend, even if they occur in Snakemake.
DISK_ERRORS = {errno.EACCES, errno.EDQUOT, errno.ENOSPC, errno.ENOTDIR, errno.EPERM, errno.EROFS}
SHOWN = 5  # names in a message
# Options of Snakemake that cannot do here what they promise: why, and what does it.
UNSUPPORTED = {
    "--archive": (
        "the archive would lack the library of Tessera, the manifest and the labels; copy the folder of the project, and note"
        " the version of Tessera, or archive the checkout with `git archive`"
    ),
    "--generate-unit-tests": (
        "each test would get copies of all inputs and outputs of its rule, and lack the footage, the manifest and the library;"
        " `python -m tessera.replay RULE` runs the script of one rule again"
    ),
}


def check_options(arguments: Iterable[str]) -> None:
    """Raise `TesseraError` if the `arguments` of Snakemake ask for something in `UNSUPPORTED`."""
    # Snakemake accepts the beginning of an option, and has refused one that is ambiguous.
    words = [word.partition("=")[0] for word in arguments if word.startswith("--") and word != "--"]
    for option, reason in UNSUPPORTED.items():
        if any(option.startswith(word) for word in words):
            raise TesseraError(f"{option}: {reason}")


def check_project(project: Project) -> None:
    """Raise `TesseraError` if the settings name files or sources that are not there, what cannot be read, or faces."""
    check_files(project)
    check_apart_from_faces(project)
    _ = project.face_sets
    previewed(project)
    restored(project)
    asked_rounds(project)


def shared_shards(project: Project) -> str:
    """Return a message that small sources share shards; empty if they do not, or if the settings ask for it."""
    shared = [len(group) for group in project.shards.values() if len(group) > 1]
    if project.config["shards"] != "auto" or not shared:
        return ""
    return f"{pluralize(sum(shared), 'small sources')} share {pluralize(len(shared), 'shards')}; `shards` can change that"


def left_alone(project: Project, workflow: Any) -> str:
    """Return a message that names what in the results no rule writes; empty if there is none. `workflow`: that of Snakemake."""
    folder = Path(project.results)
    paths = (Path(path) for rule in workflow.rules for path in (*rule.output, *rule.log, rule.benchmark) if path)
    written = {path.relative_to(folder).parts[0] for path in paths if path.is_relative_to(folder)} | {RECORDS}
    found = sorted(path.name for path in folder.glob("[!.]*") if path.name not in written)
    if not found:
        return ""
    return f"left alone in {folder}, because this version of Tessera does not write it: {', '.join(truncate(found, SHOWN))}"


def warnings(project: Project) -> Iterator[str]:
    """Yield what the user should know before the jobs start. Raises `TesseraError` if the list of tags cannot be read."""
    config = project.config
    if project.is_emptied:
        yield f"{config['manifest']} lists no source: only the results of earlier sources are removed"
    elif not project.sources and project.datasets:
        left_out = [name for name in made_datasets(config) if name not in project.datasets]
        yield (
            f"{config['manifest']} lists no source: only {', '.join(project.datasets)} is made; left out:"
            f" {', '.join(left_out) or 'nothing'}"
        )
    if missing_sources(project):
        stops = config["missing_sources"] == "stop"
        yield _missing_message(project) + (
            "; a run that reads it will stop" if stops else "; it is left out (`missing_sources`)"
        )
    if unknown := {each.classifier for each in project.decisions.samples} - {"", *config["classifiers"], *config["face_sets"]}:
        yield (
            f"{config['decisions']} has decisions for {', '.join(sorted(unknown))}, which neither `classifiers` nor `face_sets`"
            " names: they are not used; correct the column `classifier` if this is not intended"
        )
    if (labels := config["annotations"]["frame_labels"]) and not os.path.exists(labels):  # noqa: PTH110
        beside = _beside_images(project)
        yield f"annotations.frame_labels: {labels!r} is not there yet, so that no sampled frame is labelled{beside}"
    for name, admission in project.face_sets.items():
        yield from (f"face_sets.{name}: refused: {reason}" for reason in admission.reasons())
    yield from (f"face_packs.{name}: refused: {refusal}" for name, refusal in project.refused_packs.items())
    yield from unknown_landmarks(project)
    yield from _unclaimed_labels(project)
    yield from unknown_tags_of_sets(project)


def check_footage(project: Project, jobs: Iterable[Any]) -> None:
    """Raise `TesseraError` if a job reads a source that is missing, unless the settings leave it out.

    `jobs`: the planned jobs of Snakemake.
    """
    if project.config["missing_sources"] == "leave_out" or not missing_sources(project):
        return
    missing = missing_sources(project)
    shards = {shard for shard, sources in project.shards.items() if any(each.source in missing for each in sources)}
    if any(job.wildcards_dict.get("shard") in shards for job in jobs):
        raise TesseraError(f"{_missing_message(project)}, or set `missing_sources: leave_out`; nothing was changed")


def _missing_message(project: Project) -> str:
    missing = describe_missing(project.config["manifest"], missing_sources(project).keys())
    return (
        f"{project.config['manifest']}: the footage of {len(missing):,} of {pluralize(len(project.sources), 'sources')} is"
        f" missing: {'; '.join(truncate(missing, 5))}; mount its disk, restore the files, correct the column `path`"
        f"{or_folder(Path())}"
    )


def _beside_images(project: Project) -> str:
    """Return the end of a message: that there are labels beside the sampled frames, where labelme saves them by default."""
    labels = project.config["annotations"]["frame_labels"]
    for images in sorted(Path(project.results).glob("frames/*/images")):
        if any(file.suffix == ".json" for file in images.iterdir()):
            return f"; move the label files in {str(images)!r} to {f'{labels}/{images.parent.name}'!r}: they are not read there"
    return ""


def _unclaimed_labels(project: Project) -> Iterator[str]:
    config = project.config
    unclaimed = unclaimed_labels(
        config["annotations"]["frame_labels"],
        [source.source for source in project.sources],
        [
            *(each.values["path"] for each in project.labels.values()),
            *(each["path"] for each in project.image_labels.values()),
            config["preview"]["proposals"]["folder"],
            *exports_of_frames(project),
        ],
    )
    if outside := [file.name for entry, files in unclaimed.items() if not entry.is_dir() for file in files]:
        yield (
            f"annotations.frame_labels: {pluralize(len(outside), 'label files')} cannot be used, because they lie in"
            f" {config['annotations']['frame_labels']!r} itself: {', '.join(truncate(outside, 5))}; move them into a folder in"
            f" it, of the same name as that of their images in {project.results}/frames"
        )
    for folder, files in unclaimed.items():
        if not folder.is_dir():
            continue
        named = [str(file.relative_to(folder.parent)) for file in files]
        yield (
            f"annotations.frame_labels: {pluralize(len(files), 'label files')} in {str(folder)!r} cannot be used, because they"
            f" belong to no source in the manifest: {', '.join(truncate(named, 5))}; restore the source, whose id a label file"
            " has before its last hyphen, or remove the files"
        )


def _unlocking(command: Sequence[str]) -> list[str]:
    """Return the `command` of Snakemake that removes the lock of its project."""
    program, *arguments = command
    # `python -m snakemake` has the path of a file here that cannot be run.
    start = [sys.executable, "-m", "snakemake"] if Path(program).name == "__main__.py" else [program]
    # First, because `--configfile` takes all words after it. The other options name the project and its settings.
    return [*start, "--unlock", *arguments]


def rewrite_log_record(record: Any, targets: Callable[[], Iterable[str]]) -> bool:
    """Change what Snakemake logs of an error, so that the line with the reason and the fix is there and stands out.

    Return whether the record is logged. `targets`: returns the names of all targets.
    """
    message = str(record.msg)
    if getattr(record, "event", None) == "job_info":  # `LogEvent.JOB_INFO`
        # The rich logger would print the whole log of a failed job, although one line has named the error.
        record.log = []
    elif error := re.search(r"^  TesseraError: (.+?)\nWildcards:", message, re.MULTILINE | re.DOTALL):
        # Snakemake adds wildcards and a traceback to an error of a function for params.
        record.msg = error[1]
    elif re.match(r"RuleException:\nCalledProcessError in file .*/scripts/tmp.* status (1|130)\.$", message, re.DOTALL):
        # The job has said in one line why it failed, or that it was interrupted.
        return False
    elif error := re.search(r'^WorkflowError in file "[^"]*", line \d+:\n(.+?)\n  File "', message, re.DOTALL):
        # It also names the lines of the rule file that reported the error.
        record.msg = error[1]
    elif error := re.search(r"^No rule to produce (.+) \(if you use input functions", message, re.MULTILINE):
        # Names of targets are words, so that none resembles a path.
        near = get_close_matches(error[1], targets(), n=1) if "/" not in error[1] else []
        hint = f"did you mean {near[0]!r}?" if near else "`snakemake --list-target-rules` lists all targets"
        hint = "write options before `--`" if error[1].startswith("-") else hint
        if Path(error[1]).is_relative_to(Path.cwd()) and error[1] != str(Path.cwd()):
            hint = f"results are named from the folder of the project: {str(Path(error[1]).relative_to(Path.cwd()))!r}"
        record.msg = f"there is no target {error[1]!r}; {hint}"
    elif "Directory cannot be locked" in message:
        record.msg = explain_lock(shlex.join(_unlocking(sys.argv)))
    elif error := re.search(
        r"(?:Traceback \(most |Failed to create output directory ).*\n\w+Error: \[Errno (\d+)\] ([^\n]+)$",
        message.strip(),
        re.DOTALL,
    ):
        # Snakemake writes to .snakemake/ and looks into results/ itself.
        if int(error[1]) not in DISK_ERRORS:
            return True
        record.msg = f"{error[2]}; free disk space, change permissions or restore the folder, and run again"
    elif "Write-protected output files for rule" in message:
        record.msg += "\nChange the permissions of the files, or of the disk"
    elif "Missing input files for rule" in message:
        record.msg += f"\nRestore the files{or_folder(Path())}"
    return True


def prioritize(dag: Any) -> None:
    """Start those jobs first that the longest chain of other jobs waits for: the critical path.

    `dag`: the graph of Snakemake. Trainings state their length as `priority`, in epochs or iterations. Other jobs count as one.
    """

    @cache
    def length(job: Any) -> int:
        return 1 + int(dag.priority(job)) + max(map(length, dag.depending[job]), default=0)

    dag._priority.update({job: length(job) for job in dag.needrun_jobs()})
