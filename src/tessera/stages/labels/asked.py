"""Frames whose labels were asked for: they belong to their sources in the manifest."""

from pathlib import Path

from tessera.core.errors import Dropped
from tessera.core.files import file_name
from tessera.imaging.hashing import perceptual_hash
from tessera.records.annotation.annotation_tables import Origin
from tessera.records.annotation.label_files import frame_source
from tessera.records.label_sets import PictureSet
from tessera.records.tables.footage import Sources
from tessera.records.tables.table import read_table
from tessera.stages.labels.pictures import Picture, SplitOf


class AskedFrames:
    """The sources whose frames may be in a set that `snakemake ask` filled. `sources`: `tables.Sources`."""

    def __init__(self, sources: Path) -> None:
        rows = read_table(sources, Sources).select("source", "kind", "rights")
        self._sources = {file_name(source): (source, kind, rights) for source, kind, rights in rows.iter_rows()}

    def origin(self, label_set: PictureSet, source: str, picture: Picture, split: SplitOf) -> Origin:
        """Return the origin of a `picture`, which has the name of a frame.

        It belongs to the source of the frame, with its split. If `split_by` of the set is `image`, each frame of a source that
        is no video is the source `SOURCE/FRAME`, with the `split` that its folders name, where `source` is that of the set.
        Raises `Dropped` if it is no frame of an admitted source.
        """
        path = picture.file.path
        name, kind, rights = self._sources.get(frame_source(Path(path)), ("", "", ""))
        if not name:
            raise Dropped("source not admitted", f"{picture.file.shown} is no frame of an admitted source; delete it")
        stated_split = ""
        if label_set.split_by == "image" and kind != "video":
            name, stated_split = f"{source}/{path.stem}", split(path)
        return Origin(name, picture.path, perceptual_hash(picture.image), stated_split, rights)
