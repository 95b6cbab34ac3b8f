import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import images, plain

from tessera.imaging.masks import encode_rle
from tessera.records.annotation.annotation_tables import Origin, read_annotations, write_annotations
from tessera.records.annotation.model import Annotation, ImageAnnotations
from tessera.records.tables.annotation import Annotations, Images
from tessera.records.tables.table import read_table

ORIGIN = Origin("labels:studio", "labels/one.jpg", 2**64 - 1, "val", "CC0")


@pytest.mark.slow
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(images(), max_size=3))
def test_the_tables_carry_everything(tmp_path, found):
    found = [ImageAnnotations(f"image-{n}", image.width, image.height, image.annotations) for n, image in enumerate(found)]
    write_annotations(tmp_path / "a.parquet", tmp_path / "i.parquet", [(image, ORIGIN) for image in found])
    assert [plain(image) for image in read_annotations(tmp_path / "a.parquet", tmp_path / "i.parquet")] == [*map(plain, found)]


def test_no_images_give_two_empty_tables(tmp_path):
    write_annotations(tmp_path / "a.parquet", tmp_path / "i.parquet", [])
    assert list(read_annotations(tmp_path / "a.parquet", tmp_path / "i.parquet")) == []
    assert read_table(tmp_path / "i.parquet", Images).height == read_table(tmp_path / "a.parquet", Annotations).height == 0


def test_the_order_of_images_and_regions_is_kept(tmp_path):
    regions = tuple(Annotation("nsfw", None, None, (0.0, 0.0, float(n), 1.0)) for n in range(1, 12))
    found = [ImageAnnotations(key, 20, 20, regions) for key in ("b", "a", "c")]
    write_annotations(tmp_path / "a.parquet", tmp_path / "i.parquet", [(image, ORIGIN) for image in found])
    assert [plain(image) for image in read_annotations(tmp_path / "a.parquet", tmp_path / "i.parquet")] == [*map(plain, found)]
    assert read_table(tmp_path / "i.parquet", Images)["phash"].to_list() == [2**64 - 1] * 3


def test_a_region_is_polygons_or_run_lengths():
    import numpy as np

    rle = encode_rle(np.zeros((2, 2), np.uint8))
    with pytest.raises(ValueError):
        Annotation("nsfw", (), rle, (0, 0, 1, 1))
    with pytest.raises(ValueError):
        Annotation("nsfw", None, None, (0, 0, 1, 1)).mask(4, 4)
