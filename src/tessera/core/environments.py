"""Build virtual environments of tools from lock files."""

import subprocess
import sys
from pathlib import Path

from tessera.core.errors import TesseraError


def build_environment(lock: Path, environment: Path) -> None:
    """Make the virtual environment `environment` with exactly the packages in `lock`, each verified by its hash.

    The environment can be moved. Raises `TesseraError` if uv fails; the output of uv is in the log.
    """
    uv = [sys.executable, "-m", "uv"]
    install = ["pip", "install", "--python", str(environment), "--no-deps", "--require-hashes", "--requirement", str(lock)]
    for arguments in (["venv", "--relocatable", "--python", sys.executable, str(environment)], install):
        if subprocess.run([*uv, *arguments], stdin=subprocess.DEVNULL).returncode:
            raise TesseraError(f"{lock}: uv could not make the environment; see the log. `make lock` renews the lock file")
