"""Check a file of settings: `python -m tessera.configuration`, or with the path of another file than config/config.yaml."""

import sys
from pathlib import Path

from tessera.configuration.read import FILE, load_configuration, read_settings
from tessera.core.errors import TesseraError

if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.exit("name one file of settings, or none: python -m tessera.configuration config/config.yaml")
    path = Path(sys.argv[1]) if len(sys.argv) == 2 else FILE
    try:
        load_configuration(read_settings(path), [path])
    except TesseraError as error:
        sys.exit(str(error))
    print(f"{path}: no fault found")  # it is what the command is for
