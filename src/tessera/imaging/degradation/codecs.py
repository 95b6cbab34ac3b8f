"""Degrade clips by encoding and decoding them with video codecs."""

from collections.abc import Sequence
from fractions import Fraction
from typing import cast

import numpy as np

# Encoder, decoder, options. One thread and no option that depends on the machine, so that equal frames give equal bytes.
CODECS = {
    # For mbtree, see `tessera.imaging.encode`.
    "x264": ("libx264", "h264", {"preset": "veryfast", "mbtree": "0", "crf": "{}"}),
    "x265": (
        "libx265",
        "hevc",
        {"preset": "ultrafast", "x265-params": "cutree=0:pools=none:frame-threads=1:wpp=0:log-level=none", "crf": "{}"},
    ),
    "vp9": ("libvpx-vp9", "vp9", {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0", "crf": "{}"}),
    "mpeg2": ("mpeg2video", "mpeg2video", {"qmin": "{}", "qmax": "{}"}),
}
RATE = 25  # frames per second
LEAST_SIDE = 16  # pixels; x265 accepts no smaller frames


def encode_clip(frames: Sequence[np.ndarray], codec: str, quality: int) -> list[np.ndarray]:
    """Return `frames` after encoding and decoding them with `codec`, in memory.

    `frames`: uint8 (H, W, 3), RGB, all of one shape, with sides of any length; an image is a clip of one frame. `codec`: x264
    or x265 with a constant rate factor `quality` of 0 to 51, vp9 with one of 0 to 63, or mpeg2 with a quantizer of 1 to 31;
    higher is worse. The video is 4:2:0 in BT.709, limited range. A side that is odd or too short for the codec is extended by
    repeating the last row or column, and the result is cropped again.

    Differences from Lada: Lada passes BGR to the encoder as if it were RGB, so that red gets the low quality of blue. It
    encodes one frame per second, on each of which x264 and x265 spend far more bits: its pictures are 1.5 to 4.5 dB better
    than footage at the same rate factor. The cause is mbtree and cutree; without them, as here, single frames are 0 to 3 dB
    better, least if little moves. x265 uses `ultrafast`: 0.5 dB worse than `veryfast`, in a quarter of the time. Lada sets
    bit rates for VP9 and MPEG-2, but encoders reach a bit rate only over many frames; here their quality is constant.
    """
    import av
    import cv2
    from av import VideoCodecContext
    from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

    height, width = frames[0].shape[:2]
    tall, wide = (max(LEAST_SIDE, side + side % 2) for side in (height, width))
    name, decoder_name, options = CODECS[codec]
    encoder = cast(VideoCodecContext, av.CodecContext.create(name, "w"))
    encoder.width, encoder.height, encoder.pix_fmt = wide, tall, "yuv420p"
    encoder.framerate, encoder.time_base = Fraction(RATE), Fraction(1, RATE)
    encoder.thread_count = 1
    encoder.options = {"flags": "+bitexact"} | {key: value.format(quality) for key, value in options.items()}
    converter = VideoReformatter()  # expensive to create
    packets = []
    for number, image in enumerate(frames):
        if (tall, wide) != (height, width):
            image = cv2.copyMakeBorder(image, 0, tall - height, 0, wide - width, cv2.BORDER_REPLICATE)
        frame = converter.reformat(
            av.VideoFrame.from_ndarray(image, format="rgb24"),
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )
        frame.pts, frame.time_base = number, encoder.time_base
        packets += encoder.encode(frame)
    packets += encoder.encode(None)

    decoder = cast(VideoCodecContext, av.CodecContext.create(decoder_name, "r"))
    decoder.thread_count = 1
    converter = VideoReformatter()
    images = (
        converter.reformat(
            frame, format="rgb24", src_colorspace=Colorspace.ITU709, src_color_range=ColorRange.MPEG, threads=1
        ).to_ndarray()
        for packet in [*packets, None]
        for frame in decoder.decode(packet)
    )
    return [image[:height, :width] for image in images]
