"""Which sources are previewed."""

import pytest

from tessera.core.errors import TesseraError
from tessera.records.manifest import Source
from tessera.records.previews import check_ids, ids_of


def sources(*names: str) -> list[Source]:
    return [Source(source=name, path="x", content="general") for name in names]


def test_shards_without_a_wanted_source_are_left_out() -> None:
    shards = {"s": sources("a", "b"), "t": sources("c")}
    assert ids_of(shards, lambda source: source.source != "c") == {"s": ["a", "b"]}


def test_an_unknown_source_is_an_error_that_names_known_ones() -> None:
    known = ["dog", *(f"other {n}" for n in range(20))]
    check_ids({"preview.sources": known}, known)
    with pytest.raises(TesseraError, match=r"preview\.sources: the manifest has no source 'dgo'; it has 'dog', .*…"):
        check_ids({"preview.sources": ["dgo"]}, known)
    with pytest.raises(TesseraError, match=r"restore\.shown: the manifest has no source 'dgo' to restore; it has none\."):
        check_ids({"restore.shown": ["dgo"]}, [], " to restore")
