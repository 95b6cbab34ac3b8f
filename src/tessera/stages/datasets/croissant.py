"""Describe a dataset in Croissant 1.1, the format in which dataset search engines and loaders read what a dataset holds.

Facts: the specification, https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html.
"""

import json
import mimetypes
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import polars as pl

from tessera.core.provenance import read_checksums
from tessera.stages.datasets.settings import CroissantSettings

# Not every machine knows these. The first two are as mlcroissant knows them.
TYPES = {
    ".parquet": "application/x-parquet",
    ".jsonl": "application/jsonlines",
    ".webp": "image/webp",
    ".yaml": "application/yaml",
}
DECODED = "image/jpeg", "image/png"  # the formats of pictures that mlcroissant decodes; it recognises them by their content
SPLITS = ("train", "val", "test")
# The names that the specification takes from its own vocabulary, and those that it takes from there as they are.
OWN = (
    *(
        "citeAs",
        "column",
        "equivalentProperty",
        "extract",
        "field",
        "fileObject",
        "fileProperty",
        "fileSet",
        "format",
        "includes",
    ),
    *("isArray", "arrayShape", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references"),
    *("regex", "repeated", "replace", "samplingRate", "separator", "source", "subField", "transform"),
)
CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{name: f"cr:{name}" for name in OWN},
}


def write_croissant(
    dataset: str, description: str, checksums: Path, datasheet: Path, settings: CroissantSettings, croissant: Path
) -> None:
    """Write the description of the dataset in the folder of `checksums` to `croissant`, as JSON-LD.

    `checksums`: its SHA256SUMS, which lists its files. `datasheet`: its datasheet as JSON, which states the rights of its
    sources. `description`: how its samples are made.

    Each file beside `checksums` is a `FileObject` with its sha256. All files of one type in folders of one depth below one
    folder are a `FileSet`. Each table is a `RecordSet` with its columns, and so is each set of images, with the key and, if it
    is part of their path, the split of each. Raises `TesseraError` if `checksums` has another format.
    """
    files = read_checksums(checksums)
    objects = {name: sha256 for name, sha256 in sorted(files.items()) if "/" not in name}
    sets = _sets(files.keys() - objects.keys())
    tables = {name: pl.read_parquet_schema(checksums.parent / name) for name in objects if name.endswith(".parquet")}
    origins = json.loads(datasheet.read_text(encoding="utf-8"))["origins"]
    stated = {
        "license": sorted({origin["rights"] for origin in origins}),
        "url": settings.url,
        "version": settings.version,
        "datePublished": settings.date,
        "creator": {"@type": "sc:Organization", "name": settings.creator} if settings.creator else "",
        "citeAs": settings.cite_as,
    }
    sheet = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": dataset,
        "description": description,
        **{name: value for name, value in stated.items() if value},
        "distribution": [
            *(_file(name) | {"contentUrl": name, "sha256": sha256} for name, sha256 in objects.items()),
            *(_file(pattern) | {"@type": "cr:FileSet", "includes": pattern} for pattern in sets),
        ],
        "recordSet": [
            _record_set("split", [_field("split/name", "sc:Text")])
            | {"dataType": "cr:Split", "data": [{"split/name": split} for split in SPLITS]},
            *(_of_table(name, schema) for name, schema in tables.items()),
            *(_of_images(pattern, example) for pattern, example in sets.items() if _type(pattern).startswith("image/")),
        ],
    }
    croissant.write_text(json.dumps(sheet, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _sets(names: Iterable[str]) -> dict[str, str]:
    """Return a pattern for each folder, depth and suffix of `names`, each with the first name that it matches, sorted."""
    by_pattern: dict[str, str] = {}
    for name in sorted(names):
        path = PurePosixPath(name)
        first, *others = path.parts
        by_pattern.setdefault("/".join([first, *("*" for _ in others[1:]), f"*{path.suffix}"]), name)
    return dict(sorted(by_pattern.items()))


def _type(name: str) -> str:
    """Return the media type of the files whose names end as `name` does."""
    suffix = PurePosixPath(name).suffix.lower()
    return TYPES.get(suffix) or mimetypes.types_map.get(suffix, "application/octet-stream")


def _file(name: str) -> dict[str, Any]:
    kind = _type(name)
    # mlcroissant 1.1.1 reads no other pictures, unless they also have a format that it decodes. It takes the first that it
    # knows, which for TIFF would need another library.
    also = kind.startswith("image/") and kind not in DECODED
    return {"@type": "cr:FileObject", "@id": name, "name": name, "encodingFormat": ["image/png", kind] if also else kind}


def _record_set(name: str, fields: list[dict[str, Any]]) -> dict[str, Any]:
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "key": {"@id": fields[0]["@id"]}, "field": fields}


def _field(name: str, data_type: str, source: Mapping[str, Any] | None = None) -> dict[str, Any]:
    is_split = name.endswith("/split")
    return {
        "@type": "cr:Field",
        "@id": name,
        "name": name,
        "dataType": data_type,
        **({"source": source} if source else {}),
        **({"references": {"field": {"@id": "split/name"}}} if is_split else {}),
    }


def _of_table(name: str, schema: Mapping[str, pl.DataType]) -> dict[str, Any]:
    """Return the record set of the table in the file `name`, with its columns in their order."""
    stem = name.removesuffix(".parquet")
    fields = []
    for column, dtype in schema.items():
        depth = 0
        while isinstance(dtype, pl.List):
            dtype, depth = dtype.inner, depth + 1  # type: ignore[assignment]
        kind = (
            "Integer" if dtype.is_integer() else "Float" if dtype.is_float() else "Boolean" if dtype == pl.Boolean else "Text"
        )
        field = _field(f"{stem}/{column}", f"sc:{kind}", {"fileObject": {"@id": name}, "extract": {"column": column}})
        fields.append(field | ({"isArray": True, "arrayShape": ",".join(["-1"] * depth)} if depth else {}))
    return _record_set(stem, fields)


def _of_images(pattern: str, example: str) -> dict[str, Any]:
    """Return the record set of the images that match `pattern`. `example`: the name of one of them."""
    # Ids must have no spaces.
    name = f"pictures:{pattern}"

    def of_file(what: str, regex: str = "") -> dict[str, Any]:
        transform = {"transform": {"regex": regex}} if regex else {}
        return {"fileSet": {"@id": pattern}, "extract": {"fileProperty": what}, **transform}

    fields = [
        _field(f"{name}/key", "sc:Text", of_file("filename", r"^(.+)\.[^.]+$")),
        _field(f"{name}/picture", "sc:ImageObject", of_file("content")),
    ]
    # mlcroissant applies a pattern to its own result again where a field refers to another.
    # Some layouts call a folder of val "validation", as their readers do.
    if re.search(in_split := rf"^(?:.*?/)?({'|'.join(SPLITS)})(?:(?<=val)idation)?(?:/|$)", example):
        fields.append(_field(f"{name}/split", "sc:Text", of_file("fullpath", in_split)))
    return _record_set(name, fields)
