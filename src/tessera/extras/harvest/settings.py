"""Settings of the harvest."""

from typing import Literal, Self, get_args

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from tessera.core.files import InputFile
from tessera.core.settings import Settings

Directive = Literal["noai", "noimageai", "noml", "noindex", "noimageindex"]


class EuropeanaQuery(Settings):
    """A search for pictures with the API of Europeana. `random`: the seed of a random order; None: the best matches first."""

    query: str = Field(min_length=1)
    # Nobody states who is shown, or that they agree.
    content: Literal["general"]
    qf: tuple[str, ...] = ()
    reusability: Literal["open", "restricted", "permission"] = "open"
    limit: PositiveInt = 100
    random: NonNegativeInt | None = None
    label: str = ""


class ClientSettings(Settings):
    """How servers are asked."""

    # One line of ASCII, as it becomes part of a header.
    contact: str = Field("", pattern=r"^[ -~]*$")
    rate: PositiveFloat = 1.0
    hosts: PositiveInt = 8
    attempts: PositiveInt = 3
    timeout: PositiveFloat = 30.0
    max_seconds: PositiveFloat = 300.0
    max_bytes: int = Field(100_000_000, ge=1, le=2**28)
    other_hosts: bool = False
    robots: bool = True
    x_robots_tag: tuple[Directive, ...] = get_args(Directive)
    private: bool = False


class HarvestSettings(ClientSettings):
    """Which pictures are fetched from the web, and how."""

    table: InputFile | None = None
    europeana: tuple[EuropeanaQuery, ...] = ()
    placeholder_addresses: int | None = Field(5, ge=2)

    @model_validator(mode="after")
    def _says_who_asks(self) -> Self:
        if (self.table or self.europeana) and not self.contact.strip():
            raise ValueError("`contact` is empty: state an e-mail address or a web page, so that servers know who asks them")
        return self
