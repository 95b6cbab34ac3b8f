"""The sorts of faces that compare pairs, against loops; the others, against decoding; and their memory.

`FACES=500` takes fewer faces than the 5,000 that the ratios are promised for.
"""

import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from time import process_time

import cv2
import numpy as np
import pytest
from timing import seconds

import slow_faces
from face_pictures import portraits
from tessera.core.pool import keep_freed_memory
from tessera.extras.face_sets.hull import face_hull, hull_mask
from tessera.extras.face_sets.sorts import SORTS, AlignedFace
from tessera.imaging.sharpness import luma

PROMISED = 5000  # faces
COUNT = int(os.environ.get("FACES", PROMISED))
COMPARED = 100  # faces that the loops sort, too, for their ranks
SAMPLED = 20  # faces whose pairs are timed in the loops
SIZE = 256  # pixels
MOST_MEMORY = 1.5e9  # bytes
COMPARING = ("histogram_similarity", "histogram_dissimilarity", "pixel_difference", "best")


def stored(count: int) -> list[AlignedFace]:
    """Return `count` faces that are decoded when they are loaded."""
    faces = []
    for one in portraits(count, SIZE):
        content = cv2.imencode(".jpg", cv2.cvtColor(one.load(), cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
        faces.append(replace(one, load=lambda content=content: decoded(content)))
    return faces


def decoded(content: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(cv2.imdecode(content, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def pixels(face: AlignedFace) -> np.ndarray:
    return face.load()


def channels(face: AlignedFace) -> np.ndarray:
    image = face.load()
    return np.stack([slow_faces.histogram(image[:, :, channel]) for channel in range(3)])


def inside_hull(face: AlignedFace) -> np.ndarray:
    mask = hull_mask(face_hull(face.landmarks, SIZE, SIZE), SIZE, SIZE)
    return luma(face.load() * (mask > 0)[:, :, None].astype(np.uint8))


def hull_histogram(face: AlignedFace) -> np.ndarray:
    return slow_faces.histogram(inside_hull(face))[None]


def sharp_edges(face: AlignedFace) -> float:
    return slow_faces.sharp_edges(inside_hull(face))


def chain(items: Sequence[np.ndarray], distance: slow_faces.Distance) -> list[int]:
    return slow_faces.chain(items, distance)[0]


def by_total(items: Sequence[np.ndarray], distance: slow_faces.Distance) -> list[int]:
    totals = slow_faces.totals(items, distance)
    return sorted(range(len(items)), key=lambda number: (-round(totals[number], 9), number))


Loop = Callable[[Sequence[np.ndarray], slow_faces.Distance], list[int]]
# For each sort what is measured, the distance, the loop, and of how many of all pairs it computes the distance.
LOOPS: dict[str, tuple[Callable[[AlignedFace], np.ndarray], slow_faces.Distance, Loop, float]] = {
    "histogram_similarity": (channels, slow_faces.histogram_distance, chain, 0.5),
    "histogram_dissimilarity": (hull_histogram, slow_faces.histogram_distance, by_total, 1),
    "pixel_difference": (pixels, slow_faces.pixel_distance, chain, 0.5),
}


def check(sort: str, whole: float, loop: float) -> None:
    print(f"\n{sort}: {COUNT} faces in {whole:.1f} s, {loop / whole:.0f} times the speed of a loop, of which a part was timed")
    assert loop / whole >= 20 or COUNT < PROMISED


@pytest.mark.parametrize("sort", LOOPS)
def test_pairs_are_compared_at_twenty_times_the_speed_of_a_loop_with_equal_ranks(sort: str) -> None:
    measure, distance, by_loop, fraction = LOOPS[sort]
    faces = stored(COUNT)
    few = faces[:COMPARED]
    items = [measure(face) for face in few]
    places = SORTS[sort](few)
    assert sorted(places, key=lambda name: places[name].rank) == [few[number].name for number in by_loop(items, distance)]
    works = (
        lambda: SORTS[sort](faces),
        lambda: [distance(one, other) for one in items[:SAMPLED] for other in items[:SAMPLED]],
        lambda: [measure(face) for face in few],
    )
    whole, compare, alone = seconds(*works, repeats=1 if COUNT >= PROMISED else 3, clock=process_time)
    check(sort, whole, compare / SAMPLED**2 * COUNT**2 * fraction + alone / COMPARED * COUNT)


def test_the_best_faces_are_selected_at_twenty_times_the_speed_of_a_loop() -> None:
    faces = stored(COUNT)
    few = faces[:SAMPLED]
    places = SORTS["best"](few)
    selected = [name for name in sorted(places, key=lambda name: places[name].rank) if not places[name].reason]
    assert selected == slow_faces.best(few, 2000, sharp_edges)
    works = lambda: SORTS["best"](faces), lambda: [sharp_edges(face) for face in few]
    whole, alone = seconds(*works, repeats=1, clock=process_time)
    check("best", whole, alone / SAMPLED * COUNT)


def test_other_sorts_measure_a_face_in_the_time_of_decoding_it() -> None:
    keep_freed_memory()  # as the job does
    faces = stored(min(COUNT, 500))
    images = [face.load() for face in faces]
    ready = [replace(face, load=lambda image=image: image) for face, image in zip(faces, images, strict=True)]
    others = [sort for sort in SORTS if sort not in (*COMPARING, "best_faster")]
    # Pictures that are kept take fresh memory, which costs as much as decoding.
    works = [lambda: deque((face.load() for face in faces), maxlen=0)]
    works += [lambda sort=sort, given=given: SORTS[sort](given) for sort in others for given in (ready, faces)]
    decode, *times = seconds(*works, clock=process_time)
    print(f"\ndecoding: {len(faces) / decode:,.0f} faces per second")
    for sort, alone, whole in zip(others, times[::2], times[1::2], strict=True):
        print(f"{sort}: {decode / alone:.0%} of the speed of decoding, {decode / whole:.0%} with the decoding in it")
        assert decode / alone >= 0.8


@pytest.mark.parametrize("sort", COMPARING)
def test_memory_stays_below_one_and_a_half_gigabytes(sort: str) -> None:
    program = (
        "import memory, sys, bench_face_sorts as bench; bench.SORTS[sys.argv[1]](bench.stored(bench.COUNT));"
        "print(memory.largest_memory())"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", program, sort]
    run = subprocess.run(command, cwd=Path(__file__).parent, env=environment, capture_output=True, text=True, check=True)
    largest = int(run.stdout.split()[-1])
    print(f"\n{sort}: {largest / 1e6:,.0f} MB for {COUNT} faces")
    assert largest <= MOST_MEMORY
