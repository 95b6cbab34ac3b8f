"""Which containers and image formats are read, and what their packets show."""

from typing import Any

# Containers that hold their own pictures and time stamps. Playlists, scripts and image patterns name other files, and raw
# streams have no time stamps; those that hold only sound are here to be told apart from what is no media at all.
CONTAINERS = "mov,matroska,avi,mpegts,mpeg,flv,asf,ogg,mxf,nut,gif,ivf,dv,rm,wtv,mp3,wav,flac,aac"
IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
MAX_PIXELS = 178_956_970  # beyond which Pillow takes a picture for an attack; the same for videos
GUESSED_RATE = 25  # frames per second, where the stream does not say


def is_shown(packet: Any, codec: str) -> bool:
    """Whether `packet` holds a frame that is shown: some are cut off by an edit list, and VP8 has some only to refer to."""
    hidden = packet.is_discard or (codec == "vp8" and packet.size > 0 and not memoryview(packet)[0] & 0x10)
    return packet.size > 0 and not hidden
