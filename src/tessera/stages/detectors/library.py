"""What ultralytics accepts: its architectures, and its training arguments with their types and limits.

It is read from the files of ultralytics: an import takes seconds, and settings are checked whenever a run is planned.
"""

import ast
import importlib.util
import re
from collections.abc import Callable
from difflib import get_close_matches
from functools import cache
from math import inf, isfinite
from pathlib import Path
from typing import Any

import yaml

from tessera.core.settings import as_given

# Training arguments that the workflow sets, and the reason why the configuration must not.
OWNED = {
    **dict.fromkeys(("model", "pretrained"), "is given by `architecture` and `weights`"),
    **dict.fromkeys(("data", "split"), "is the dataset of the same name as the model"),
    **dict.fromkeys(("seed", "deterministic"), "follows from the global `seed`: training must be repeatable"),
    **dict.fromkeys(("project", "name", "save_dir", "exist_ok", "save"), "is decided by the folder of the results"),
    **dict.fromkeys(("plots", "profile"), "is done by the workflow, which draws its own curves"),
    "resume": "is done by itself when a training was killed",
    "device": "is the GPU where there is one; hide GPUs with CUDA_VISIBLE_DEVICES",
    "workers": "follows from the threads of the rule; set them with `--set-threads train_detector=N`",
    **dict.fromkeys(("task", "mode", "cfg"), "is given by the architecture and the rule"),
    "distill_model": "would load a second file of weights, which nothing verifies",
    "quantize": "would make a model that the export cannot verify",
    # Arguments of the other modes of ultralytics, which are in the same list.
    **dict.fromkeys(
        (
            *("source", "vid_stride", "stream_buffer", "visualize", "augment", "agnostic_nms", "classes", "retina_masks"),
            *(
                "embed",
                "show",
                "save_frames",
                "save_txt",
                "save_conf",
                "save_crop",
                "show_labels",
                "show_conf",
                "line_width",
                "show_boxes",
            ),
            *("format", "optimize", "dynamic", "simplify", "opset", "workspace", "save_json", "dnn", "nms", "tracker", "conf"),
        ),
        "is not an argument of training",
    ),
}
HEADS = {"Detect": "detect", "v10Detect": "detect", "Segment": "segment", "Segment26": "segment"}
SEVERAL_TYPES = {
    **dict.fromkeys(("cache", "amp", "compile"), ("bool", "str")),
    "batch": ("int", "float"),
    "fraction": ("int", "float", "list"),
    "freeze": ("int", "list"),
    "imgsz": ("int", "list"),
    "scale": ("float", "list"),
}
TYPES = {
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "str": (str,),
    "list": (list,),
}


def _is_number(value: Any) -> bool:
    return type(value) in {int, float} and isfinite(value)  # not `isinstance`, because in Python a bool is an int


def _is_count(value: Any) -> bool:
    return _is_number(value) and value >= 1 and value == int(value)


def _one_of(*words: str) -> tuple[Callable[[Any], bool], str]:
    # Ultralytics ignores the case of some of these words.
    return lambda value: not isinstance(value, str) or value.lower() in map(str.lower, words), f"one of {', '.join(words)}"


# Values that their type and `limits` do not describe: whether a value is allowed, and which ones are.
ALLOWED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "imgsz": (lambda value: _is_count(value) and value % 32 == 0, "a multiple of 32"),
    "batch": (
        lambda value: _is_count(value) or (_is_number(value) and (value == -1 or 0 < value < 1)),
        "a whole number from 1, a fraction between 0 and 1 of the memory of the GPU, or -1 for 0.6 of it",
    ),
    "fraction": (
        lambda value: _is_count(value) or (_is_number(value) and 0 < value < 1),
        "a fraction above 0 and up to 1, or a whole number of images",
    ),
    "scale": (
        lambda value: (
            (len(value) == 2 and all(_is_number(each) and each > 0 for each in value) and value[0] <= value[1])
            if isinstance(value, list)
            else _is_number(value) and 0 <= value <= 1
        ),
        "a number from 0 to 1, or a list of the smallest and the largest factor",
    ),
    "save_period": (lambda value: value >= -1, "-1 or more"),
    "cache": _one_of("ram"),
    "amp": _one_of("fp16", "bf16", "fp32"),
    "compile": _one_of("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"),
    "optimizer": _one_of("auto", "SGD", "MuSGD", "Adam", "Adamax", "AdamW", "NAdam", "RAdam", "RMSProp"),
    "copy_paste_mode": _one_of("flip", "mixup"),
    "auto_augment": _one_of("randaugment", "autoaugment", "augmix"),
}


