"""Encode RGB frames to video."""

from collections.abc import Iterable
from fractions import Fraction
from itertools import chain
from pathlib import Path

import numpy as np

KEYFRAME_EVERY = 2  # seconds; a player can seek to any keyframe


def write_video(path: Path, frames: Iterable[np.ndarray], rate: Fraction | float, *, quality: int = 20) -> int:
    """Encode `frames` as H.264 to the file `path` and return how many there were.

    `frames`: uint8 (H, W, 3), RGB, all of one shape; they are taken one at a time. `rate`: frames per second. The suffix of
    `path` chooses the container. `quality`: the constant rate factor of x264, 0 to 51, lower is better. The video is
    yuv420p, which every player reads, in BT.709 colours, and says so; an odd side grows by repeating its last row or column.

    Equal frames give equal bytes on any number of cores: one thread, and no date or random identifier in the file.
    Raises `ValueError` where there is no frame, or one that is not like the first.
    """
    import av
    from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise ValueError(f"{path}: no frames to encode")
    height, width = first.shape[:2]
    rate = Fraction(rate).limit_denominator(1001)
    count = 0
    # x264's macroblock tree reads memory it never wrote on processors with AVX-512, so that no two runs are equal.
    options = {"preset": "veryfast", "crf": str(quality), "mbtree": "0", "flags": "+bitexact"}
    # With the protocol named, a colon in the file name is not taken for one.
    with av.open(f"file:{path}", "w", container_options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        encoder = stream.codec_context
        encoder.thread_count = 1
        encoder.gop_size = max(1, round(KEYFRAME_EVERY * rate))
        encoder.color_range = ColorRange.MPEG
        encoder.colorspace = Colorspace.ITU709
        encoder.color_primaries = ColorPrimaries.BT709
        encoder.color_trc = ColorTrc.BT709
        for image in chain([first], frames):
            if image.shape != (height, width, 3) or image.dtype != np.uint8:
                raise ValueError(
                    f"{path}: frame {count} is {image.dtype} {image.shape}, the video needs uint8 {(height, width, 3)}"
                )
            padded = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            frame = av.VideoFrame.from_ndarray(padded, format="rgb24").reformat(
                format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG, threads=1
            )
            frame.pts = count
            frame.time_base = 1 / rate
            container.mux(stream.encode(frame))
            count += 1
        container.mux(stream.encode())
    return count
