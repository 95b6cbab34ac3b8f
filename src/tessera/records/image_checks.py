"""Images of others, which are hostile until they are checked.

Every file that becomes a frame, a labelled or harvested picture, or a reference passes `check_image` first. It reads the file
once, so that the bytes that are checked are those that are used.
"""

import hashlib
from pathlib import Path
from typing import NamedTuple

from tessera.core.errors import Dropped, Failed
from tessera.core.web import is_page
from tessera.imaging.images import Decoded, decode_image, read_file
from tessera.records.blocklist import Blocklist

LEAST_SIDE = 10  # pixels; ultralytics leaves smaller images out


class Checked(NamedTuple):
    """An image that may be used, and the digest of its file."""

    picture: Decoded
    sha256: str


def check_image(path: Path, name: str, listed: Blocklist, distance: int) -> Checked:
    """Return the image `path`. Raises `Failed` or `Dropped`, which call it `name`, if it cannot or must not be used.

    See `decode_image` for what is read, and how. A web page is refused, and so are pictures with a side below `LEAST_SIDE`
    pixels, files with a sha256 in `listed`, and pictures whose hashes differ from one there in at most `distance` bits.
    """
    return check_content(read_file(path), name, listed, distance)


def check_content(content: bytes, name: str, listed: Blocklist, distance: int) -> Checked:
    """Return the image in the file `content`. See `check_image`."""
    if not content:
        raise Failed("empty file", f"{name} has no bytes; copy it again")
    if is_page(content[:512]):
        raise Failed("image is HTML", f"{name} is a web page; fetch the image again")
    sha256 = hashlib.sha256(content).hexdigest()
    listed.check_file(sha256, name)
    picture = decode_image(content, name)
    height, width = picture.pixels.shape[:2]
    if min(width, height) < LEAST_SIDE:
        raise Dropped("image too small", f"{name} has {width} by {height} pixels; {LEAST_SIDE} a side are needed")
    listed.check_picture(picture.pixels, name, distance)
    return Checked(picture, sha256)
