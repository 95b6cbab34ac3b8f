"""A process that has imported Snakemake and forks for each run, which saves the imports: a second of each run.

It reads one request per line from standard input, as JSON, and answers with the exit status of the run. Tessera is not
imported before the fork, because a run may use a changed copy of it. A job finds the run that it must end with by looking for
"snakemake" in the command lines of its parents; the name of this file satisfies that.
"""

import json
import os
import signal
import sys
import tempfile


def main() -> None:
    """Serve requests until standard input ends."""
    from snakemake import cli

    # This imports the plugins too.
    cli.get_argument_parser()
    assert not any(name.partition(".")[0] == "tessera" for name in sys.modules)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            run(**json.loads(line))
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def run(arguments: list[str], folder: str, environment: dict[str, str], output: str, timeout: int) -> None:
    """Run `python -m snakemake` in this process, in `folder`, with its output in the file `output`."""
    from snakemake import cli

    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = [folder, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    tempfile.tempdir = None
    nothing, file = os.open(os.devnull, os.O_RDONLY), os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for descriptor, number in ((nothing, 0), (file, 1), (file, 2)):
        os.dup2(descriptor, number)
    signal.alarm(timeout)
    sys.argv = ["snakemake", *arguments]
    sys.exit(cli.main(arguments))


if __name__ == "__main__":
    main()
