"""Label Studio: tasks with predictions to correct, and exports with what people drew. Exports are read as untrusted input.

Coordinates are percentages of the image. A brush is a mask in run lengths, see `brushes`. The formats are those of
label-studio-sdk 2.0.
"""

import base64
import io
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

import numpy as np

from tessera.core.errors import Dropped, Failed
from tessera.core.files import IMAGE_SUFFIXES
from tessera.core.messages import pluralize
from tessera.core.provenance import digest
from tessera.imaging.borders import OUTSIDE, box_inside, part_inside
from tessera.imaging.boxes import clip_box, mask_box
from tessera.imaging.masks import encode_rle
from tessera.imaging.polygons import Part, area, ellipse, polygon_box, rectangle, turned
from tessera.records.annotation.formats.brushes import decode_brush, encode_brush
from tessera.records.annotation.model import MAX_PIXELS, Annotation, ImageAnnotations, Loss
from tessera.records.label_sets import Absence

KEY = "tessera_id"  # field of the data of a task with the key of its picture
TOOLS = {"rectanglelabels": "box", "polygonlabels": "polygon", "brushlabels": "brush"}  # names in the labelling configuration
SHAPES = {"points", "rle", "imageDataURL", "width", "radiusX"}  # fields of the value of a region
# Answers about the whole picture or about another region.
ANSWERS = {"choices", "textarea", "text", "rating", "taxonomy", "number", "datetime", "pairwise", "ranker", "relation"}
ALIKE = 0.5  # intersection over union of two answers below which they differ much
COMPARED = 512  # pixels of the longer side at which answers are compared
REDRAW = "delete this region in Label Studio and draw it again"


class Task(NamedTuple):
    """A task of an export, with one of its annotations that were not cancelled: the ground truth, or else the newest."""

    where: str  # its place in the export, for messages
    image: str  # path or address of its picture, as Label Studio knows it; empty if there is none
    key: str  # `KEY` of its data; empty if there is none
    when: str  # when the annotation was changed last
    result: list[dict[str, Any]] | None  # what was drawn and chosen; None if there is no annotation
    remark: str = ""  # which annotations were left out
    truth: bool = False  # whether the annotation is marked as ground truth
    others: tuple[Any, ...] = ()  # the results of the annotations that were left out, without cancelled ones
    fault: str = ""  # why it is not known which picture it is about


def decode_bitmask(address: Any, height: int, width: int) -> np.ndarray:
    """Return the mask in `address`, a PNG picture as a data URL: uint8 (height, width), 0 or 255.

    Label Studio draws bitmasks on a transparent ground. Any alpha above 0 is set. Raises `ValueError` if it is no such picture,
    or one of another size.
    """
    from PIL.PngImagePlugin import PngImageFile

    head, _, data = address.partition(",") if isinstance(address, str) else ("", "", "")
    if not head.startswith("data:image/png") or not head.endswith(";base64"):
        raise ValueError("the bitmask is no PNG picture in base64")
    try:
        with PngImageFile(io.BytesIO(base64.b64decode(data, validate=True))) as picture:
            if picture.size != (width, height):
                raise ValueError(f"the bitmask has {picture.width} by {picture.height} pixels, the image {width} by {height}")
            if picture.mode not in ("RGBA", "LA") and "transparency" not in picture.info:
                raise ValueError("the bitmask has no transparent ground")
            alpha = np.asarray(picture.convert("RGBA"))[:, :, 3]
    except (OSError, SyntaxError) as error:
        raise ValueError(f"the bitmask is no PNG picture ({error})") from None
    return np.where(alpha > 0, np.uint8(255), np.uint8(0))