def argument_fault(name: str, value: Any) -> str:
    """Return why the training argument `name` cannot be `value`, and what is allowed; an empty text if it can."""
    if name in OWNED:
        return f"cannot be set, it {OWNED[name]}"
    types = {known: allowed for known, allowed in arguments().items() if known not in OWNED}
    if name not in types:
        near = get_close_matches(name, types, n=1)
        return f"unknown training argument of ultralytics; did you mean {near[0]!r}?" if near else "unknown training argument"
    if name == "cache" and value == "disk":
        return "'disk' would write into the finished dataset; use 'ram' or false"
    allowed = _fitting(name, value, types[name])
    return f"should be {allowed}; given: {as_given(value)}" if allowed else ""


def _fitting(name: str, value: Any, types: tuple[str, ...]) -> str:
    """Return the values that the argument `name` may have, or an empty text if `value` is one of them."""
    kinds = [kind for kind in types if kind != "optional"]
    if value is None:
        return "" if "optional" in types else " or ".join(kinds)
    # Not `isinstance`, because in Python a bool is an int.
    if type(value) not in [python for kind in kinds for python in TYPES.get(kind, (type(value),))]:
        return " or ".join(kinds)
    if name in ALLOWED:
        is_allowed, described = ALLOWED[name]
        return "" if is_allowed(value) else described
    least, most = limits().get(name, (0, inf))
    numbers = [each for each in (value if isinstance(value, list) else [value]) if type(each) in {int, float}]
    if all(isfinite(each) and least <= each <= most for each in numbers):
        return ""
    return f"a number from {least:g} to {most:g}" if isfinite(most) else f"a number from {least:g}"


@cache
def arguments() -> dict[str, tuple[str, ...]]:
    """Return the arguments of ultralytics, and the types of those that a training may set.

    An argument that may be null also has the type `optional`.
    """
    defaults = yaml.safe_load((_ultralytics() / "cfg/default.yaml").read_text(encoding="utf-8"))
    checked = _checked()
    kinds = {
        **dict.fromkeys((*checked["CFG_FLOAT_KEYS"], *checked["CFG_FRACTION_KEYS"]), ("float",)),
        **dict.fromkeys(checked["CFG_INT_KEYS"], ("int",)),
        **dict.fromkeys(checked["CFG_BOOL_KEYS"], ("bool",)),
        **dict.fromkeys(checked["CFG_STR_KEYS"], ("str",)),
        **SEVERAL_TYPES,
    }
    return {name: (*kinds.get(name, ()), *(["optional"] if value is None else [])) for name, value in defaults.items()}


@cache
def limits() -> dict[str, tuple[float, float]]:
    """Return the smallest and the largest value of each argument that ultralytics limits.

    No argument of training has a meaning below 0, so 0 is the limit of the others.
    """
    checked = _checked()
    return {
        **dict.fromkeys(checked["CFG_FRACTION_KEYS"], (0, 1)),
        **{name: (least, inf) for name, least in checked["CFG_INT_MIN"].items()},
    }


@cache
def _checked() -> dict[str, Any]:
    """Return the constants by which ultralytics checks arguments: sets of their names, or numbers by name."""
    module = ast.parse((_ultralytics() / "cfg/__init__.py").read_text(encoding="utf-8"))
    found = {}
    for statement in module.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(args=[value]) | value) if name.startswith("CFG_"):
                found[name] = ast.literal_eval(value)
    return found


def architectures() -> list[str]:
    """Return the names of the architectures of ultralytics that can be trained here, without the scale letter."""
    return [name for name, file in _architectures().items() if _head(file) in HEADS]


@cache
def _architectures() -> dict[str, Path]:
    return {file.name: file for file in sorted((_ultralytics() / "cfg/models").rglob("yolo*.yaml"))}


@cache
def _head(architecture: Path) -> str:
    """Return the name of the last module of the `architecture`, which is what it finds."""
    *_, last = yaml.safe_load(architecture.read_text(encoding="utf-8"))["head"]
    return str(last[2])


def task_of(architecture: str) -> str:
    """Return `detect` if `architecture` finds boxes, `segment` if it finds masks. Raises `KeyError` for others."""
    # The letter after the number is the scale. One file defines all scales: yolo11m-seg.yaml is in yolo11-seg.yaml.
    unscaled = re.sub(r"(\d+)[nslmx](.*)$", r"\1\2", architecture)
    known = _architectures()
    return HEADS[_head(known[architecture if architecture in known else unscaled])]


def _ultralytics() -> Path:
    # Not imported: an import takes seconds, and this runs whenever the workflow is planned.
    spec = importlib.util.find_spec("ultralytics")
    assert spec is not None and spec.origin is not None, "ultralytics is not installed"
    return Path(spec.origin).parent
