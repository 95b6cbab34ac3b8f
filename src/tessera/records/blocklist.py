"""The blocklist: material that must not be processed, from whatever input it comes."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tessera.core.errors import Dropped, TesseraError
from tessera.core.messages import Message, pluralize
from tessera.imaging.hashing import has_structure, hashes_of


class Listed(Dropped):
    """An item is material that must not be processed."""


@dataclass(frozen=True)
class Blocklist:
    """Material that must not be processed.

    `files` maps the sha256 of a file to the reason. `hashes`, uint64, are perceptual hashes, with their `reasons` in the same
    order.
    """

    files: dict[str, str] = field(default_factory=dict)
    hashes: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint64))
    reasons: tuple[str, ...] = ()

    def check_file(self, sha256: str, name: str) -> None:
        """Raise `Listed` if the `sha256` of the file `name` is listed."""
        if sha256 in self.files:
            raise Listed("on the blocklist", f"{name} has the listed sha256 {sha256}: {self.files[sha256]}")

    def check_picture(self, image: np.ndarray, name: str, max_distance: int) -> None:
        """Raise `Listed` if `image`, uint8 (H, W, 3), RGB, has a hash within `max_distance` bits of a listed one.

        Lists that others made have the hashes of `imagehash.phash`; those in tables of Tessera may differ, see `hashes_of`.
        """
        if not self.hashes.size:
            return
        distances = np.bitwise_count(self.hashes ^ np.array(hashes_of(image), np.uint64)[:, None]).min(axis=0)
        nearest = int(distances.argmin())
        if distances[nearest] <= max_distance:
            raise Listed(
                "looks like a picture on the blocklist",
                f"{name} differs from the listed hash {self.hashes[nearest]:016x} in {distances[nearest]} bits: "
                f"{self.reasons[nearest]}",
            )


def read_blocklist(path: Path) -> Blocklist:
    """Return the blocklist in the tab-separated file `path`, without lines that start with `#`.

    A hash that many pictures share, such as all of one colour, is not compared: its row needs the sha256 of the file.

    Raises `TesseraError` that lists every fault with its line. Faulty rows are not skipped, because they would protect nobody.
    """
    files: dict[str, str] = {}
    hashes: dict[int, str] = {}
    faults: list[Message] = []
    header: list[str] | None = None
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise TesseraError(f"{path}: the blocklist cannot be read ({error}); restore it or fix `sources.blocklist`") from None
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        cells = [cell.strip() for cell in line.split("\t")]
        if header is None:
            header = cells
            if header != ["sha256", "phash", "reason"]:
                faults.append(f"line {number}: the columns are sha256, phash and reason; given: {', '.join(cells)}")
            continue
        sha256, phash, reason, *more = [*cells, "", ""][: max(3, len(cells))]
        if more:
            faults.append(f"line {number}: {pluralize(len(cells), 'fields')}, there are 3 columns")
        if sha256 and not re.fullmatch("[0-9a-fA-F]{64}", sha256):
            faults.append(f"line {number}: sha256 has 64 hexadecimal digits; given: {sha256!r}")
        elif sha256:
            files[sha256.lower()] = reason or "no reason given"
        if phash and not re.fullmatch("[0-9a-fA-F]{16}", phash):
            faults.append(f"line {number}: phash has 16 hexadecimal digits; given: {phash!r}")
        elif phash and not has_structure(int(phash, 16)):
            if not sha256:
                faults.append(
                    f"line {number}: many pictures have the phash {phash}, such as all of one colour: it identifies none;"
                    " give the sha256 of the file"
                )
        elif phash:
            hashes[int(phash, 16)] = reason or "no reason given"
        if not sha256 and not phash:
            faults.append(f"line {number}: neither sha256 nor phash is given")
    if header is None:
        faults.append("the header is missing: sha256, phash and reason, separated by tabs")
    if faults:
        listed = "\n".join(f"  {fault}" for fault in faults)
        raise TesseraError(f"{path} has {pluralize(len(faults), 'faults')}:\n{listed}")
    return Blocklist(files, np.array(list(hashes), np.uint64), tuple(hashes.values()))
