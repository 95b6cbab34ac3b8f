"""Settings of the harvest."""

from typing import Literal, Self, get_args

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from tessera.core.files import InputFile
from tessera.core.settings import Settings

Directive = Literal["noai", "noimageai", "noml", "noindex", "noimageindex"]


class EuropeanaQuery(Settings):
    """A search for pictures with the API of Europeana."""

    query: str = Field(min_length=1)
    """What is searched for, in the query language of the API."""
    # Nobody states who is shown, or that they agree.
    content: Literal["general"]
    """Always `general`: a search does not say who is shown in adult pictures, nor whether they agree."""
    qf: tuple[str, ...] = ()
    """Further conditions, in the same language."""
    reusability: Literal["open", "restricted", "permission"] = "open"
    """How freely the pictures may be used: `open`, `restricted` or `permission`."""
    limit: PositiveInt = 100
    """Largest number of records."""
    random: NonNegativeInt | None = None
    """Seed of a random order. `null` takes the best matches."""
    label: str = ""
    """Class of the pictures that are found."""


class ClientSettings(Settings):
    """How servers are asked."""

    # One line of ASCII, as it becomes part of a header.
    contact: str = Field("", pattern=r"^[ -~]*$")
    """Contact that requests state to servers: an e-mail address or a web page. Required for a harvest."""
    rate: PositiveFloat = 1.0
    """Largest number of requests per second to one host. If its robots.txt asks for fewer, there are fewer."""
    hosts: PositiveInt = 8
    """Number of hosts that are asked at a time."""
    attempts: PositiveInt = 3
    """Number of attempts, if a server does not answer, or says that it is busy."""
    timeout: PositiveFloat = 30.0
    """Seconds without an answer after which an attempt ends."""
    max_seconds: PositiveFloat = 300.0
    """Seconds after which an attempt ends in any case."""
    max_bytes: int = Field(100_000_000, ge=1, le=2**28)
    """Largest size of a file in bytes, up to 268435456."""
    other_hosts: bool = False
    """Whether a redirect to another host is followed. The rights that the table states need not hold there."""
    robots: bool = True
    """Whether robots.txt is obeyed."""
    x_robots_tag: tuple[Directive, ...] = get_args(Directive)
    """Directives of the header X-Robots-Tag for which a picture is dropped. `none` in a header counts as `noindex`."""
    private: bool = False
    """Whether this machine and others in its network may be asked."""


class HarvestSettings(ClientSettings):
    """Which pictures are fetched from the web, and how."""

    table: InputFile | None = None
    """Table of the addresses of pictures, with the rights to them. docs/harvest.md explains its columns."""
    europeana: tuple[EuropeanaQuery, ...] = ()
    """List of searches with the API of Europeana, whose key is read from the environment variable `EUROPEANA_API_KEY`. What
    they find is harvested like what the table lists.
    """
    placeholder_addresses: int | None = Field(5, ge=2)
    """Number of addresses of one host from which on a file that all of them give is a placeholder, and is dropped. `null` keeps
    all.
    """

    @model_validator(mode="after")
    def _says_who_asks(self) -> Self:
        if (self.table or self.europeana) and not self.contact.strip():
            raise ValueError("`contact` is empty: state an e-mail address or a web page, so that servers know who asks them")
        return self
