"""Fetch declared weights, and verify them before they are used."""

import zipfile
from contextlib import AbstractContextManager
from http.client import HTTPException
from pathlib import Path
from typing import IO

from tessera.core.errors import Failed, TesseraError
from tessera.core.files import open_file
from tessera.core.ledger import SYSTEMIC
from tessera.core.log import tell
from tessera.core.web import copy_within, is_page, open_address
from tessera.learning.weights.declare import WeightsSettings
from tessera.learning.weights.known import local_file
from tessera.learning.weights.packages import open_packaged

LIMIT = 4 << 30  # bytes; more than any detector has
# Checkpoints from before torch 1.6, such as SPyNet and VGG19, begin with these bytes. A safetensors file begins with a length
# of 8 bytes and a brace.
LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
TIMEOUT = 60  # seconds without an answer


def fetch_weights(weights: WeightsSettings, path: Path) -> None:
    """Write the declared weights to `path`. Its suffix, `.pt`, `.onnx` or `.csv`, states their format.

    Raises `TesseraError` if they cannot be read, are too large, do not have the declared sha256, or are not a model.
    """
    source = weights.source
    try:
        with _open(weights) as stream, path.open("wb") as file:
            size, sha256 = copy_within(stream, file, LIMIT)
    except Failed as error:
        raise TesseraError(f"the weights {source} cannot be read: {error.detail}; check `weights.source`") from None
    except (OSError, HTTPException, ValueError) as error:  # URLError is an OSError
        if isinstance(error, OSError) and error.errno in SYSTEMIC:
            raise
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise TesseraError(f"the weights {source} cannot be read: {reason}; check `weights.source`") from error
    if size > LIMIT:
        raise TesseraError(f"the weights {source} are larger than {LIMIT} bytes; check `weights.source`")
    if sha256 != weights.sha256:
        raise TesseraError(
            f"the weights {source} have the sha256 {sha256}, declared is {weights.sha256}; "
            "download them from a source you trust, and declare the sha256 that it states"
        )
    if fault := _fault(path):
        raise TesseraError(
            f"the weights {source} are no model ({fault}); declare a checkpoint of ultralytics (.pt), its export (.onnx), "
            "weights of torch (.pth) or .safetensors, or a tag list (.csv)"
        )
    tell(f"{source}: {size} bytes, as declared")


def _open(weights: WeightsSettings) -> AbstractContextManager[IO[bytes]]:
    if weights.is_packaged:
        return open_packaged(weights.source)
    return open_address(weights.source, TIMEOUT) if "://" in weights.source else open_file(local_file(weights.source))


def _fault(path: Path) -> str:
    """Return why `path` is not a model, judged by its format without running it; empty if it may be one."""
    with path.open("rb") as file:
        if is_page(file.read(512)):
            return "it is a web page"
    if path.suffix == ".csv":
        return ""  # What reads it says what is wrong.
    if path.suffix == ".onnx":
        import onnx

        try:
            model = onnx.load(path, load_external_data=False)
        except MemoryError:
            raise
        except Exception:  # the parser raises undocumented exceptions of its own
            return "it is no ONNX, or cut short"
        return "" if model.graph.node else "it is an ONNX model of nothing"
    with path.open("rb") as file:
        start = file.read(len(LEGACY))
    if start == LEGACY or start[8:9] == b"{":
        return ""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return "it is no checkpoint, or cut short"
    return "" if any(name.endswith("/data.pkl") for name in names) else "it is a zip file of something else"
