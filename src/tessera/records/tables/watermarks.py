"""The table of watermarks that were drawn."""

import pandera.polars as pa
import polars as pl

from tessera.records.tables.table import Table


class Marks(Table):
    """The watermarks that were drawn over frames, with their random properties."""

    key: pl.String = pa.Field(description="key of the frame")
    number: pl.Int64 = pa.Field(ge=0, description="number of its first annotation in the frame")
    kind: pl.String = pa.Field(isin=["text", "logo"], description="text or logo")
    content: pl.String = pa.Field(description="the text, or the file name of the logo")
    font: pl.String = pa.Field(nullable=True, description="file name of the font; null for a logo")
    size: pl.Int64 = pa.Field(gt=0, description="size of the font, or longer side of the logo before rotation, pixels")
    opacity: pl.Float64 = pa.Field(gt=0, le=1, description="factor that multiplies its opacity")
    angle: pl.Float64 = pa.Field(description="rotation, degrees counter-clockwise")
    color: pl.List(pl.Int64) = pa.Field(nullable=True, description="red, green and blue of the text; null for a logo")  # type: ignore[valid-type]
    stroke: pl.Int64 = pa.Field(ge=0, description="width of the outline of the text, pixels; 0: none")
    plate: pl.Float64 = pa.Field(ge=0, le=1, description="opacity of the plate behind the text, times `opacity`; 0: none")
    tiled: pl.Boolean = pa.Field(description="whether it is repeated over the whole frame")
    regions: pl.Int64 = pa.Field(gt=0, description="number of its annotations; one unless it is tiled")
