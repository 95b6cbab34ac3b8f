"""Settings of datasets."""

from pydantic import Field, model_validator

from tessera.core.settings import Settings


class OfDataset(Settings):
    """The images of a dataset of regions: those with a region are of the class `present`, the others of `absent`."""

    dataset: str
    """Dataset of regions, such as watermark_detection."""
    present: str = Field(min_length=1)
    """Class of its images with a region."""
    absent: str = Field(min_length=1)
    """Class of its images without a region."""

    @model_validator(mode="after")
    def _classes_differ(self) -> "OfDataset":
        if self.present == self.absent:
            raise ValueError("`present` and `absent` should be two classes")
        return self


class CroissantSettings(Settings):
    """What only the publisher of a dataset knows."""

    creator: str = ""
    """Name of the person or organisation that publishes the datasets. Empty states none."""
    url: str = ""
    """Address where the datasets are published. Empty states none."""
    version: str = Field("1.0.0", pattern=r"^\d+\.\d+\.\d+$")
    """Version of the datasets, three numbers with dots between them."""
    date: str = Field("", pattern=r"^(\d{4}-\d{2}-\d{2})?$")
    """Date of publication as year-month-day, in quotes. Empty states none."""
    cite_as: str = ""
    """How to cite the datasets, as text or BibTeX. Empty states nothing."""
