"""Settings that declare pretrained weights."""

import re
from collections.abc import Collection
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, field_validator

from tessera.core.settings import Settings


class WeightsSettings(Settings):
    """A file of pretrained weights, identified by its sha256."""

    source: str = Field(min_length=1, description="a path, or an address that starts with https:// or http://")
    sha256: str

    @field_validator("source")
    @classmethod
    def _path_or_http(cls, source: str) -> str:
        address = urlsplit(source)
        if "://" in source and address.scheme not in {"http", "https"}:
            raise ValueError("should be a path, or an address that starts with https:// or http://")
        if address.username or address.password:
            raise ValueError("should not contain a user name or a password: they would appear in logs and cards")
        return source

    @field_validator("sha256", mode="before")
    @classmethod
    def _is_a_digest(cls, sha256: object) -> str:
        digits = str(sha256).lower()
        # No real digest repeats something sixteen times in a row; placeholders do.
        if not re.fullmatch("[0-9a-f]{64}", digits) or re.search(r"(.+)\1{15}", digits):
            raise ValueError(
                "should be the 64 hexadecimal digits that `sha256sum FILE` prints; put them in quotes if all are decimal"
            )
        return digits

    @property
    def file(self) -> str:
        """The path that the file is fetched to. Its suffix decides how the weights are loaded."""
        suffix = ".onnx" if urlsplit(self.source).path.lower().endswith(".onnx") else ".pt"
        return f"resources/weights/{self.sha256}{suffix}"


class ComparedWeights(WeightsSettings):
    """Weights that a model is compared with, and the name that figures and tables give them."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$", max_length=40)


def check_compared(compared: tuple[ComparedWeights, ...], reserved: Collection[str] = ()) -> tuple[ComparedWeights, ...]:
    """Return `compared`. Raises `ValueError` if two have one name or one file, or if a name is one of `reserved`."""
    names: dict[str, str] = {}
    for each in compared:
        if each.name in reserved:
            raise ValueError(f"the name {each.name!r} stands for something else in the tables; choose another")
        if each.name in names:
            raise ValueError(f"two of them have the name {each.name!r}; rename one")
        if each.sha256 in names.values():
            other = next(name for name, sha256 in names.items() if sha256 == each.sha256)
            raise ValueError(f"{other!r} and {each.name!r} are the same file (sha256 {each.sha256[:12]}…); remove one")
        names[each.name] = each.sha256
    return compared


def _one_of(*words: str) -> BeforeValidator:
    """Return a validator of values that may be one of `words`, null or weights. Its error is a single sentence."""

    def check(value: Any) -> Any:
        if value is None or value in words or isinstance(value, dict | WeightsSettings):
            return value
        raise ValueError(
            f"should be {', '.join([*words, 'null'])}, or {{source: FILE, sha256: the digits that `sha256sum FILE` prints}}"
        )

    return BeforeValidator(check)


DeclaredWeights = Annotated[WeightsSettings | None, _one_of()]
TrainedOrDeclaredWeights = Annotated[Literal["trained"] | WeightsSettings | None, _one_of("trained")]
