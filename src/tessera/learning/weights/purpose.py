"""Distinguish detectors from restoration models by the bytes of their files, so that errors can name a confusion."""

import zipfile
from pathlib import Path
from typing import Literal, TypeAlias

from tessera.core.errors import TesseraError

Purpose: TypeAlias = Literal["detector", "restoration model"]
# What is written in the pickle of a checkpoint, or in the header of a safetensors: a module, or the name of a layer.
MARKS: dict[Purpose, bytes] = {"detector": b"ultralytics", "restoration model": b"conv_last.weight"}
START = 1 << 24  # bytes that are searched


def check_purpose(path: Path, expected: Purpose) -> None:
    """Raise `TesseraError` if the weights `path` are those of another model than the `expected` one. Nothing in them is run.

    Files that are neither a detector of ultralytics nor a BasicVSR++ pass: what loads them says what is wrong.
    """
    start = _start(path)
    for purpose, mark in MARKS.items():
        if purpose != expected and mark in start and MARKS[expected] not in start:
            raise TesseraError(f"{path} is a {purpose}, and a {expected} is needed here; declare other weights in this setting")


def _start(path: Path) -> bytes:
    """Return the bytes at the start of `path` or, in a checkpoint of torch, of its pickle."""
    try:
        with zipfile.ZipFile(path) as archive:
            name = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
            with archive.open(name) as file:
                return file.read(START)
    except OSError:
        raise
    except Exception:  # for damaged archives and other files, exceptions of many types are raised
        with path.open("rb") as file:
            return file.read(START)
