"""What each result was made of, recorded beside the results: it decides what a run makes again.

Snakemake decides by its notes in `.snakemake` and by the times of files, which are lost or misleading after a copy. Here, the
params of a job, which contain the digest of its code, its script and the contents of its inputs are written to a file in
`results/records` when it has ended, and compared before the next run. The jobs of a workflow that imports Tessera as a module
stay with Snakemake, and so do results of an earlier version until Snakemake has found them up to date once.
"""

import ast
import atexit
import inspect
import json
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import suppress
from functools import cache, partial, partialmethod
from pathlib import Path
from typing import Any

from tessera.core.contents import content_of, save_contents
from tessera.core.definitions import definitions_behind
from tessera.core.messages import truncate
from tessera.core.provenance import digest

# What a function for params may take besides the wildcards. Snakemake does not watch what it makes of them, nor do the records.
DERIVING = {"input", "output", "threads", "resources"}
RECORDS = "records"  # the folder in the results
ATTRIBUTE = "tessera_records"  # of a workflow
PARAMS_CHANGED = "params have changed since last execution"
SHOWN = 5  # changes of a job that are listed
ABSENT = "nothing"  # in place of a value that there is not
LONG = 60  # characters of a value that are shown
DAMAGED = (ValueError, LookupError, TypeError, AttributeError)  # raised where a record is not what was written


class Changes:
    """What has changed since a job ran, in words; false if nothing has. Iterating yields the outputs that it changes."""

    def __init__(self, lines: Iterable[str], outputs: Iterable[str]) -> None:
        self._lines = list(lines)
        self._outputs = list(outputs) if self._lines else []

    def __bool__(self) -> bool:
        return bool(self._lines)

    def __iter__(self) -> Iterator[str]:
        return iter(self._outputs)

    def __str__(self) -> str:
        return "; ".join(truncate(self._lines, SHOWN))


