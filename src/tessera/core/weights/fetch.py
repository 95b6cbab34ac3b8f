"""Fetch declared weights, and verify them before they are used."""

import hashlib
import zipfile
from pathlib import Path
from typing import IO
from urllib.error import URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from tessera.core.errors import Failed, TesseraError
from tessera.core.files import open_file
from tessera.core.job import tell
from tessera.core.ledger import SYSTEMIC
from tessera.core.weights.declare import WeightsSettings

LIMIT = 4 << 30  # bytes; more than any detector has
CHUNK = 1 << 20  # bytes
# Checkpoints from before torch 1.6, such as SPyNet and VGG19, begin with these bytes. A safetensors file begins with a length
# of 8 bytes and a brace.
LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
TIMEOUT = 60  # seconds without an answer


class _HttpOnly(HTTPRedirectHandler):
    """A handler that follows redirects only to HTTP and HTTPS addresses."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: object, newurl: str
    ) -> Request | None:
        if not newurl.lower().startswith(("https://", "http://")):
            raise URLError(f"redirects to {newurl!r}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def fetch_weights(weights: WeightsSettings, path: Path) -> None:
    """Write the declared weights to `path`. Its suffix, `.pt` or `.onnx`, states their format.

    Raises `TesseraError` if they cannot be read, are too large, do not have the declared sha256, or are not a model.
    """
    source = weights.source
    try:
        with _open(source) as stream, path.open("wb") as file:
            size, found = _copy(stream, file)
    except Failed as error:
        raise TesseraError(f"the weights {source} cannot be read: {error.detail}; check `weights.source`") from None
    except (OSError, ValueError) as error:  # URLError is an OSError
        if isinstance(error, OSError) and error.errno in SYSTEMIC:
            raise
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise TesseraError(f"the weights {source} cannot be read: {reason}; check `weights.source`") from error
    if size > LIMIT:
        raise TesseraError(f"the weights {source} are larger than {LIMIT} bytes; check `weights.source`")
    if found != weights.sha256:
        raise TesseraError(
            f"the weights {source} have the sha256 {found}, declared is {weights.sha256}; "
            "download them from a source you trust, and declare the sha256 that it states"
        )
    if fault := _fault(path):
        raise TesseraError(
            f"the weights {source} are no model ({fault}); declare a checkpoint of ultralytics (.pt), its export (.onnx), "
            "or weights of torch (.pth) or .safetensors"
        )
    tell(f"{source}: {size} bytes, as declared")


def _open(source: str) -> IO[bytes]:
    if "://" not in source:
        return open_file(Path(source))
    stream: IO[bytes] = build_opener(_HttpOnly()).open(source, timeout=TIMEOUT)
    return stream


def _copy(stream: IO[bytes], file: IO[bytes]) -> tuple[int, str]:
    """Copy `stream` to `file`, and return the number of bytes and their sha256. Stops after `LIMIT` bytes."""
    size = 0
    hashed = hashlib.sha256()
    while size <= LIMIT and (chunk := stream.read(CHUNK)):
        size += len(chunk)
        hashed.update(chunk)
        file.write(chunk)
    return size, hashed.hexdigest()


def _fault(path: Path) -> str:
    """Return why `path` is not a model, judged by its format without running it; empty if it may be one."""
    with path.open("rb") as file:
        if file.read(512).lstrip().lower().startswith((b"<!doctype", b"<html")):
            return "it is a web page"
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
