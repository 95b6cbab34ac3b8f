"""Import mask images of samples that were made from frames into annotation tables."""

from collections.abc import Mapping
from pathlib import Path

from tessera.core.errors import Failed
from tessera.core.ledger import Ledger
from tessera.core.progress import progress
from tessera.imaging.images import read_image
from tessera.records.annotation.annotation_tables import Origin, write_annotations
from tessera.records.annotation.formats.mask_images import load_mask, read_mask
from tessera.records.annotation.model import ImageAnnotations, check_complete, remark
from tessera.records.tables.footage import Frames, Sources
from tessera.records.tables.table import read_table


def import_masks(
    masks: Path,
    pictures: Path,
    final_folder: Path,
    frames: Path,
    sources: Path,
    values: Mapping[int, str],
    min_area: int,
    images: Path,
    annotations: Path,
    ledger: Path,
) -> None:
    """Write the images of the folder `pictures`, whose final path is `final_folder`, and their masks to annotation tables.

    An image and its mask, a PNG file in the folder `masks`, are named after the key of the frame that they were made from. They
    have the same key in the output tables `images` and `annotations`. `values`: label by value in the mask. Each 8-connected
    region of one value becomes one annotation, unless it has fewer than `min_area` pixels. `frames`: `tables.Frames`.
    `sources`: `tables.Sources`, which has the split and the rights.

    The perceptual hash is that of the original frame, so that mosaics do not decide which images look alike. `ledger` gets one
    row per key. A row that is `ok` with a reason lost specks; an image that lost all of its regions is dropped.
    """
    frame_of = {frame["key"]: frame for frame in read_table(frames, Frames).iter_rows(named=True)}
    source_of = {source["source"]: source for source in read_table(sources, Sources).iter_rows(named=True)}
    # Snakemake leaves a hidden file in folders that it creates.
    picture_of, mask_of = ({path.stem: path for path in folder.glob("[!.]*")} for folder in (pictures, masks))
    samples: list[tuple[ImageAnnotations, Origin]] = []
    with Ledger(ledger) as rows:
        for key in progress(sorted(picture_of.keys() | mask_of.keys()), unit="masks"):
            with rows.item(key) as note:
                if key not in picture_of:
                    raise Failed("mask without an image", f"{mask_of[key].name} has no image in {str(pictures)!r}")
                if key not in mask_of:
                    raise Failed("image without a mask", f"{picture_of[key].name} has no mask in {str(masks)!r}")
                if key not in frame_of:
                    raise Failed("no such frame", f"no frame of the sources has the key {key!r}")
                mask = load_mask(mask_of[key])
                height, width = read_image(picture_of[key]).shape[:2]
                if mask.shape != (height, width):
                    fault = f"{mask.shape[1]} by {mask.shape[0]} pixels for an image of {width} by {height}"
                    raise Failed("mask does not match its image", fault)
                annotated, losses = read_mask(mask, key, values, min_area)
                check_complete(losses, annotated.annotations, mask_of[key].name)
                source = source_of[frame_of[key]["source"]]
                path = (final_folder / picture_of[key].name).as_posix()
                origin = Origin(source["source"], path, frame_of[key]["phash"], source["split"], source["rights"])
                samples.append((annotated, origin))
                remark(note, losses)
    write_annotations(annotations, images, samples)