class Records:
    """The records of the jobs of a project, in `folder`.

    A record has three lines of JSON: what the job was made of, {"inputs": {name: {path: content}}, "params": …, "script": …};
    the contents of its outputs, {path: content}; and the content of the list of files that it wrote beside its log. The
    definitions behind each digest of code are written beside the records, so that a later run can name those that changed. The
    record of a job that has begun and not ended is empty.
    """

    def __init__(self, folder: Path, rules: Path, adopts: bool) -> None:
        """`rules`: the folder of the rules of Tessera, beside which its scripts lie.

        `adopts`: whether Snakemake decides on results without a record, and those that it finds up to date get one.
        """
        self.folder, self.adopts = folder, adopts
        self._rules = rules.resolve()
        self._code = f"{os.path.normpath(rules.parents[1])}/"
        self._outputs: dict[str, str] = {}  # content, by path
        self._read: dict[Any, str | None] = {}
        self._lists: dict[Any, str] = {}  # content of the list of files of a job, when its record was written
        self._begun: dict[Any, str] = {}
        self._has_run = False

    def decides_on(self, job: Any) -> bool:
        """Return whether the record of `job`, or that there is none, decides whether it runs."""
        return self.holds(job) and not (self.adopts and self.made_of(job) is None and _has_notes(job))

    def holds(self, job: Any) -> bool:
        """Return whether `job` has a record once it has ended: those of other workflows have none."""
        return bool(job.output) and _script(job.rule, self._rules) is not None

    def made_of(self, job: Any) -> str | None:
        """Return what `job` was made of, the first line of its record; None if it has none."""
        if job not in self._read:
            try:
                made_of, outputs, listed = self._file(job).read_text(encoding="utf-8", errors="surrogateescape").splitlines()
                self._outputs |= json.loads(outputs)
                self._read[job], self._lists[job] = made_of, json.loads(listed)
            except (OSError, ValueError, TypeError):
                self._read[job] = None
        return self._read[job]

    def changes(self, job: Any) -> Changes:
        """Return what has changed since `job` ran."""
        made_of, now = self.made_of(job), self._state(job)
        if made_of is None and self._file(job).exists():
            return Changes(["its last run has not ended"], job.output)
        # Outputs that are not there are made if something needs them.
        if made_of is None and not any(map(os.path.lexists, job.output)):
            return Changes([], job.output)
        # Without its logs, a result is believed.
        if made_of is not None and (content_of(_list_of(job)) or self._lists[job]) != self._lists[job]:
            return Changes(["its outputs were written by another version since"], job.output)
        if made_of == now:
            return Changes([], job.output)
        try:
            return Changes(_differences(json.loads(made_of or ""), json.loads(now), self._definitions), job.output)
        except DAMAGED:
            return Changes(["there is no record of what its outputs were made of"], job.output)

    def begin(self, job: Any) -> None:
        """Note what `job` is made of, and empty its record: if it fails or is killed, it runs again, whatever asks for it.

        Snakemake removes the outputs of a job that failed. What follows from them may be there, as it was before a change.
        """
        self._has_run = True
        self._begun[job] = self._state(job)
        file = self._file(job)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")

    def end(self, job: Any) -> None:
        """Write the record of `job`, whose outputs are complete."""
        written: dict[str, Any] = {}
        with suppress(OSError, ValueError):
            written = json.loads(_list_of(job).read_text(encoding="utf-8"))
        outputs = {path: digest(written[path])[:16] if path in written else content_of(path) for path in map(str, job.output)}
        self._outputs |= outputs
        self._read[job] = made_of = self._begun.pop(job, None) or self._state(job)
        self._lists[job] = content_of(_list_of(job))
        file = self._file(job)
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_name(f".{file.name}")
        lines = made_of, _canonical(outputs), json.dumps(self._lists[job]), ""
        partial.write_text("\n".join(lines), encoding="utf-8", errors="surrogateescape")
        partial.replace(file)
        for code in filter(_is_code, job.params.keys()):
            self._write_definitions(job.params[code])

    def _write_definitions(self, code: str) -> None:
        """Write the definitions behind the digest `code` beside the records, unless they are there."""
        file = self._file_of_definitions(code)
        if not file.exists() and (definitions := definitions_behind(code)):
            file.parent.mkdir(exist_ok=True)
            # A file that is cut short would only lack names.
            file.write_text("".join(f"{name}\t{digest}\n" for name, digest in sorted(definitions.items())), encoding="utf-8")

    def _definitions(self, code: str) -> dict[str, str]:
        """Return the definitions behind the digest `code`, each with its own digest; empty if they are not known."""
        with suppress(OSError, ValueError):
            return dict(line.split("\t") for line in self._file_of_definitions(code).read_text(encoding="utf-8").splitlines())
        return definitions_behind(code)

    def _file_of_definitions(self, code: str) -> Path:
        return self.folder / "code" / f"{code}.tsv"

    def adopt(self, jobs: Iterable[Any]) -> None:
        """Write a record of each of `jobs` that has none. All others are decided on by their records from now on."""
        self.adopts = False
        for job in jobs:
            if self.made_of(job) is None:
                self.end(job)

    def close(self) -> None:
        """Keep what was read of files; after a run, remove the records of results that are gone."""
        save_contents()
        if self._has_run:
            self._prune()

    def _prune(self) -> None:
        codes: set[str] = set()
        for file in self.folder.glob("*/*.json"):
            with suppress(OSError, *DAMAGED):
                made_of, outputs, _ = file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
                if not any(map(os.path.lexists, json.loads(outputs))):
                    file.unlink()
                    continue
                params = json.loads(made_of)["params"]
                codes.update(params[name] for name in filter(_is_code, params))
        for file in self.folder.glob("code/*.tsv"):
            if file.stem not in codes:
                file.unlink(missing_ok=True)

    def _file(self, job: Any) -> Path:
        return self.folder / str(job.rule.name) / _name(job.output[0])

    def _state(self, job: Any) -> str:
        """Return what `job` would be made of now."""
        made: set[str] = set()
        for earlier, files in job.dag.dependencies[job].items():
            # Its record states the contents of its outputs, which may be many files.
            if self.made_of(earlier) is not None:
                made.update(map(str, files))

        def content(file: Any) -> str:
            path = str(file)
            if file.is_ancient:
                return ""
            if path in made:
                return self._outputs[path]
            # An intermediate result that somebody removed, with a record that is gone too, changes nothing by that.
            return content_of(path) or recorded_contents(self.made_of(job)).get(path.removeprefix(self._code), "")

        inputs: dict[str, dict[str, str]] = {}
        for name, files in _by_name(job.input):
            # Files of Tessera itself may lie elsewhere in the next run.
            inputs[name] = {str(file).removeprefix(self._code): content(file) for file in files}
        params = {name: value for name, value in job.params.items() if name in _watched(job.rule)}
        return _canonical({"inputs": inputs, "params": params, "script": _script(job.rule, self._rules)})


