"""Run the script of one rule in this process, so that a debugger works in the script and in the library."""

import argparse
import os
import runpy
import shlex
import sys
import tempfile
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from tessera.core.errors import TesseraError
from tessera.core.messages import pluralize, truncate

HELP = """\
Run the script of one rule with the inputs, params and config that Snakemake would give it:

  python -m tessera.replay make_clips shard=meadow --directory examples/demo
  python -m pdb -m tessera.replay make_clips shard=meadow --directory examples/demo

The script runs in this process: breakpoint(), `python -m pdb` and the debuggers of VS Code and PyCharm (module
`tessera.replay`, the rest as arguments) stop in workflow/scripts/ and in src/tessera/. Output is printed to the
terminal, and an exception keeps its traceback. The inputs must exist. If some are missing, the message states the
command that makes them.

The outputs go to a folder of their own, at the same paths as in the working folder, so that the workflow never uses
them. Files that a script writes besides its outputs, such as labels/proposed, are written to their usual places. The
stages of the restoration model train in another process, where breakpoints have no effect.

These options of Snakemake are used if they follow the rule: --configfile, --config, --snakefile, --directory, --cores,
--set-threads, --resources, --set-resources, --workflow-profile. Others have no effect."""
FEW = 20  # values that a message lists


def main(arguments: list[str]) -> None:
    """Replay the rule in the command line `arguments`. Exceptions of the script are not caught."""
    parser = argparse.ArgumentParser(
        "python -m tessera.replay",
        usage="%(prog)s RULE [WILDCARD=VALUE ...] [--into FOLDER] [OPTION OF SNAKEMAKE ...]",
        description=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--into", type=Path, metavar="FOLDER", help="where the outputs go; default: a new temporary folder, which is printed"
    )
    ours, others = parser.parse_known_args(arguments)
    try:
        script, snakemake, folder = plan(others)
    except TesseraError as error:
        sys.exit(f"error: {error}")
    into = (ours.into or Path(tempfile.mkdtemp(prefix="tessera-replay-"))).absolute()
    relocate(snakemake, into)
    print(f"replaying {script.name}; its outputs go to {into}", file=sys.stderr)
    os.chdir(folder)
    # If it ran as `__main__`, processes that the library starts would run it again.
    runpy.run_path(str(script), init_globals={"snakemake": snakemake}, run_name=script.stem)


def plan(arguments: list[str]) -> tuple[Path, Any, Path]:
    """Return the script of a rule, the object `snakemake` that it gets, and the working folder of the workflow.

    `arguments` are the rule, its wildcards and options of Snakemake. Raises `TesseraError` if the rule or its wildcards are
    wrong, or if inputs are missing; the message states the command that makes these.
    """
    # Snakemake takes half a second to load, and nothing else in the library needs it.
    from snakemake.api import SnakemakeApi
    from snakemake.cli import parse_args, parse_config
    from snakemake.exceptions import WorkflowError
    from snakemake.settings.types import ConfigSettings, OutputSettings, Quietness, ResourceSettings
    from snakemake_interface_common.exceptions import ApiError

    _, options = parse_args(arguments)
    if not options.targets:
        raise TesseraError("name the rule whose script is to run; --help shows how")
    name, wildcards = options.targets[0], _wildcards(options.targets[1:])
    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL}, enable_file_logging=False)) as api:
        try:
            workflow = api.workflow(
                config_settings=ConfigSettings(config=parse_config(options.config), configfiles=options.configfile or ()),
                resource_settings=ResourceSettings(
                    cores=options.cores or os.cpu_count(),
                    resources=options.resources,
                    overwrite_threads=options.set_threads,
                    overwrite_resources=options.set_resources,
                ),
                snakefile=options.snakefile,
                workdir=options.directory,
            )
            workflow.dag()
            rule = _rule(workflow._workflow, name)
            job = _job(workflow._workflow, rule, wildcards)
            missing = [str(path) for path in job.input if not Path(path).exists()]
            if missing:
                _check_planned(workflow._workflow, rule, wildcards)
                asked = [argument for argument in arguments if argument not in {*options.targets, "--"}]
                command = shlex.join(["snakemake", "--cores", str(os.cpu_count()), *asked, "--", *missing])
                raise TesseraError(f"{rule.name} lacks {pluralize(len(missing), 'inputs')}; make them first:\n  {command}")
            return _script(rule), _snakemake(job), Path.cwd()
        except WorkflowError as error:
            raise TesseraError(str(error)) from error
        except ApiError as error:
            raise TesseraError(f"{error} Run this in the clone of Tessera, or name its Snakefile with --snakefile") from error


