"""Which statements of rights footage and images need before anything is made of them."""

from typing import NamedTuple, Protocol

from tessera.core.errors import Dropped


class Stated(Protocol):
    """What people state about footage or images."""

    @property
    def content(self) -> str:
        """`general` or `adult`."""

    @property
    def rights(self) -> str:
        """The licence or the contract."""

    @property
    def consent(self) -> str:
        """The reference to the release of the people shown."""

    @property
    def adults_verified(self) -> str:
        """`yes` if all people shown were verified to be adults."""


class Missing(NamedTuple):
    """A statement that is missing."""

    reason: str
    fix: str


def missing_rights(stated: Stated) -> list[Missing]:
    """Return all statements without which the material must not be used; an empty list if it may be."""
    missing = []
    if not stated.rights.strip():
        missing.append(Missing("no rights", "state the licence or the contract in `rights`"))
    if stated.content == "adult" and stated.adults_verified != "yes":
        fix = "adult content needs `yes` in `adults_verified`: verify the adults first"
        missing.append(Missing("adults not verified", fix))
    if stated.content == "adult" and not stated.consent.strip():
        missing.append(Missing("no consent", "adult content needs the reference to the release in `consent`"))
    return missing


def check_rights(stated: Stated) -> None:
    """Raise `Dropped`, with all reasons, if the material must not be used."""
    if missing := missing_rights(stated):
        raise Dropped("; ".join(each.reason for each in missing), "; ".join(each.fix for each in missing))


def check_identifiable(content: str) -> None:
    """Raise `Dropped` if nobody may be identified in material with this `content`: all that is not known to be general."""
    if content != "general":
        raise Dropped("adult source", "people are identified only in sources whose `content` is general")
