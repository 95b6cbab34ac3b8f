"""Settings that declare pretrained weights."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator

from tessera.core.messages import Message, did_you_mean
from tessera.core.settings import Settings, complaint
from tessera.learning.weights.known import (
    DETECTOR_STARTER,
    FLOW_STARTER,
    PREFIX,
    RESTORER_STARTER,
    STARTER,
    PackagedWeights,
    known_weights,
)


def with_source(given: Any, *words: str, starter: str = "") -> Any:
    """Return weights as `given` in settings, with a `source` in place of a name in resources/weights.tsv or of a package.

    `words` are allowed in place of weights; null stands for None. `starter`: the name that the word `STARTER` stands for, if it
    is allowed. Raises `ValueError`, with one sentence.
    """
    if isinstance(given, dict) and not {"package", "file"}.isdisjoint(given):
        if "source" in given:
            raise ValueError("should state either `source`, or `package` and `file`")
        stated = {name: value for name, value in given.items() if name in PackagedWeights.model_fields}
        try:
            source = PackagedWeights.model_validate(stated).source
        except ValidationError as error:
            fault = error.errors()[0]
            raise ValueError(f"`{fault['loc'][0]}` {complaint(fault)}") from None
        return {"source": source, **{name: value for name, value in given.items() if name not in stated}}
    allowed = [None if word == "null" else word for word in words]
    if isinstance(given, dict | WeightsSettings) or given in allowed:
        return given
    if isinstance(given, str) and (known := known_weights().get(starter if given == STARTER else given)):
        return {"source": known.source, "sha256": known.sha256}
    words = (*words, STARTER) if starter else words
    ways = [*words, "a name in resources/weights.tsv", "{source: FILE, sha256: …}", "{package: …, file: …, sha256: …}"]
    meant = did_you_mean(given, [*words, *known_weights()]) if isinstance(given, str) else ""
    raise ValueError(f"should be {', '.join(ways[:-1])} or {ways[-1]}{meant}")


class WeightsSettings(Settings):
    """A file of pretrained weights, or the tag list that belongs to them, identified by its sha256."""

    source: str = Field(min_length=1, description="A path, or an address that starts with https:// or http://.")
    sha256: str
    """Its sha256, 64 hexadecimal digits: the output of `sha256sum FILE`."""

    @model_validator(mode="before")
    @classmethod
    def _has_a_source(cls, given: Any) -> Any:
        return with_source(given)

    @field_validator("source")
    @classmethod
    def _path_or_http(cls, source: str) -> str:
        address = urlsplit(source)
        if "://" in source and address.scheme not in {"http", "https"}:
            raise ValueError("should be a path, or an address that starts with https:// or http://.")
        if address.username or address.password:
            raise ValueError("should not contain a user name or a password: they would appear in logs and cards")
        return source

    @field_validator("sha256", mode="before")
    @classmethod
    def _is_a_digest(cls, sha256: object) -> str:
        digits = str(sha256).lower()
        if not re.fullmatch("[0-9a-f]{64}", digits):
            raise ValueError(
                "should be the 64 hexadecimal digits that `sha256sum FILE` prints; put them in quotes if all are decimal"
            )
        # No real digest repeats something sixteen times in a row.
        if re.search(r"(.+)\1{15}", digits):
            raise ValueError("is a placeholder: write the 64 digits that `sha256sum FILE` prints")
        return digits

    @property
    def is_packaged(self) -> bool:
        """Whether it is a file of a Python package."""
        return self.source.startswith(PREFIX)

    @property
    def file(self) -> str:
        """The path that the file is fetched to. Its suffix decides how the weights are loaded."""
        stated = Path(urlsplit(self.source).path).suffix.lower()
        suffix = stated if stated in {".onnx", ".csv"} else ".pt"
        return f"resources/weights/{self.sha256}{suffix}"


class ComparedWeights(WeightsSettings):
    """Weights of others, which are compared with a model that is trained here."""

    starter: ClassVar[str] = ""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$", max_length=40, description="What the report calls them.")

    @model_validator(mode="before")
    @classmethod
    def _has_a_name(cls, given: Any) -> Any:
        return {"name": given, **with_source(given, starter=cls.starter)} if isinstance(given, str) else given


def _one_of(*words: str, starter: str = "") -> BeforeValidator:
    """Return a validator of values that may be one of `words` or weights; see `with_source`. Its error is a single sentence."""
    return BeforeValidator(lambda given: with_source(given, *words, starter=starter))


def compared_faults(model: str, compared: Sequence[ComparedWeights], reserved: Collection[str] = ()) -> list[str]:
    """Return why the weights `compared` with the model of the name `model` cannot be told apart.

    `reserved`: names that stand for something else in tables.
    """
    names = Counter([model, *reserved, *(weights.name for weights in compared)])
    files = Counter(weights.sha256 for weights in compared)
    faults: list[Message] = [
        f"{count} models are called {name!r}; give each a name of its own" for name, count in names.items() if count > 1
    ]
    for file in (file for file, count in files.items() if count > 1):
        same = ", ".join(repr(weights.name) for weights in compared if weights.sha256 == file)
        faults.append(f"{same} are the same file, with the sha256 {file}; keep one of them")
    return [f"`comparisons.{model}`: {fault}" for fault in faults]


DeclaredWeights = Annotated[WeightsSettings | None, _one_of("null")]
FlowWeights = Annotated[WeightsSettings | None, _one_of("null", starter=FLOW_STARTER)]
DetectorWeights = Annotated[WeightsSettings | None, _one_of("null", starter=DETECTOR_STARTER)]
TrainedOrOtherWeights = Annotated[Literal["trained"] | WeightsSettings, _one_of("trained", starter=DETECTOR_STARTER)]
TrainedOrDeclaredWeights = Annotated[Literal["trained"] | WeightsSettings | None, _one_of("trained", "null")]
TrainedOrDeclaredDetector = Annotated[
    Literal["trained"] | WeightsSettings | None, _one_of("trained", "null", starter=DETECTOR_STARTER)
]
TrainedOrDeclaredRestorer = Annotated[
    Literal["trained"] | WeightsSettings | None, _one_of("trained", "null", starter=RESTORER_STARTER)
]
AnyRegionWeights = Annotated[Literal["trained", "anywhere"] | WeightsSettings | None, _one_of("trained", "anywhere", "null")]
