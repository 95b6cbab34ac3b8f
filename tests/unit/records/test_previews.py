"""Which sources are previewed."""

import pytest

from tessera.core.errors import TesseraError
from tessera.records.manifest import Source
from tessera.records.previews import previewed_sources


def sources(*names: str) -> list[Source]:
    return [Source(source=name, path="x", content="general") for name in names]


def test_all_sources_are_previewed_unless_the_settings_name_some() -> None:
    shards = {"s": sources("a", "b"), "t": sources("c")}
    assert previewed_sources(shards, [], {}) == {"s": ["a", "b"], "t": ["c"]}
    assert previewed_sources(shards, ["b"], {"preview.restore.shown": ["c"]}) == {"s": ["b"]}


@pytest.mark.parametrize(
    ("asked", "named", "key"),
    [(["dgo"], {}, "preview.sources"), ([], {"preview.restore.shown": ["dgo"]}, "preview.restore.shown")],
)
def test_an_unknown_source_is_an_error_that_names_known_ones(asked: list[str], named: dict[str, list[str]], key: str) -> None:
    with pytest.raises(TesseraError, match=rf"{key}: the manifest has no source 'dgo'; it has 'dog', .*…"):
        previewed_sources({"s": sources("dog", *(f"other {n}" for n in range(20)))}, asked, named)
