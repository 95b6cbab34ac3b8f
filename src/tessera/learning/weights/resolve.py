"""Find the weights that a setting asks for: trained here, or declared and fetched."""

import hashlib
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tessera.core.errors import Failed, TesseraError
from tessera.core.files import check_exists, open_file
from tessera.core.provenance import sha256_file
from tessera.learning.weights.declare import ComparedWeights, WeightsSettings
from tessera.learning.weights.known import RESOURCES, SHIPPED, local_file

Weights = str | Mapping[str, Any] | None  # `trained`, the fields of `WeightsSettings`, or none


def weights_file(weights: Weights, model: str = "", suffix: str = ".pt") -> str | list[str]:
    """Return the file of `weights` as an input of a rule, an empty list for none.

    `trained` means the exported file of `model` with `suffix`.
    """
    if weights == "trained":
        return f"<results>/weights/{model}/{model}{suffix}"
    return _identified(weights).file if isinstance(weights, Mapping) else []


def weights_checksums(weights: Weights, model: str) -> str | list[str]:
    """Return the SHA256SUMS of the trained weights of `model` as an input of a rule, an empty list for other weights."""
    return f"<results>/weights/{model}/SHA256SUMS" if weights == "trained" else []


def expected_digest(weights: Weights, checksums: Path | list[Path]) -> Path | str:
    """Return what verifies the file of `weights`: the file `checksums` if they are trained, else the declared sha256."""
    if isinstance(weights, Mapping):
        return str(weights["sha256"])
    assert isinstance(checksums, Path), "trained weights come with checksums"
    return checksums


def verify_weights(weights: Path, expected: Path | str) -> None:
    """Compare the file `weights` with `expected`: its sha256, or the path of a SHA256SUMS that must list it.

    Raises `TesseraError` if it differs.
    """
    sha256 = sha256_file(weights)
    if isinstance(expected, str):
        if sha256 != expected:
            raise TesseraError(f"{weights}: its sha256 is {sha256}, but {expected} is expected; delete it and run again")
    elif f"{sha256}  {weights.name}" not in expected.read_text(encoding="utf-8", errors="replace").splitlines():
        raise TesseraError(f"{weights} differs from the file listed in {expected}; delete {weights.parent} and run again")


def check_declared(setting: str, weights: WeightsSettings) -> None:
    """Check the file of `weights`, which `setting` declares, if it is a path: an error is found before any job runs.

    Raises `TesseraError` if it is not there, or has another sha256.
    """
    if "://" in weights.source or weights.is_packaged:
        return
    path = local_file(weights.source)
    is_shipped = weights.source.startswith(SHIPPED)
    if not is_shipped:
        check_exists(setting, path)
    try:
        with open_file(path) as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except (Failed, OSError):
        if not is_shipped:
            return  # The job that copies it says why it cannot be read.
        sha256 = ""
    if sha256 != weights.sha256 and is_shipped:
        again = shlex.join(["git", "-C", str(RESOURCES), "checkout", weights.source.removeprefix(SHIPPED)])
        raise TesseraError(
            f"{setting}: {path} comes with Tessera, and is missing or damaged; get it again, such as with `{again}`"
        )
    if sha256 != weights.sha256:
        raise TesseraError(
            f"{setting}: the weights {path} have the sha256 {sha256}, declared is {weights.sha256}; correct the declaration if"
            " you trust the file, or get it again"
        )


def declared_weights(settings: Any, path: str = "") -> Iterator[tuple[str, WeightsSettings]]:
    """Yield all weights that `settings` declare at any depth, each with the dotted path of its setting."""
    if isinstance(settings, Mapping):
        # Those that are compared have a name, and possibly more.
        if set(settings) == set(WeightsSettings.model_fields) or set(ComparedWeights.model_fields) <= set(settings):
            yield path, _identified(settings)
        else:
            for key, value in settings.items():
                yield from declared_weights(value, f"{path}.{key}".removeprefix("."))
    elif isinstance(settings, list):
        for number, value in enumerate(settings):
            yield from declared_weights(value, f"{path}.{number}")


def _identified(settings: Mapping[str, Any]) -> WeightsSettings:
    """Return what identifies a file in settings that may state more of it, such as those in `comparisons`."""
    return WeightsSettings.model_validate({field: settings[field] for field in WeightsSettings.model_fields})
