"""The fonts in Matplotlib. Their licence is beside them."""

from importlib.util import find_spec
from pathlib import Path

from tessera.core.errors import TesseraError

SANS = "DejaVuSans.ttf"


def font_folder() -> Path:
    """Return the folder of the fonts, without importing Matplotlib, which takes a fifth of a second.

    Raises `TesseraError` if it is not installed.
    """
    package = find_spec("matplotlib")
    if package is None or package.origin is None:
        raise TesseraError("Matplotlib is not installed; run `make setup` to install the dependencies of the workflow")
    return Path(package.origin).parent / "mpl-data/fonts/ttf"
