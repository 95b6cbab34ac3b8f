"""Admit crops to be identified: of sources with general content alone."""

from collections.abc import Collection, Iterable, Mapping

from tessera.core.errors import Dropped, TesseraError
from tessera.records.manifest import Source
from tessera.records.rights import check_identifiable


def check_named(named: Collection[str], sources: Iterable[Source], manifest: str) -> None:
    """Raise `TesseraError` if one of the sources that the settings have `named` is not in the `manifest`, or is not general."""
    known = {source.source: source for source in sources}
    for name in named:
        if name not in known:
            raise TesseraError(f"`identities.sources` names {name!r}, which is not in {manifest}; correct the id or remove it")
        try:
            check_identifiable(known[name].content)
        except Dropped as error:
            raise TesseraError(f"`identities.sources` names {name!r}, an {error.reason}: {error.detail}; remove it") from None


def admit(source: str, contents: Mapping[str, str], named: Collection[str]) -> None:
    """Raise `Dropped` unless the crops of `source` may be identified.

    `contents`: the content of each admitted source. `named`: the sources that the settings name; empty: all.
    """
    if source not in contents:
        raise Dropped("source not admitted", "its source is refused, see results/sources/refused.tsv")
    check_identifiable(contents[source])
    if named and source not in named:
        raise Dropped("source not named", "`identities.sources` names others")
