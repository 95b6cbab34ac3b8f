"""Environments: made from a lock file, whole or not at all."""

import subprocess
import sys
from pathlib import Path

from tessera.core.errors import TesseraError


def build_environment(lock: Path, environment: Path) -> None:
    """Make the virtual environment `environment` of exactly the packages in `lock`, every one checked by its hash.

    It can be moved afterwards. Raises `TesseraError` where uv cannot make it; what uv said is in the log.
    """
    uv = [sys.executable, "-m", "uv"]
    install = ["pip", "install", "--python", str(environment), "--no-deps", "--require-hashes", "--requirement", str(lock)]
    for arguments in (["venv", "--relocatable", "--python", sys.executable, str(environment)], install):
        if subprocess.run([*uv, *arguments], stdin=subprocess.DEVNULL).returncode:
            raise TesseraError(f"{lock}: uv could not make this environment; the log says why. `make lock` writes it anew")
