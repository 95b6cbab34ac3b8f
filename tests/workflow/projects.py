"""A small project in a temporary folder that can be run."""

import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).resolve().parents[2]


@cache
def snakemake_server() -> "subprocess.Popen[str]":
    """Return the process that forks itself for each run of Snakemake; it ends with this one."""
    # Isolated, because the copy of Tessera that a run imports is decided after the fork.
    command = [sys.executable, "-I", str(Path(__file__).with_name("snakemake_server.py"))]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@dataclass(frozen=True)
class Run:
    """One run of Snakemake: its exit status, what it printed, and the jobs it ran, as "rule" or "rule shard"."""

    returncode: int
    output: str
    jobs: list[str]


@dataclass
class Project:
    """A working folder with its own settings, manifest and results. The workflow is `snakefile`, if a run is given no other."""

    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)
    snakefile: Path = REPOSITORY / "Snakefile"

    @property
    def results(self) -> Path:
        return self.folder / "results"

    def write_manifest(self, rows: Sequence[Mapping[str, str]]) -> None:
        """Write `config/sources.tsv`; a row needs `source` and `path`, general footage with rights if it says no more."""
        defaults = {"content": "general", "rights": "CC0"}
        columns = list(dict.fromkeys(["source", "path", *defaults, *(name for row in rows for name in row)]))
        with (self.folder / "config" / "sources.tsv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns, delimiter="\t", lineterminator="\n", restval="")
            writer.writeheader()
            writer.writerows({**defaults, **row} for row in rows)

    def write_snakefile(self, rules: Sequence[str]) -> Path:
        """Write a workflow with only these files of `rules`, and return its path."""
        files = {path.stem: str(path) for path in (REPOSITORY / "workflow" / "rules").rglob("*.smk")}
        includes = "".join(f"include: {files[name]!r}\n" for name in ["messages", *rules])
        path = self.folder / "Snakefile"
        path.write_text(
            f'configfile: "config/config.yaml"\npathvars:\n    logs="results/logs",\n    benchmarks="results/b"\n{includes}'
        )
        return path

    def command(
        self, *arguments: str, cores: int | None = None, snakefile: Path | None = None, profile: str = "default"
    ) -> tuple[list[str], dict[str, str]]:
        """Write the `settings` of the project; return the arguments that Snakemake takes and its environment."""
        # A shard per source by default: tests see what a change of one source makes again.
        settings = {"shards": "per_source", **self.settings}
        (self.folder / "config" / "config.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
        options = ["--snakefile", str(snakefile or self.snakefile), "--directory", str(self.folder)]
        options += ["--workflow-profile", str(REPOSITORY / "profiles" / profile), *(["--cores", str(cores)] if cores else [])]
        return [*options, *arguments], {**os.environ, "COLUMNS": "1000", "NO_COLOR": "1"}

    def start(self, *arguments: str, cores: int = 2, snakefile: Path | None = None) -> "subprocess.Popen[bytes]":
        """Start Snakemake with `arguments` (targets and options) and the `settings` of the project, over the defaults."""
        options, environment = self.command(*arguments, cores=cores, snakefile=snakefile)
        command = [sys.executable, "-m", "snakemake", *options]
        return subprocess.Popen(
            command, cwd=self.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
        )

    def run(self, *arguments: str, cores: int = 2, snakefile: Path | None = None, timeout: int = 1200) -> Run:
        """Run Snakemake to its end. The parameters are those of `start`."""
        # Each job writes its log, so the logs in this folder afterwards are the jobs that ran.
        logs = self.results / "logs"
        for log in logs.rglob("*.log"):
            log.unlink()
        options, environment = self.command(*arguments, cores=cores, snakefile=snakefile)
        with tempfile.NamedTemporaryFile() as output:
            request = {"arguments": options, "folder": str(self.folder), "environment": environment, "output": output.name}
            server = snakemake_server()
            print(json.dumps({**request, "timeout": timeout}), file=server.stdin, flush=True)
            answer = server.stdout.readline()
            printed = output.read().decode(errors="backslashreplace")
        jobs = sorted(" ".join(log.relative_to(logs).with_suffix("").parts) for log in logs.rglob("*.log"))
        return Run(int(answer), printed, jobs)

    @classmethod
    def create(cls, folder: Path) -> "Project":
        """Make an empty project in `folder`: write files and a manifest into it, change `settings`, then `run`."""
        (folder / "config").mkdir(parents=True)
        shutil.copy(REPOSITORY / "config" / "blocklist.tsv", folder / "config")
        return cls(folder)
