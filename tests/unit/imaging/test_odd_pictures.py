"""Each kind of file is read as a viewer shows it, or refused with a reason."""

from pathlib import Path

import numpy as np
import pytest
from odd_pictures import BAD, DISPLAY_P3, GOOD, GREY, IMAGE, PICTURE, SRGB, profile, saved, shown
from PIL import Image, ImageCms

from tessera.core.errors import Failed
from tessera.core.provenance import sha256_file
from tessera.imaging import images
from tessera.imaging.images import decode_image, is_image, read_image, read_known


@pytest.mark.parametrize("name", GOOD)
def test_a_picture_is_read_as_a_viewer_shows_it(name: str) -> None:
    content, expected = GOOD[name]
    found = decode_image(content, name)
    assert found.pixels.shape == expected.shape
    assert np.abs(found.pixels.astype(int) - expected).max() <= 3
    assert bool(found.remark) == (name.split(".")[0] in {"broken profile", "profile of another space"})


@pytest.mark.parametrize("name", GOOD)
def test_a_plain_picture_is_one_that_other_programs_read_alike(name: str, tmp_path: Path) -> None:
    import cv2

    content, expected = GOOD[name]
    if decode_image(content, name).is_plain:
        # As trainers read it. OpenCV ignores profiles.
        read = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)[..., ::-1]
        assert np.abs(read.astype(int) - expected).max() <= 3


@pytest.mark.parametrize("name", [name for name in BAD if name not in {"page.jpg", "zero.jpg", "small.png"}])
def test_other_files_are_refused_with_their_name_and_a_reason(name: str) -> None:
    content, reason = BAD[name]
    with pytest.raises(Failed) as fault:
        decode_image(content, name)
    assert fault.value.reason == reason
    assert name in fault.value.detail
    assert "\n" not in fault.value.detail
    assert " at 0x" not in fault.value.detail


def test_what_a_tiff_has_too_much_of_is_said() -> None:
    for name, word in {"float.tif": "floating-point", "float in colour.tif": "floating-point", "32 bit.tif": "32-bit"}.items():
        with pytest.raises(Failed, match=word):
            decode_image(BAD[name][0], name)


def test_a_profile_of_any_name_that_is_srgb_changes_nothing() -> None:
    primaries = (0.4360, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141)
    assert (decode_image(saved(IMAGE, "PNG", icc_profile=SRGB), "a").pixels == PICTURE).all()
    swapped = profile(primaries[1], primaries[0], primaries[2])
    found = decode_image(saved(IMAGE, "PNG", icc_profile=swapped), "a").pixels
    assert (found == shown(PICTURE, swapped)).all()
    assert np.abs(found.astype(int) - PICTURE[..., [1, 0, 2]]).max() <= 12, "red and green are exchanged"


def test_a_grey_picture_may_have_a_profile_for_grey_or_for_colours() -> None:
    grey = Image.fromarray(PICTURE[..., 0])
    assert (decode_image(saved(grey, "PNG", icc_profile=SRGB), "a").pixels == GREY).all()
    linear = profile((0.4360, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141), gamma=1.0)
    found = decode_image(saved(grey, "PNG", icc_profile=linear), "a")
    assert np.abs(found.pixels.astype(int) - shown(GREY, linear)).max() <= 1
    assert (found.pixels.mean() > GREY.mean() + 20) and not found.remark


def test_the_transform_of_a_profile_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    built = []
    build = ImageCms.buildTransform
    monkeypatch.setattr(ImageCms, "buildTransform", lambda *given, **more: built.append(1) or build(*given, **more))
    images._transform.cache_clear()
    for _ in range(3):
        decode_image(saved(IMAGE, "PNG", icc_profile=DISPLAY_P3), "a")
    assert built == [1]


def test_a_huge_profile_is_ignored_with_a_remark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_PROFILE", len(DISPLAY_P3) - 1)
    images._transform.cache_clear()
    found = decode_image(saved(IMAGE, "PNG", icc_profile=DISPLAY_P3), "a")
    images._transform.cache_clear()
    assert (found.pixels == PICTURE).all() and "profile is ignored" in found.remark


def test_alpha_can_be_kept() -> None:
    content, _ = GOOD["alpha.png"]
    found = decode_image(content, "a", keep_alpha=True).pixels
    assert found.shape == (24, 32, 4) and set(np.unique(found[..., 3])) == {0, 255}
    assert (decode_image(GOOD["plain.png"][0], "a", keep_alpha=True).pixels[..., 3] == 255).all()


def test_a_file_that_changed_is_not_read_as_the_one_that_was_checked(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(GOOD["plain.png"][0])
    known = sha256_file(path)
    assert (read_known(path, known) == read_image(path)).all()
    path.write_bytes(GOOD["p3.png"][0])
    with pytest.raises(Failed, match="changed since it was checked"):
        read_known(path, known)


def test_an_animated_gif_is_a_video_where_footage_is_asked_for_and_everything_else_is_an_image(tmp_path: Path) -> None:
    for name, (content, _) in {**GOOD, **BAD}.items():
        path = tmp_path / name
        path.write_bytes(content or b"x")
        assert is_image(path) == (name not in {"animated.gif", "page.jpg", "text.png", "zero.jpg"}), name