def _wildcards(arguments: list[str]) -> dict[str, str]:
    """Return the `arguments` WILDCARD=VALUE as a dictionary. Raises `TesseraError` if one has another form."""
    for argument in arguments:
        if "=" not in argument:
            raise TesseraError(f"{argument!r} is not a wildcard: write each as WILDCARD=VALUE, after a single rule")
    return dict(argument.split("=", 1) for argument in arguments)


def _rule(workflow: Any, name: str) -> Any:
    """Return the rule `name`. Raises `TesseraError` if there is none, or if it has no Python script."""
    rules = {rule.name: rule for rule in workflow.rules}
    if name not in rules:
        near = get_close_matches(name, rules, n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else f" (rules: {', '.join(rules)})"
        raise TesseraError(f"there is no rule {name!r}{hint}")
    if not str(rules[name].script).endswith(".py"):
        raise TesseraError(f"the rule {name} runs no Python script, so there is nothing to replay")
    return rules[name]


def _job(workflow: Any, rule: Any, wildcards: dict[str, str]) -> Any:
    """Return the job of `rule` for `wildcards`. Raises `TesseraError` if the wildcards do not fit the rule."""
    from snakemake.jobs import Job

    unknown, needed = wildcards.keys() - rule.wildcard_names, rule.wildcard_names - wildcards.keys()
    if unknown:
        known = ", ".join(sorted(rule.wildcard_names)) or "none"
        raise TesseraError(f"the rule {rule.name} has no wildcard {', '.join(sorted(unknown))} (its wildcards: {known})")
    # The graph stays empty, because a single job needs no plan of the others.
    workflow._prepare_dag(forceall=False, ignore_incomplete=True, lock_warn_only=True, nolock=True)
    if needed:
        missing = ", ".join(f"{name}=…" for name in sorted(needed))
        raise TesseraError(f"the rule {rule.name} also needs {missing}{_values(workflow, rule)}")
    try:
        job = Job(rule, workflow.dag, wildcards)
    except Exception:
        _check_planned(workflow, rule, wildcards)
        raise
    # If the constraints of the wildcards exclude these values, the rule does not make this output.
    if not rule.is_producer(job.output[0]):
        raise TesseraError(_no_job(workflow, rule, wildcards))
    return job


def _check_planned(workflow: Any, rule: Any, wildcards: dict[str, str]) -> None:
    """Raise `TesseraError` if the workflow plans jobs of `rule`, but none for `wildcards`."""
    planned = _planned(workflow, rule)
    if planned and wildcards not in planned:
        raise TesseraError(_no_job(workflow, rule, wildcards))


def _no_job(workflow: Any, rule: Any, wildcards: dict[str, str]) -> str:
    given = " ".join(f"{name}={value}" for name, value in wildcards.items())
    return f"the workflow has no job {rule.name} {given}{_values(workflow, rule)}"


def _values(workflow: Any, rule: Any) -> str:
    """Return a list of the wildcards for which the workflow plans `rule`, at most `FEW`, for the end of a message."""
    jobs = [" ".join(f"{name}={value}" for name, value in planned.items()) for planned in _planned(workflow, rule)]
    return f"; it is planned for: {', '.join(truncate(sorted(jobs), FEW))}" if jobs else ""


def _planned(workflow: Any, rule: Any) -> list[dict[str, str]]:
    """Return the wildcards of each job of `rule` in the whole workflow; empty if the workflow cannot be planned."""
    with suppress(Exception):
        workflow._build_dag()
    return [dict(job.wildcards_dict) for job in workflow.dag.jobs if job.rule is rule]


def _script(rule: Any) -> Path:
    folder = Path(rule.basedir.get_path_or_uri(secret_free=True))
    return folder.joinpath(rule.script).resolve()


def _snakemake(job: Any) -> Any:
    """Return the object `snakemake` for the script of `job`."""
    from snakemake.iocontainers import Snakemake

    return Snakemake(
        job.input,
        job.output,
        job.params,
        job.wildcards,
        job.threads,
        job.resources,
        job.log,
        job.rule.workflow.config,
        job.rule.name,
        None,
        str(_script(job.rule).parent),
    )


def relocate(snakemake: Any, into: Path) -> None:
    """Move the outputs and the log of `snakemake` into the folder `into`, and mark it as a replay for `job`."""

    def relocated(path: str) -> str:
        return str(into / Path(path).relative_to(Path(path).anchor))

    snakemake.output = type(snakemake.output)(toclone=snakemake.output, custom_map=relocated)
    snakemake.log = type(snakemake.log)(toclone=snakemake.log, custom_map=relocated)
    snakemake.is_replay = True


if __name__ == "__main__":
    main(sys.argv[1:])
