"""Tables are written whole, or it is told why not."""

import errno
from pathlib import Path

import polars as pl
import pytest

from tessera.tables import Splits, types, write_table


def test_a_full_disk_is_told() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(OSError) as fault:
        write_table(pl.DataFrame(schema=types(Splits)), Splits, full)
    assert fault.value.errno == errno.ENOSPC
