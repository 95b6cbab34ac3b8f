"""The report: all figures in one file."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tessera.core.errors import TesseraError


def make_report(snakefile: str, config: dict[str, Any], files: Sequence[Path], stylesheet: Path, path: Path) -> None:
    """Write Snakemake's HTML report of `files`, which are finished outputs of the workflow `snakefile` under `config`.

    This runs a second Snakemake in the same folder while the workflow runs. It only reads. Raises `TesseraError` if it fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        # The complete configuration, so that its files and the options of the command line are not needed.
        configuration = Path(folder) / "config.json"
        configuration.write_text(json.dumps(config), encoding="utf-8")
        command = [sys.executable, "-m", "snakemake", "--snakefile", snakefile, "--configfile", str(configuration), "--nolock"]
        command += ["--profile", "none", "--workflow-profile", "none", "--report", str(path)]
        command += ["--report-stylesheet", str(stylesheet), "--", *map(str, files)]
        ran = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True, errors="backslashreplace")
        print(ran.stderr, file=sys.stderr)
        if ran.returncode != 0:
            *_, reason = ["no reason given", *filter(str.strip, ran.stderr.splitlines())]
            raise TesseraError(f"Snakemake could not make the report: {reason}")
