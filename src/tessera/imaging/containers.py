"""The containers that are supported, and what they state about their video streams."""

from fractions import Fraction
from typing import Any

# Containers that hold their own frames and time stamps. Not playlists, scripts and image patterns, which name other files, and
# not raw streams, which have no time stamps. Formats of audio are listed so that the error says "audio only".
CONTAINERS = "mov,matroska,avi,mpegts,mpeg,flv,asf,ogg,mxf,nut,gif,ivf,dv,rm,wtv,mp3,wav,flac,aac"
MAX_PIXELS = 178_956_970  # above this, Pillow takes an image for a decompression bomb; the limit of videos is the same
MOST_STRETCHED = 4  # a pixel that is wider or taller than this is taken for a mistake
GUESSED_RATE = 25  # frames per second, if the stream does not state its rate


def video_track(container: Any) -> Any | None:
    """Return the video stream of an open container that players show: the default one or, if none is marked so, the first.

    Attached pictures and thumbnails are no video. Streams that FFmpeg can decode come first. None if there is no video.
    """
    from av.stream import Disposition

    no_video = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.dependent
    tracks = [stream for stream in container.streams.video if not stream.disposition & no_video]
    tracks.sort(key=lambda track: (track.codec_context is None, not track.disposition & Disposition.default))
    return tracks[0] if tracks else None


def pixel_aspect(stream: Any) -> Fraction:
    """Return the width of a stored pixel of a video stream relative to its height; 1 if it states none or an absurd one."""
    aspect = stream.sample_aspect_ratio or Fraction(1)
    return Fraction(aspect) if 1 / MOST_STRETCHED <= aspect <= MOST_STRETCHED else Fraction(1)


def jumps_are_allowed(container: Any) -> bool:
    """Return whether time stamps may jump within an open container, and begin anywhere, as in MPEG-TS."""
    from av.format import Flags

    return bool(container.format.flags & Flags.ts_discont.value)
