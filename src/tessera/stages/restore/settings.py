"""The settings of restored videos."""

from typing import Self

from pydantic import Field, PositiveInt, model_validator

from tessera.core.settings import Settings
from tessera.imaging.encodable import formats_of
from tessera.imaging.encode import Preset
from tessera.imaging.spans import parse_spans
from tessera.imaging.video_copy import ENCODERS, Codec, Encoding
from tessera.learning.weights.declare import TrainedOrDeclaredRestorer


class ComparisonSettings(Settings):
    """How large comparisons and contact sheets are drawn."""

    max_side: int = Field(1280, ge=200)
    """Longest side of comparisons in pixels, without the line with their captions."""
    tile: int = Field(400, ge=200)
    """Longer side of a picture on a contact sheet in pixels."""
    columns: PositiveInt = 4
    """Number of pictures in a row of a contact sheet, and of the frames that it shows with and without a mosaic."""


class RestoreSettings(Settings):
    """How regions are restored, and how the videos are encoded."""

    weights: TrainedOrDeclaredRestorer = "trained"
    """Weights of the restoration model. `trained` uses the model that is trained here or, if none is, that of `starter`, which
    comes with Tessera. {source: a path or https://…, sha256: …} uses a .safetensors or .pth file of Tessera or of Lada, of any
    size, which is fetched once and verified.
    """
    window: int = Field(48, ge=2)
    """Frames that are restored together. At 4K, a frame that waits takes 12 to 25 MB."""
    overlap: int = Field(8, ge=0)
    """Frames that a window shares with the next. The results of both are blended there. At most half of the window."""
    feather: float = Field(0.03, ge=0, le=0.5)
    """Width of the soft edge around a region, outside it, as a fraction of the longer side of its crop."""
    codec: Codec = "h264"
    """Codec of the restored videos: `h264`, which plays everywhere, `hevc` or `av1`. Comparisons are always H.264."""
    quantizer: int = Field(18, ge=0, le=51)
    """Quality of the videos, from 0 to 51; lower is better. For H.264, the constant quantizer, where 0 is lossless up to 8
    bits; for HEVC and AV1, the constant rate factor, where 0 is lossless in HEVC.
    """
    preset: Preset = "ultrafast"
    """Speed preset, by the names of x264. With H.264, `veryfast` takes four times as long, for files that are a fifth to a half
    smaller.
    """
    pixel_format: str = "source"
    """Pixel format of the restored videos, such as `yuv420p`, which plays everywhere, or `yuv420p10le`. `source`: that of the
    source or, if the codec does not have it, the closest.
    """
    rate: float | None = Field(None, gt=0, le=1000)
    """Constant frame rate of the restored videos; frames are repeated or left out. `null`: the times of the source."""
    spans: dict[str, list[str]] = Field(default_factory=dict)
    """Time spans by source, such as {my video: [0:10-0:25, 1:02:00-1:03:30.5]}. Of these sources, the restored video has these
    spans alone, one after the other.
    """
    render: ComparisonSettings = ComparisonSettings()
    """How large comparisons and contact sheets are drawn."""

    @property
    def encoding(self) -> Encoding:
        """How the pictures are encoded."""
        pixel_format = None if self.pixel_format == "source" else self.pixel_format
        return Encoding(self.codec, self.quantizer, self.preset, pixel_format)

    @model_validator(mode="after")
    def _pixels_are_encodable(self) -> Self:
        if self.pixel_format == "source":
            return self  # without loading FFmpeg
        known = "source", *formats_of(ENCODERS[self.codec])
        if self.pixel_format not in known:
            raise ValueError(f"`pixel_format` is {self.pixel_format!r}; with {self.codec}, it can be {', '.join(known)}")
        return self

    @model_validator(mode="after")
    def _spans_are_times(self) -> Self:
        for texts in self.spans.values():
            parse_spans(texts)
        return self

    @model_validator(mode="after")
    def _windows_proceed(self) -> Self:
        if self.overlap > self.window // 2:
            raise ValueError(f"`overlap` is {self.overlap}, which is more than half of `window`, {self.window}")
        return self
