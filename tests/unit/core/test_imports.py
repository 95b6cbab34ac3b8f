"""Imports of large libraries."""

import gc

from tessera.core.imports import many_imports


def test_what_was_imported_is_left_alone_by_the_garbage_collector_which_goes_on() -> None:
    before = gc.get_freeze_count()
    try:
        with many_imports():
            assert not gc.isenabled()
            made = [[] for _ in range(1000)]
        assert gc.isenabled()
        assert gc.get_freeze_count() >= before + len(made)
    finally:
        gc.unfreeze()
