"""Strategies of hypothesis for annotations, and a comparison of them."""

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tessera.imaging.polygons import Part, circle, rectangle, trace
from tessera.records.annotation.model import Annotation, ImageAnnotations

WIDTH, HEIGHT = 40, 30
LABELS = ("nsfw", "watermark")

masks = arrays(np.uint8, (HEIGHT, WIDTH), elements=st.sampled_from([0, 255]), fill=st.just(0)).filter(np.any)
corners = st.tuples(st.floats(0, WIDTH), st.floats(0, HEIGHT))
polygons = st.lists(corners, min_size=3, max_size=9).map(lambda ring: np.array(ring, dtype=np.float64))
holed = st.floats(3, 6).map(lambda r: Part(rectangle((1.25, 1, 19, 19.5)), (circle((10, 10), (10 + r, 10)),)))


@st.composite
def boxes(draw: st.DrawFn) -> tuple[float, float, float, float]:
    (x0, y0), (w, h) = (
        draw(st.tuples(st.integers(0, WIDTH - 4), st.integers(0, HEIGHT - 4))),
        draw(st.tuples(*[st.integers(1, 4)] * 2)),
    )
    return float(x0), float(y0), float(x0 + w), float(y0 + h)


@st.composite
def annotations(draw: st.DrawFn, score: bool = True, box_alone: bool = True, crowd: bool = True) -> Annotation:
    label, is_crowd = draw(st.sampled_from(LABELS)), crowd and draw(st.booleans())
    confidence = draw(st.none() | st.floats(0, 1)) if score else None
    kind = draw(st.sampled_from(["polygon", "parts", "holed", "traced", "mask"] + ["box"] * box_alone))
    if kind == "box":
        return Annotation(label, None, None, draw(boxes()), is_crowd, confidence)
    if kind == "mask":
        return Annotation.of_mask(label, draw(masks), is_crowd, confidence)
    parts = {
        "polygon": lambda: (Part(draw(polygons)),),
        "parts": lambda: (Part(draw(polygons)), Part(draw(polygons))),
        "holed": lambda: (draw(holed), Part(rectangle((8.5, 8.5, 11.5, 11.5)))),
        "traced": lambda: tuple(trace(draw(masks))),
    }[kind]()
    return Annotation.of_parts(label, parts, is_crowd, confidence)


def images(**which: bool) -> st.SearchStrategy[ImageAnnotations]:
    return st.lists(annotations(**which), max_size=3).map(lambda found: ImageAnnotations("one", WIDTH, HEIGHT, tuple(found)))


def plain(image: ImageAnnotations) -> Any:
    """Return `image` as values that can be compared."""
    return (image.key, image.width, image.height, [_plain(annotation) for annotation in image.annotations])


def _plain(annotation: Annotation) -> Any:
    rings = annotation.polygons and [[ring.tolist() for ring in (part.outer, *part.holes)] for part in annotation.polygons]
    return (annotation.label, rings, annotation.rle, annotation.box, annotation.crowd, annotation.score)
