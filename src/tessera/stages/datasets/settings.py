"""Settings of datasets."""

from pydantic import Field, model_validator

from tessera.core.settings import Settings


class OfDataset(Settings):
    """The images of a dataset of regions: those with a region are of the class `present`, the others of `absent`."""

    dataset: str
    present: str = Field(min_length=1)
    absent: str = Field(min_length=1)

    @model_validator(mode="after")
    def _classes_differ(self) -> "OfDataset":
        if self.present == self.absent:
            raise ValueError("`present` and `absent` should be two classes")
        return self


class CroissantSettings(Settings):
    """What only the publisher of a dataset knows."""

    creator: str = ""
    url: str = ""
    version: str = Field("1.0.0", pattern=r"^\d+\.\d+\.\d+$")
    date: str = Field("", pattern=r"^(\d{4}-\d{2}-\d{2})?$")
    cite_as: str = ""
