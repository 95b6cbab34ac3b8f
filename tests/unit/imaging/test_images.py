"""Every kind of image file is read as a viewer shows it, and other files are refused."""

import errno
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tessera.core.errors import Failed
from tessera.core.files import IMAGE_FORMATS
from tessera.imaging.images import read_image, shrink, write_image

PICTURE = np.zeros((30, 40, 3), np.uint8) + np.array([200, 120, 40], np.uint8)
PICTURE[:, 20:] = 20, 60, 180


def save(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp", "jpg"])
def test_every_format_is_read_as_rgb(suffix: str, tmp_path: Path) -> None:
    path = save(
        tmp_path / f"a.{suffix}", Image.fromarray(PICTURE), quality=100, **({"lossless": True} if suffix == "webp" else {})
    )
    found = read_image(path)
    assert found.dtype == np.uint8
    assert found.flags.writeable
    assert np.abs(found[:, [4, 36]].astype(int) - PICTURE[:, [4, 36]]).max() <= (3 if suffix == "jpg" else 0)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr"])
def test_every_mode_is_read_as_rgb(mode: str, tmp_path: Path) -> None:
    grey = np.full((30, 40), 255, np.uint8)
    grey[:, 20:] = 0
    path = save(tmp_path / f"a.{'jpg' if mode in {'CMYK', 'YCbCr'} else 'png'}", Image.fromarray(grey).convert(mode))
    assert np.abs(read_image(path)[:, [4, 36]].astype(int) - np.stack([grey] * 3, 2)[:, [4, 36]]).max() <= 2


def test_transparent_pixels_become_white(tmp_path: Path) -> None:
    image = Image.fromarray(PICTURE).convert("RGBA")
    image.putalpha(Image.fromarray(np.where(np.arange(40) < 10, 0, 255).astype(np.uint8)[None].repeat(30, 0)))
    found = read_image(save(tmp_path / "a.png", image))
    assert (found[:, :10] == 255).all()
    assert (found[:, 10:] == PICTURE[:, 10:]).all()


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bit_values_are_scaled(suffix: str, tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 40).astype(np.uint16)[None].repeat(30, 0)
    found = read_image(save(tmp_path / f"a.{suffix}", Image.fromarray(ramp)))
    assert (found == (ramp >> 8)[..., None]).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_exif_orientation_is_applied(orientation: int, tmp_path: Path) -> None:
    upright = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)
    stored = {
        1: upright,
        2: np.fliplr(upright),
        3: np.rot90(upright, 2),
        4: np.flipud(upright),
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "a.png", Image.fromarray(np.ascontiguousarray(stored)), exif=exif)
    assert np.array_equal(read_image(path), upright)


def bomb() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


@pytest.mark.parametrize("content", [b"plain text", b"\xff\xd8\xff\xe0 cut", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_a_file_that_is_not_a_valid_image_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(Failed, match="image cannot be decoded"):
        read_image(path)


def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(bomb())
    with pytest.raises(Failed, match=r"image too large: .*178,956,970 pixels"):
        read_image(tmp_path / "a.png")


def test_an_error_names_the_file_and_the_formats_but_no_object_in_memory(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"plain text")
    with pytest.raises(Failed) as fault:
        read_image(tmp_path / "a.png")
    assert fault.value.detail == f"'{tmp_path / 'a.png'}' is none of {', '.join(IMAGE_FORMATS)}; convert it"


def test_a_truncated_image_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    path = save(tmp_path / "a.jpg", Image.fromarray(noise))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(Failed, match="image cannot be decoded"):
        read_image(path)


def test_floating_point_pixels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="floating-point"):
        read_image(save(tmp_path / "a.tif", Image.fromarray(np.zeros((4, 4), np.float32))))


def test_missing_and_empty_images_have_their_own_reasons(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="missing"):
        read_image(tmp_path / "a.png")
    (tmp_path / "b.png").touch()
    with pytest.raises(Failed, match="empty file"):
        read_image(tmp_path / "b.png")


@given(height=st.integers(1, 20), width=st.integers(1, 20), seed=st.integers(0, 9))
def test_png_keeps_every_pixel(height: int, width: int, seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    path = tmp_path_factory.mktemp("images") / "a b'é.png"
    write_image(path, image)
    assert np.array_equal(read_image(path), image)
    write_image(path, image[..., 0])
    assert np.array_equal(read_image(path)[..., 1], image[..., 0])


def test_jpeg_keeps_colours_and_has_the_set_quality(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    write_image(tmp_path / "fine.jpg", PICTURE, 95)
    assert np.abs(read_image(tmp_path / "fine.jpg")[:, [4, 36]].astype(int) - PICTURE[:, [4, 36]]).max() <= 3
    write_image(tmp_path / "fine.jpg", noise, 95)
    write_image(tmp_path / "coarse.jpg", noise, 20)
    assert (tmp_path / "coarse.jpg").stat().st_size < (tmp_path / "fine.jpg").stat().st_size / 2


def test_a_side_too_long_for_jpeg_is_reported(tmp_path: Path) -> None:
    long = np.zeros((1, 65536, 3), np.uint8)
    with pytest.raises(Failed, match=r"65536 by 1 pixels.*frames\.format: png"):
        write_image(tmp_path / "long.jpg", long)
    write_image(tmp_path / "long.png", long)
    assert read_image(tmp_path / "long.png").shape == long.shape


def test_a_full_disk_is_reported() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(OSError) as fault:
        write_image(_Named(full), PICTURE)
    assert fault.value.errno == errno.ENOSPC


class _Named(type(Path())):  # type: ignore[misc]
    """/dev/full under a name with the suffix of a format."""

    suffix = ".png"


def test_shrinking_averages_and_never_enlarges() -> None:
    board = (np.indices((8, 8)).sum(0) % 2 * 200).astype(np.uint8)
    image = np.stack([board] * 3, axis=2)
    assert (shrink(image, 4) == 100).all()
    assert shrink(image, 8) is image
    assert shrink(np.zeros((10, 1000, 3), np.uint8), 20).shape == (1, 20, 3)
    assert shrink(np.zeros((300, 400, 3), np.uint8), 200).shape == (150, 200, 3)