def recorded_inputs(results: str, rule: str, output: str) -> dict[str, str]:
    """Return the contents, by path, of the inputs of the job of `rule` whose first output is `output`; empty if unknown."""
    # In a module, the name of a rule has a prefix.
    for file in Path(results, RECORDS).glob(f"*{rule}/{_name(output)}"):
        with suppress(OSError, ValueError):
            return recorded_contents(file.read_text(encoding="utf-8", errors="surrogateescape").partition("\n")[0])
    return {}


def recorded_contents(made_of: str | None) -> dict[str, str]:
    """Return the contents of inputs, by path, in the first line of a record; empty if it is damaged."""
    try:
        named: dict[str, dict[str, str]] = json.loads(made_of or "")["inputs"]
        return {path: content for files in named.values() for path, content in files.items()}
    except DAMAGED:
        return {}


def _name(output: str) -> str:
    """Return the name of the record of the job whose first output is `output`."""
    return f"{digest(str(output))[:24]}.json"


def _list_of(job: Any) -> Path:
    """Return the path of the list of files that `job` writes, with their sha256; see `tessera.core.job`."""
    return Path(str(job.log[0]) if job.log else "none").with_suffix(".json")


def decide_by_records(workflow: Any, results: str) -> Records:
    """Let records in the folder `results` decide which jobs of the rules of Tessera run in `workflow`; return them."""
    _install()
    folder = Path(results) / RECORDS
    rules = Path(workflow.current_basedir.get_path_or_uri(secret_free=True))
    records = Records(folder, rules, adopts=not folder.is_dir() and Path(".snakemake", "metadata").is_dir())
    setattr(workflow, ATTRIBUTE, records)
    atexit.register(records.close)
    return records


