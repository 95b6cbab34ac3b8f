"""The containers that are supported, and which packets hold a visible frame."""

from typing import Any

# Containers that hold their own frames and time stamps. Not playlists, scripts and image patterns, which name other files, and
# not raw streams, which have no time stamps. Formats of audio are listed so that the error says "audio only".
CONTAINERS = "mov,matroska,avi,mpegts,mpeg,flv,asf,ogg,mxf,nut,gif,ivf,dv,rm,wtv,mp3,wav,flac,aac"
MAX_PIXELS = 178_956_970  # above this, Pillow takes an image for a decompression bomb; the limit of videos is the same
GUESSED_RATE = 25  # frames per second, if the stream does not state its rate


def is_shown(packet: Any, codec: str) -> bool:
    """Return whether `packet` holds a visible frame: edit lists discard some, and VP8 has hidden reference frames."""
    hidden = packet.is_discard or (codec == "vp8" and packet.size > 0 and not memoryview(packet)[0] & 0x10)
    return packet.size > 0 and not hidden
