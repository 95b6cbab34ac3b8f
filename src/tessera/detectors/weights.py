"""Weights that are declared: fetched once, verified, and never used before."""

import hashlib
from pathlib import Path
from typing import IO
from urllib.error import URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from tessera.detectors.settings import WeightsSettings
from tessera.errors import TesseraError
from tessera.job import tell
from tessera.ledger import SYSTEMIC

LIMIT = 4 << 30  # bytes; more than any detector has
CHUNK = 1 << 20  # bytes
TIMEOUT = 60  # seconds without an answer


class _HttpOnly(HTTPRedirectHandler):
    """Follows redirects to where weights may come from, and nowhere else."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: object, newurl: str
    ) -> Request | None:
        if not newurl.lower().startswith(("https://", "http://")):
            raise URLError(f"sends us to {newurl!r}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def fetch_weights(weights: WeightsSettings, path: Path) -> None:
    """Write the declared weights to `path`. Raises `TesseraError` where they cannot be had, or are not what was declared."""
    source = weights.source
    try:
        with _open(source) as stream, path.open("wb") as file:
            size, found = _copy(stream, file)
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
            "take them from whom you trust, and declare the sha256 that is told there"
        )
    tell(f"{source}: {size} bytes, as declared")


def _open(source: str) -> IO[bytes]:
    if "://" not in source:
        return Path(source).open("rb")
    stream: IO[bytes] = build_opener(_HttpOnly()).open(source, timeout=TIMEOUT)
    return stream


def _copy(stream: IO[bytes], file: IO[bytes]) -> tuple[int, str]:
    """Copy `stream` to `file`, at most a little more than allowed; return the number of bytes and their sha256."""
    size = 0
    hashed = hashlib.sha256()
    while size <= LIMIT and (chunk := stream.read(CHUNK)):
        size += len(chunk)
        hashed.update(chunk)
        file.write(chunk)
    return size, hashed.hexdigest()