@cache
def _install() -> None:
    """Where records decide, ask them instead of Snakemake's notes and times."""
    from snakemake.dag import DAG
    from snakemake.jobs import Job, Reason
    from snakemake.logging import logger
    from snakemake.persistence import NO_PARAMS_CHANGE, PersistenceBase
    from snakemake.settings.types import RerunTrigger
    from snakemake.workflow import Workflow

    def records_of(job: Any) -> Records | None:
        """Return the records that hold `job`."""
        records: Records | None = getattr(job.dag.workflow, ATTRIBUTE, None)
        return records if records and records.holds(job) else None

    def records_on(job: Any) -> Records | None:
        """Return the records that decide whether `job` runs."""
        records = records_of(job)
        return records if records and records.decides_on(job) else None

    def replace(owner: Any, name: str) -> Callable[[Callable[..., Any]], None]:
        """Let the decorated function take the place of a method. It gets the method before its arguments."""

        def decorate(ours: Callable[..., Any]) -> None:
            setattr(owner, name, partialmethod(_swapped, ours, getattr(owner, name)))

        return decorate

    def replace_property(owner: Any, name: str) -> Callable[[Callable[..., Any]], None]:
        def decorate(ours: Callable[..., Any]) -> None:
            setattr(owner, name, property(partial(ours, getattr(owner, name).fget)))

        return decorate

    @replace_property(Workflow, "rerun_triggers")
    def _(theirs: Any, workflow: Any) -> Any:
        # The answer to whether params have changed is printed.
        return theirs(workflow) | {RerunTrigger.PARAMS}

    @replace(PersistenceBase, "params_changed")
    def _(theirs: Any, persistence: Any, job: Any, *args: Any, **kwargs: Any) -> Any:
        if records := records_on(job):
            return records.changes(job)
        is_asked = RerunTrigger.PARAMS in job.dag.workflow.dag_settings.rerun_triggers
        return theirs(persistence, job, *args, **kwargs) if is_asked else NO_PARAMS_CHANGE

    answers = {"has_metadata": True, "has_outdated_metadata": False, "input_changed": [], "code_changed": []}
    for name, answer in {**answers, "software_stack_changed": []}.items():

        @replace(PersistenceBase, name)
        def _(theirs: Any, persistence: Any, job: Any, *args: Any, answer: Any = answer, **kwargs: Any) -> Any:
            return answer if records_on(job) else theirs(persistence, job, *args, **kwargs)

    @replace_property(Job, "output_mintime")
    async def _(theirs: Any, job: Any) -> Any:
        return None if records_on(job) else await theirs(job)

    @replace(Job, "outputs_older_than_script_or_notebook")
    async def _(theirs: Any, job: Any) -> AsyncIterator[Any]:
        if not records_on(job):
            async for file in theirs(job):
                yield file

    @replace(DAG, "check_output_mtime")
    async def _(theirs: Any, dag: Any, job: Any, *args: Any) -> None:
        # Footage from the future would fail the job.
        if not records_of(job):
            await theirs(dag, job, *args)

    @replace(PersistenceBase, "started")
    def _(theirs: Any, persistence: Any, job: Any, *args: Any, **kwargs: Any) -> None:
        theirs(persistence, job, *args, **kwargs)
        if records := records_of(job):
            records.begin(job)

    @replace(Job, "postprocess")
    async def _(theirs: Any, job: Any, *args: Any, error: bool = False, **kwargs: Any) -> None:
        await theirs(job, *args, error=error, **kwargs)
        if not error and (records := records_of(job)):
            records.end(job)

    @replace(DAG, "update_needrun")
    async def _(theirs: Any, dag: Any, *args: Any, **kwargs: Any) -> None:
        await theirs(dag, *args, **kwargs)
        records: Records | None = getattr(dag.workflow, ATTRIBUTE, None)
        if records and records.adopts and not dag.workflow.dryrun:
            # A record needs those of the jobs before it.
            in_order = (job for level in dag.toposorted() for job in level)
            records.adopt(job for job in in_order if records_of(job) and not dag.needrun(job))

    @replace(Reason, "get_names")
    def _(theirs: Any, reason: Any) -> Iterator[str]:
        for name in theirs(reason):
            yield "what they were made of has changed" if name == PARAMS_CHANGED else name

    @replace(Workflow, "log_provenance_info")
    def _(theirs: Any, workflow: Any) -> None:
        if not hasattr(workflow, ATTRIBUTE):
            theirs(workflow)
            return
        for line in reasons(workflow.dag):
            logger.info(line)


def reasons(dag: Any) -> Iterator[str]:
    """Yield what has changed since jobs ran that a run begins with, with the old and the new value. `dag`: of Snakemake."""
    changed: dict[str, list[Any]] = {}
    for job in dag.needrun_jobs(exclude_finished=False):
        if changes := dag.reason(job).params_changed:
            changed.setdefault(f"{job.rule.name}: {changes}", []).append(job)
    for text, jobs in changed.items():
        yield f"{text} ({len(jobs)} jobs)" if len(jobs) > 1 else text


