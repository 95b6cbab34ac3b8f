"""Check a file of settings: `python -m tessera.configuration my.yaml`."""

import sys
from pathlib import Path

from tessera.configuration.read import load_configuration, read_settings
from tessera.core.errors import TesseraError

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("name one file of settings: python -m tessera.configuration my.yaml")
    try:
        load_configuration(read_settings(Path(sys.argv[1])))
    except TesseraError as error:
        sys.exit(str(error))
    print(f"{sys.argv[1]}: no faults")  # it is what the command is for
