"""The table of what restoration models reach, frame by frame."""

import pandera.polars as pa
import polars as pl

from tessera.records.tables.table import Table


class RestoredFrames(Table):
    """The metrics of each method for each frame of the samples of val and test."""

    split: pl.String = pa.Field(isin=["val", "test"], description="val or test")
    key: pl.String = pa.Field(description="key of the clip")
    source: pl.String = pa.Field(description="source of the clip")
    method: pl.String = pa.Field(
        description="`mosaicked`, the input; `bicubic` and `temporal_median`, without a model; `restored`, by the model that "
        "was trained; the name of a compared model; or `clean`, which has only `warping` and `flicker`"
    )
    position: pl.Int64 = pa.Field(ge=0, description="number of the frame in the window that was measured")
    block: pl.Float64 = pa.Field(gt=0, description="side of a square with the area of a block, pixels of the sample")
    degradations: pl.List(pl.String) = pa.Field(  # type: ignore[valid-type]
        description="operations of `restoration.data.degradations` applied to the sample, sorted, each once; empty: none"
    )
    motion: pl.Float64 = pa.Field(
        nullable=True, ge=0, description="mean length of the true motion in the region, pixels; null without a region"
    )
    region_psnr: pl.Float64 = pa.Field(nullable=True, ge=0, description="PSNR over the region, dB, at most 60")
    region_ssim: pl.Float64 = pa.Field(nullable=True, description="SSIM over the region, at most 1")
    region_lpips: pl.Float64 = pa.Field(nullable=True, description="LPIPS over the region; null if it is not measured")
    frame_psnr: pl.Float64 = pa.Field(nullable=True, ge=0, description="PSNR over the frame, dB, at most 60")
    frame_ssim: pl.Float64 = pa.Field(nullable=True, description="SSIM over the frame, at most 1")
    frame_lpips: pl.Float64 = pa.Field(nullable=True, description="LPIPS over the frame; null if it is not measured")
    warping: pl.Float64 = pa.Field(
        nullable=True, ge=0, description="difference to the next frame, moved back by the true motion, levels"
    )
    flicker: pl.Float64 = pa.Field(
        nullable=True, ge=0, description="difference to the next frame where the clean clip is still, levels"
    )
    seam: pl.Float64 = pa.Field(
        nullable=True,
        ge=0,
        description="step at the outline of the region, in clean surroundings, that the clean clip does not have, levels",
    )