def _swapped(self: Any, ours: Callable[..., Any], theirs: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    return ours(theirs, self, *args, **kwargs)


@cache
def _script(rule: Any, rules: Path) -> str | None:
    """Return a digest of the script or command of a rule below the folder `rules`; None for another rule.

    Comments and layout of scripts do not count.
    """
    if not Path(str(rule.snakefile)).resolve().is_relative_to(rules):
        return None
    if not rule.script:
        return digest(rule.shellcmd)[:16]
    return digest(ast.dump(ast.parse((rules.parent / "scripts" / Path(rule.script).name).read_bytes())))[:16]


def _has_notes(job: Any) -> bool:
    """Return whether Snakemake has noted what `job` was made of."""
    return all(job.dag.workflow.persistence.metadata(path) is not None for path in job.output)


@cache
def _watched(rule: Any) -> set[str]:
    """Return the names of the params of `rule` that do not depend on its files or on the machine."""
    return {
        name
        for name, value in rule.params.items()
        if not callable(value) or not DERIVING.intersection(inspect.signature(value).parameters)
    }


def _by_name(files: Any) -> Iterator[tuple[str, list[Any]]]:
    """Yield the inputs of a job by their names; those without a name are called by their position."""
    for position, (name, value) in enumerate(files._allitems()):
        yield name or str(position), [value] if isinstance(value, str) else list(value)


def _canonical(value: Any) -> str:
    """Return `value` as JSON on one line. The order of keys and of members of sets does not count."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, set | frozenset) else str(value)


def _is_code(param: str) -> bool:
    """Return whether the param of this name is a digest of code."""
    return param == "code" or param.endswith("_code")


def _differences(
    old: dict[str, Any], new: dict[str, Any], definitions: Callable[[str], dict[str, str]] = lambda code: {}
) -> Iterator[str]:
    """Yield how what a job was made of differs between `old` and `new`. `definitions`: those behind a digest of code."""
    yield from _changed_inputs(old["inputs"], new["inputs"])
    before, now = ({name: value for name, value in each["params"].items() if not _is_code(name)} for each in (old, new))
    yield from _changed_values(before, now)
    before, now = ({name: value for name, value in each["params"].items() if _is_code(name)} for each in (old, new))
    # Definitions that several params have in common are named once.
    yield from dict.fromkeys(
        change
        for name in sorted(before.keys() | now.keys())
        if before.get(name, ABSENT) != now.get(name, ABSENT)
        for change in _changed_definitions(definitions(before.get(name, ABSENT)), definitions(now.get(name, ABSENT)))
    )
    if old.get("script") != new["script"]:
        yield "its script has changed"


def _changed_inputs(old: dict[str, dict[str, str]], new: dict[str, dict[str, str]]) -> Iterator[str]:
    """Yield how inputs differ between `old` and `new`: their contents, by path, by name."""
    if old.keys() != new.keys():
        yield "its kinds of inputs have changed"
    for name in sorted(old.keys() | new.keys()):
        before, now = old.get(name, {}), new.get(name, {})
        for path in sorted(before.keys() | now.keys()):
            if path not in now:
                yield f"{path} is no input any more"
            elif path not in before:
                yield f"{path} is a new input"
            elif before[path] != now[path]:
                yield f"{path} has other content"


def _changed_definitions(old: dict[str, str], new: dict[str, str]) -> Iterator[str]:
    """Yield how definitions differ between `old` and `new`, the digests by name. Either is empty if it is unknown."""
    if not (old and new and old != new):
        yield "the code of its functions has changed"
        return
    yield from (f"{name} has changed" for name in sorted(old.keys() & new.keys()) if old[name] != new[name])
    yield from (f"{name} is new" for name in sorted(new.keys() - old.keys()))
    yield from (f"{name} is used no longer" for name in sorted(old.keys() - new.keys()))


def _changed_values(old: Any, new: Any, name: str = "") -> Iterator[str]:
    """Yield what differs between the JSON values `old` and `new`, with the old and the new value."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _changed_values(old.get(key, ABSENT), new.get(key, ABSENT), f"{name}.{key}" if name else key)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for position, (before, now) in enumerate(zip(old, new, strict=True)):
            yield from _changed_values(before, now, f"{name}[{position}]")
    elif old != new:
        yield f"{name}: {_short(old)} → {_short(new)}"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else _canonical(value)
    return text if len(text) <= LONG else f"{text[:LONG]}…"
