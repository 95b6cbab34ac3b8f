"""Read and write files of tensors: no code in them is run, equal content gives equal bytes, and files appear complete."""

import io
import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tessera.core.errors import TesseraError

if TYPE_CHECKING:
    import torch

NESTED = "state_dict", "params"  # where checkpoints hold their weights: those of mmengine and of many others, and of BasicSR
SIZE = "size"  # in the metadata of a safetensors: the side of the pictures that it was trained on


def read_tensors(path: Path) -> "dict[str, torch.Tensor]":
    """Return the tensors in `path` by name; float32, on the CPU.

    Raises `TesseraError` if it cannot be read without code, or if it declares tensors that do not fit into the file: such a
    file is hostile, and takes far more memory than its size.
    """
    import torch
    from safetensors.torch import load_file

    size = path.stat().st_size
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            _check_fits(path, sum(record.file_size for record in archive.infolist()), size)
    try:
        state: Any = load_file(path) if _is_safetensors(path) else torch.load(path, map_location="cpu", weights_only=True)
        state = next((state[name] for name in NESTED if not isinstance(state.get(name), torch.Tensor | None)), state)
        tensors = {name: value for name, value in state.items() if isinstance(name, str) and isinstance(value, torch.Tensor)}
        if any(value.is_meta or value.layout != torch.strided for value in tensors.values()):
            raise ValueError("tensors without stored values")
        # Several names may share one tensor, as those of a generator and its moving average do.
        keys = {name: (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype) for name, tensor in tensors.items()}
        distinct = {keys[name]: value for name, value in tensors.items()}
        _check_fits(path, sum(value.numel() * value.element_size() for value in distinct.values()), size)
        converted = {key: value.float() for key, value in distinct.items()}
        return {name: converted[key] for name, key in keys.items()}
    except (MemoryError, OSError, TesseraError):
        raise
    except Exception as error:  # the exceptions for invalid files are not documented
        raise TesseraError(
            f"{path} is not a file of only weights ({_reason(error)}); copy it again, or, if it is a training checkpoint "
            "that you trust, save only its `state_dict`"
        ) from error


def _check_fits(path: Path, declared: int, size: int) -> None:
    if declared > size:
        raise TesseraError(
            f"{path} declares {declared:,} bytes of content, but has only {size:,}; copy it again, or get it from its author"
        )


def _reason(error: Exception) -> str:
    """Return the first sentence of a message of torch or safetensors, without torch's advice to run the code in the file."""
    message = str(error).split("WeightsUnpickler error: ")[-1].strip()
    return message.split("\n")[0].split(". ")[0] or type(error).__name__


def _is_safetensors(path: Path) -> bool:
    with path.open("rb") as file:
        # A safetensors begins with 8 bytes of length and a JSON header; a checkpoint is a zip file or a pickle.
        return file.read(9)[8:] == b"{"


def read_metadata(path: Path) -> dict[str, str]:
    """Return the metadata of the safetensors `path`; empty for files of other formats. Raises as `read_tensors` does."""
    from safetensors import safe_open

    if not _is_safetensors(path):
        return {}
    try:
        with safe_open(path, "pt") as file:
            return dict(file.metadata() or {})
    except Exception as error:
        raise TesseraError(f"{path} is a damaged safetensors ({_reason(error)}); copy it again") from error


def stated_size(path: Path) -> int | None:
    """Return the side in pixels of the pictures that the weights in `path` were trained on, a multiple of 4 from 32 to 9,996.

    None if the file does not say, or says something else.
    """
    stated = read_metadata(path).get(SIZE, "")
    size = int(stated) if re.fullmatch(r"[1-9]\d{1,3}", stated, re.ASCII) else 0
    return size if size >= 32 and size % 4 == 0 else None


def safetensors_bytes(weights: "Mapping[str, torch.Tensor]", metadata: Mapping[str, str]) -> bytes:
    """Return a safetensors of `weights` and `metadata`, which is sorted: the library writes it in another order in each run."""
    from safetensors.torch import save

    data: bytes = save(dict(weights), dict(metadata))
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    # The tensors after the header begin at a multiple of 8 bytes.
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


def write_tensors(content: dict[str, Any], path: Path) -> None:
    """Write `content` to the checkpoint `path` of torch atomically."""
    import torch

    # Not to a file, because torch does not report a full disk, and writes the file name into the file.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    partial = path.with_name(f".partial.{path.name}")
    try:
        partial.write_bytes(buffer.getbuffer())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