def parse_export(content: bytes, file: str) -> list[Task]:
    """Return the tasks of an export in JSON with this `content`; `file` is its name.

    Raises `Failed` if it is no such export.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Failed("broken JSON", f"{file}: {error}; export it again") from None
    tasks = document if isinstance(document, list) else [document]
    if not all(isinstance(task, dict) and isinstance(task.get("data"), dict) for task in tasks):
        raise Failed("not a Label Studio export", f"{file} is no list of tasks with `data`; export it as JSON, not as JSON-MIN")
    results = [each["result"] for task in tasks for each in _annotations(task) if _is_result(each.get("result"))]
    targets = {item.get("to_name") for result in results for item in result}
    names = {name for name in targets if isinstance(name, str)} if all(map(_is_plain, targets)) else set()
    return [_task(task, f"{file}: task {task.get('id', number)!r:.40}", names) for number, task in enumerate(tasks)]


def newest(tasks: Sequence[Task]) -> Task:
    """Return the task of one picture that is ground truth or, without one, that was annotated last.

    A remark says that others were left out.
    """
    done = [task for task in tasks if task.result is not None] or list(tasks)
    chosen = max(done, key=lambda task: (task.truth, task.when))
    others = [task for task in done if task is not chosen]
    kind = "ground truth" if chosen.truth else "newest"
    remark = f"{pluralize(len(others), 'other tasks')} of the same picture, the {kind} was kept" if others else ""
    results = (result for task in others for result in (task.result, *task.others) if result is not None)
    return chosen._replace(remark="; ".join(filter(None, [chosen.remark, remark])), others=(*chosen.others, *results))


def read_task(
    task: Task, key: str, width: int, height: int, empty: Absence = "negative", unannotated: Absence = "unknown"
) -> tuple[ImageAnnotations, list[Loss]]:
    """Return the regions that `task` states for an image of `width` by `height` pixels, and the losses.

    Rectangles are boxes or, if they are rotated, polygons, as are ellipses. Brushes and bitmasks are run lengths. A region with
    several labels becomes one of each. Losses are regions without a label, kinds without an area, and parts outside the image.
    Keypoints are minor losses. A remark says whether the annotations that were left out differ much.

    `empty`: what an annotation without any answer means; `unannotated`: what it means if there is none, or one that has answers
    but no region. Raises `Dropped` if that is `unknown`.

    Raises `Failed` if a region cannot be read or was drawn on a picture with sides of another ratio: without that region, the
    image would seem to have nothing in its place. Raises it, too, if regions were drawn on several pictures.
    """
    losses: list[Loss] = []
    if task.result == []:
        if empty == "unknown":
            raise Dropped("empty label", f"{task.where} states no region, which is `empty: unknown` in this set; label it")
        losses.append(Loss(key, "empty annotation", "it states that the picture shows nothing", kept=True))
    image, lost = _regions(task.result or [], task.where, key, width, height)
    if task.result and not image.annotations and all(loss.kept for loss in lost):
        if unannotated == "unknown":
            fix = (
                "draw its regions or, if it shows nothing, submit an annotation without answers, or set `unannotated: negative`"
            )
            raise Dropped("unlabelled", f"{task.where} has answers about the whole picture alone; {fix}")
        losses.append(Loss(key, "answers about the whole picture alone, taken for a negative", kept=True))
    if task.remark:
        alike = "; ".join(dict.fromkeys(_compared(image, other) for other in task.others))
        losses.append(Loss(key, "several annotations", "; ".join(filter(None, [task.remark, alike])), kept=True))
    return image, losses + lost


def _regions(
    result: Sequence[dict[str, Any]], place: str, key: str, width: int, height: int
) -> tuple[ImageAnnotations, list[Loss]]:
    """Return the regions in `result`, and the losses. Raises `Failed` as `read_task` does. `place`: for messages."""
    annotations: list[Annotation] = []
    losses: list[Loss] = []
    labelled = {str(item.get("id")) for item in result if _labels(item)}
    points = {str(item.get("id")) for item in result if str(item.get("type")).startswith("keypoint")}
    pictures: set[str] = set()
    for number, item in enumerate(result):
        kind, value = item.get("type"), item.get("value")
        where = f"{key}#{number}"
        if kind == "relation":
            continue
        if not isinstance(value, dict) or not isinstance(kind, str):
            raise Failed("broken region", f"{place}: region {number} has no type or value; {REDRAW}")
        if kind.startswith("keypoint") or (str(item.get("id")) in points and "height" not in value):
            losses.append(Loss(where, "a keypoint has no area", minor=True))
            continue
        if not SHAPES & value.keys():
            if kind not in ANSWERS and not ANSWERS & value.keys():
                losses.append(Loss(where, f"a {kind:.40} has no area"))
            continue
        pictures |= {item["to_name"]} if isinstance(item.get("to_name"), str) else set()
        if not _labels(item):
            # A project with separate labels exports each region a second time, with its labels.
            if str(item.get("id")) not in labelled:
                losses.append(Loss(where, "region without a label", kind))
            continue
        try:
            region, cut = _region(item, value, width, height)
        except (ValueError, TypeError, OverflowError) as error:
            raise Failed("broken region", f"{place}: region {number}: {error}; {REDRAW}") from None
        if cut:
            losses.append(Loss(where, "cut at the border of the image", kept=True))
        annotations += [replace(region, label=label, score=_score(item)) for label in _labels(item)]
    if len(pictures) > 1:
        raise Failed("regions of several pictures", f"{place}: {sorted(pictures)}; label each picture in a task of its own")
    return ImageAnnotations(key, width, height, tuple(annotations)), losses


def _compared(image: ImageAnnotations, other: Any) -> str:
    """Return whether `image` differs much from the regions that the result `other` states for it."""
    if not _is_result(other):
        return "another cannot be read"
    try:
        second, _ = _regions(other, "", image.key, image.width, image.height)
    except Failed as fault:
        return f"another cannot be read: {fault.detail.strip(': ')}"
    factor = min(1.0, COMPARED / max(image.width, image.height))
    height, width = max(1, round(factor * image.height)), max(1, round(factor * image.width))
    worst, label = min(
        ((_overlap(image, second, name, height, width), name) for name in _names(image, second)), default=(1, "")
    )
    if worst >= ALIKE:
        return "they are alike"
    return f"they differ much: of what one of them labels {label!r:.40}, both share {worst:.0%}"


def _names(*images: ImageAnnotations) -> set[str]:
    return {annotation.label for image in images for annotation in image.annotations}


def _overlap(first: ImageAnnotations, other: ImageAnnotations, label: str, height: int, width: int) -> float:
    """Return the intersection over the union of the regions with `label`, at a size of `width` by `height` pixels."""
    drawn = []
    for image in (first.scaled(width, height), other.scaled(width, height)):
        mask = np.zeros((height, width), bool)
        for region in image.annotations:
            if region.label == label and region.polygons is None and region.rle is None:
                x0, y0, x1, y1 = np.rint(region.box).astype(int).tolist()
                mask[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)] = True
            elif region.label == label:
                mask |= region.mask(height, width) > 0
        drawn.append(mask)
    either = np.count_nonzero(drawn[0] | drawn[1])
    return float(np.count_nonzero(drawn[0] & drawn[1]) / either) if either else 1.0


def read_choices(task: Task, question: str = "") -> list[str]:
    """Return what was chosen for the whole picture of `task`, in the order of the export, each once.

    `question`: the name in the labelling configuration whose choices are wanted; empty for all. Ratings and numbers are texts.
    """
    chosen: list[str] = []
    for item in task.result or ():
        value = item.get("value")
        if not isinstance(value, dict) or (question and item.get("from_name") != question):
            continue
        choices = value.get("choices")
        chosen += [choice for choice in choices if _is_text(choice)] if isinstance(choices, list) else []
        chosen += [str(value[name]) for name in ("rating", "number") if isinstance(value.get(name), int | float)]
    return list(dict.fromkeys(chosen))


@dataclass(frozen=True)
class Prediction:
    """What a model found in the picture of a task, for `write_task`."""

    model_version: str
    choices: Mapping[str, str]  # what it chose for the whole picture, by the name of the question
    score: float | None = None  # how certain the choices are; None if that is not known


def write_task(image: ImageAnnotations, address: str, prediction: Prediction) -> tuple[dict[str, Any], list[Loss]]:
    """Return a task with the regions of `image` as a prediction to correct, and the losses.

    `address`: the picture as Label Studio reaches it. A polygon with several parts
    or holes becomes a brush with the same pixels. The score of the task is the lowest of its regions and choices, so that
    Label Studio can sort the least certain pictures first.
    """
    results: list[dict[str, Any]] = []
    losses: list[Loss] = []
    common = {"to_name": "image", "original_width": image.width, "original_height": image.height, "image_rotation": 0}
    for number, annotation in enumerate(image.annotations):
        where = f"{image.key}#{number}"
        if annotation.crowd:
            losses.append(Loss(where, "Label Studio has no crowd regions", kept=True))
        kind, value = _value(annotation, image.width, image.height)
        if not value:
            losses.append(Loss(where, "empty region"))
            continue
        result = {"id": digest([image.key, number])[:10], "type": kind, "from_name": TOOLS[kind], **common}
        result["value"] = {**value, kind: [annotation.label]}
        results.append(result if annotation.score is None else {**result, "score": annotation.score})
    for question, choice in prediction.choices.items():
        result = {"id": digest([image.key, question])[:10], "type": "choices", "from_name": question, "to_name": "image"}
        results.append({**result, "value": {"choices": [choice]}})
    predicted: dict[str, Any] = {"model_version": prediction.model_version, "result": results}
    scores = [result["score"] for result in results if "score" in result]
    if scores := scores if prediction.score is None else [*scores, prediction.score]:
        predicted["score"] = min(scores)
    return {"data": {"image": address, KEY: image.key}, "predictions": [predicted]}, losses


def local_address(path: Path) -> str:
    """Return the address of the file `path` for Label Studio.

    It serves local files below the working folder or, if `path` is absolute, below `/`.
    """
    return f"/data/local-files/?d={quote(path.as_posix().lstrip('/'))}"


def labelling_config(labels: Sequence[str], questions: Mapping[str, Sequence[str]]) -> str:
    """Return the labelling configuration, XML, of a project for the tasks of `write_task`.

    `labels`: the classes of regions. `questions`: the choices for the whole picture, by the name of the question.
    """
    lines = ["<View>", '  <Image name="image" value="$image" zoom="true" zoomControl="true"/>']
    for tag, name in (("BrushLabels", "brush"), ("PolygonLabels", "polygon"), ("RectangleLabels", "box")):
        named = [f"    <Label value={quoteattr(label)}/>" for label in labels]
        lines += [f'  <{tag} name="{name}" toName="image">', *named, f"  </{tag}>"] if labels else []
    for question, choices in questions.items():
        named = [f"    <Choice value={quoteattr(choice)}/>" for choice in choices]
        lines += [f'  <Choices name={quoteattr(question)} toName="image" choice="single">', *named, "  </Choices>"]
    return "\n".join([*lines, "</View>", ""])


def _task(task: dict[str, Any], where: str, names: Collection[str]) -> Task:
    """Return a `task` of an export whose answers are about the things with these `names` in the labelling configuration."""
    key = task["data"].get(KEY)
    annotations = _annotations(task)
    drawn = [each for each in annotations if not each.get("was_cancelled")]
    cancelled = len(annotations) - len(drawn)
    remarks = [f"{pluralize(cancelled, 'cancelled annotations')} left out"] if cancelled else []
    chosen = max(drawn, key=lambda each: (each.get("ground_truth") is True, _when(each)), default={})
    truth = chosen.get("ground_truth") is True
    if len(drawn) > 1:
        kept = "ground truth" if truth else "newest"
        remarks.append(f"{pluralize(len(drawn), 'annotations')} of one picture, the {kept} was kept")
    result = chosen.get("result")
    if chosen and not _is_result(result):
        remarks.append("its result cannot be read")
        result = None
    others = tuple(each.get("result") for each in drawn if each is not chosen)
    image, fault = _image(task["data"], names, result)
    remark = "; ".join(remarks)
    return Task(where, image, key if _is_text(key) else "", _when(chosen), result, remark, truth, others, fault)


def _annotations(task: dict[str, Any]) -> list[dict[str, Any]]:
    given = task.get("annotations", task.get("completions"))
    return [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _image(data: dict[str, Any], names: Collection[str], result: Any) -> tuple[str, str]:
    """Return the address of the picture in the `data` of a task or, if it is not known, why.

    It is in the field `image`, in the only one that names a picture or, if several do, in the one with one of `names`, what
    the annotations of the export are about. `result`: that of the task; None if there is none.
    """
    pictures = [name for name, value in data.items() if _is_text(value) and _names_picture(value)]
    if len(pictures) > 1:
        about = [name for name in pictures if name in names]
        if len(about) == 1:
            pictures = about
        elif result is None and "image" in pictures:
            pictures = ["image"]
        else:
            listed = ", ".join(f"data.{name:.40}" for name in pictures)
            return "", f"{listed} are pictures; leave the one that is labelled in the data of the export, or give it the `name`"
    given = data.get(pictures[0] if pictures else "image")
    return given if isinstance(given, str) else "", ""


def _names_picture(value: str) -> bool:
    ends = value, re.split(r"[?#]", value)[0]
    return any(PurePosixPath(end).suffix.lower() in IMAGE_SUFFIXES for end in ends)


def _when(annotation: dict[str, Any]) -> str:
    # Times of one server are written alike, so that they sort as text.
    return next((str(annotation[name]) for name in ("updated_at", "created_at") if annotation.get(name)), "")


def _is_result(result: Any) -> bool:
    return isinstance(result, list) and all(isinstance(item, dict) for item in result)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _labels(item: dict[str, Any]) -> list[str]:
    value = item.get("value")
    kind = item.get("type")
    labels = (value.get(kind) or value.get("labels")) if isinstance(value, dict) and isinstance(kind, str) else None
    return list(dict.fromkeys(label for label in labels if _is_text(label))) if isinstance(labels, list) else []


def _score(item: dict[str, Any]) -> float | None:
    score = item.get("score")
    return float(score) if isinstance(score, int | float) and 0 <= score <= 1 else None


def _region(item: dict[str, Any], value: dict[str, Any], width: int, height: int) -> tuple[Annotation, bool]:
    """Return the region of `value` without a label, and whether a part that lay outside the image was cut off.

    Raises `ValueError` if it is broken or lies outside the image.
    """
    drawn = item.get("original_width", width), item.get("original_height", height)
    if not all(type(side) is int and 0 < side <= MAX_PIXELS for side in drawn) or drawn[0] * drawn[1] > MAX_PIXELS:
        raise ValueError(f"it was drawn on a picture of {drawn[0]!r:.20} by {drawn[1]!r:.20} pixels")
    factor = max(width, height) / max(drawn)
    if abs(drawn[0] * factor - width) > 1 or abs(drawn[1] * factor - height) > 1:
        raise ValueError(f"it was drawn on a picture of {drawn[0]} by {drawn[1]} pixels, the image has {width} by {height}")
    if item.get("image_rotation"):
        raise ValueError("it was drawn on the rotated picture, and Label Studio does not say how its regions turn with it")
    if "rle" in value or "imageDataURL" in value:
        read, field = (decode_brush, "rle") if "rle" in value else (decode_bitmask, "imageDataURL")
        mask = read(value[field], drawn[1], drawn[0])
        if not mask.any():
            raise ValueError("the brush is empty")
        image = ImageAnnotations("", *drawn, (Annotation("", None, encode_rle(mask), mask_box(mask)),))
        return image.scaled(width, height).annotations[0], False
    most = OUTSIDE
    scale = np.array([width, height]) / 100
    if "points" in value:
        ring = _numbers(value["points"], 2) * scale
    else:
        x, y = _numbers([[value.get("x"), value.get("y")]], 2)[0] * scale
        names = ("radiusX", "radiusY") if "radiusX" in value else ("width", "height")
        across, down = _numbers([[value.get(name) for name in names]], 2)[0] * scale
        if across <= 0 or down <= 0:
            raise ValueError("it has no area")
        (turn,) = _numbers([[value.get("rotation") or 0]], 1)[0].tolist()
        if not turn % 360 and "radiusX" not in value:
            box, cut = box_inside((x, y, x + across, y + down), width, height)
            return Annotation("", None, None, box), cut
        # About the corner of a rectangle or the centre of an ellipse. Its ends may lie outside, where it meets the border.
        is_ellipse = "radiusX" in value
        ring = (
            ellipse((x, y), (across, down), turn)
            if is_ellipse
            else turned(rectangle((x, y, x + across, y + down)), turn, (x, y))
        )
        most = np.inf
    if len(ring) < 3 or area(ring) == 0:
        raise ValueError("it has no area")
    part, cut = part_inside(Part(ring), width, height, most)
    return Annotation("", (part,), None, polygon_box((part,))), cut


def _numbers(values: Any, columns: int) -> np.ndarray:
    """Return `values` as float64 (n, columns). Raises `ValueError` if they are none, or beyond ten times the image."""
    numbers = np.array(values, dtype=np.float64)
    if numbers.ndim != 2 or numbers.shape[1] != columns or not (np.abs(numbers) <= 1000).all():
        raise ValueError("its coordinates are not percentages")
    return numbers


def _value(annotation: Annotation, width: int, height: int) -> tuple[str, dict[str, Any]]:
    """Return the kind of region that `annotation` becomes, and its value; the value is empty if the region is."""
    scale = 100 / np.array([width, height])
    if annotation.polygons is None and annotation.rle is None:
        x0, y0, x1, y1 = clip_box(annotation.box, width, height)
        if x1 <= x0 or y1 <= y0:
            return "rectanglelabels", {}
        (x, y), (across, down) = (np.array([[x0, y0], [x1 - x0, y1 - y0]]) * scale).tolist()
        return "rectanglelabels", {"x": x, "y": y, "width": across, "height": down, "rotation": 0}
    if annotation.polygons is not None and len(annotation.polygons) == 1 and not annotation.polygons[0].holes:
        ring = annotation.polygons[0].outer
        if len(ring) > 2 and area(ring) > 0:
            return "polygonlabels", {"points": (ring * scale).tolist(), "closed": True}
    mask = annotation.mask(height, width)
    return "brushlabels", {"format": "rle", "rle": encode_brush(mask)} if mask.any() else {}
