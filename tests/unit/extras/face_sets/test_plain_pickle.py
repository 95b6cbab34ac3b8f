"""Pickles of others give plain values, as the pickler of the standard library wrote them, or `Failed`, and run nothing."""

import enum
import pickle
import sys
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from tessera.core.errors import Failed
from tessera.extras.face_sets.plain_pickle import MAX_DEPTH, read_pickle, write_pickle

MOST = 10_000
PROTOCOLS = st.integers(2, 5)
DTYPES = ("b1", "u1", "<i2", ">i2", "<u4", "<i8", "<f2", "<f4", ">f4", "<f8", ">f8")
floats = st.floats(allow_nan=False)
atoms = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | floats | st.text() | st.binary() | st.binary().map(bytearray)
numpy_values = st.sampled_from(DTYPES).flatmap(
    lambda dtype: (
        arrays(dtype, array_shapes(min_dims=0, min_side=0, max_side=4)) | arrays(dtype, ()).map(lambda array: array[()])
    )
)
rows = st.integers(2, 3).flatmap(lambda columns: st.lists(st.lists(floats, min_size=columns, max_size=columns), max_size=9))
values = st.recursive(
    atoms | numpy_values | rows,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(), inner, max_size=4)
        | inner.map(lambda value: [value, value])
    ),
    max_leaves=12,
)


def comparable(value: Any) -> Any:
    """Return `value` with what may be read as another type in one form, and with types, so that 1, 1.0 and True differ."""
    if isinstance(value, np.ndarray) and value.dtype == float and value.ndim == 2 and value.shape[1] in {2, 3} and len(value):
        value = value.tolist()
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.str, value.tobytes()
    if isinstance(value, list | tuple):
        return type(value), [comparable(child) for child in value]
    if isinstance(value, dict):
        return [(name, comparable(child)) for name, child in value.items()]
    return (
        (bytes, bytes(value))
        if isinstance(value, bytearray)
        else (type(value), repr(value) if isinstance(value, float) else value)
    )


@given(values, PROTOCOLS)
def test_a_value_is_read_as_it_was_written(value: Any, protocol: int) -> None:
    assert comparable(read_pickle(pickle.dumps(value, protocol), MOST)) == comparable(value)


@given(values)
def test_what_is_written_is_read_by_pickle_alike_and_names_nothing_private(value: Any) -> None:
    content = write_pickle(value)
    assert comparable(pickle.loads(content)) == comparable(read_pickle(content, MOST)) == comparable(value)  # noqa: S301


def test_arrays_are_written_with_public_names_alone() -> None:
    content = write_pickle({"mask": np.arange(5, dtype="u1")})
    assert b"cnumpy\nndarray\n" in content and content.count(b"numpy") == 1


@pytest.mark.parametrize("protocol", range(2, 6))
def test_lists_that_a_pickler_writes_in_pieces_are_whole(protocol: int) -> None:
    for length in (999, 1000, 1001, 1002, 2001):
        points = np.random.default_rng(length).uniform(0, 1, (length, 2)).tolist()
        assert comparable(read_pickle(pickle.dumps(points, protocol), 20_000)) == comparable(points)


@pytest.mark.parametrize("protocol", range(2, 6))
def test_values_that_are_referred_to_twice_are_equal(protocol: int) -> None:
    points = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
    array, big_endian = np.arange(4, dtype="<f4"), np.arange(4, dtype=">f4")
    for value in (
        [points, points],
        [points, points[1]],
        [array, array],
        [big_endian, big_endian, big_endian[1:]],
        [points, points[2][0]],
    ):
        assert comparable(read_pickle(pickle.dumps(value, protocol), MOST)) == comparable(value)


@given(numpy_values, st.integers(2, 3))
def test_arrays_of_numpy_1_are_read(value: Any, protocol: int) -> None:
    content = pickle.dumps(value, protocol).replace(b"cnumpy._core.", b"cnumpy.core.")
    assert comparable(read_pickle(content, MOST)) == comparable(value)


def test_fortran_order_is_kept() -> None:
    array = np.asfortranarray(np.arange(6.0).reshape(2, 3).astype("f4"))
    for protocol in range(2, 6):
        assert comparable(read_pickle(pickle.dumps(array, protocol), MOST)) == comparable(array)


def test_enumerations_of_deepfacelab_are_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = []
    for module, name in (
        ("samplelib.Sample", "SampleType"),
        ("facelib.FaceType", "FaceType"),
        ("core.imagelib.SegIEPolys", "SegIEPolyType"),
    ):
        kind = enum.IntEnum(name, {"A": 4}, module=module)
        for path in accumulate(module.split("."), "{}.{}".format):
            monkeypatch.setitem(sys.modules, path, ModuleType(path))
        setattr(sys.modules[module], name, kind)
        kinds.append(kind.A)
    read = read_pickle(pickle.dumps(kinds, 4), MOST)
    assert read == [4, 4, 4] and {type(value) for value in read} == {int}


class Runs:
    """An object whose pickle calls `function`."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_is_run(protocol: int, tmp_path: Path) -> None:
    made = tmp_path / "made"
    for call in (
        Runs(Path.touch, made),
        Runs(exec, f"open({str(made)!r}, 'w')"),
        Runs(getattr, made, "name"),
        Runs(np.save, str(made), 1),
    ):
        for value in (call, {"landmarks": call}, [np.arange(3), call]):
            with pytest.raises(Failed, match="refused"):
                read_pickle(pickle.dumps(value, protocol), MOST)
    assert not list(tmp_path.iterdir())


def bomb(levels: int, times: int) -> bytes:
    """Return a pickle of a list that has the same list several times, which has the same list several times, and so on."""
    return b"\x80\x04]\x94" + b"".join(b"](" + b"h%c" % level * times + b"e\x94" for level in range(levels)) + b"."


TWICE = b"".join(b"h%ch%c\x86\x94" % (level, level) for level in range(60))
GLOBAL_ENCODE = b"\x80\x02c_codecs\nencode\nq\x00X\x00\x10\x00\x00" + b"x" * 4096 + b"q\x01X\x06\x00\x00\x00latin1q\x02"
NUMPY = b"\x80\x04cnumpy\nndarray\n"
HOSTILE = {
    "a list of lists of lists, each twice": bomb(60, 2),
    "a list of lists of lists, each a thousand times": bomb(5, 1000),
    "a list in itself": b"\x80\x04]\x94h\x00a.",
    "ten thousand lists in one another": b"\x80\x04" + b"]" * 9000 + b"a" * 8999 + b".",
    "ten thousand tuples in one another": b"\x80\x04)" + b"\x85" * 9000 + b".",
    "an entry of the memo at 2 ** 31": b"\x80\x04Nr\xff\xff\xff\x7f.",
    "an entry of the memo that is not there": b"\x80\x04h\x07.",
    "8 exabytes of bytes": b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7f.",
    "8 exabytes of text": b"\x80\x04\x8d" + b"\xff" * 7 + b"\x7f.",
    "4 gigabytes": b"\x80\x04B\xff\xff\xff\xff.",
    "an array that is larger than its bytes": NUMPY + b"\x8a\x06\x00\x00\x00\x00\x00\x01\x85X\x02\x00\x00\x00u1C\x04abcd\x87R.",
    "an array that is smaller than its bytes": NUMPY + b"K\x03\x85X\x02\x00\x00\x00u1C\x04abcd\x87R.",
    "an array of objects": NUMPY + b"K\x01\x85X\x02\x00\x00\x00O8C\x08abcdefgh\x87R.",
    "an array with a million sides": NUMPY + b"(" + b"M\xff\xff" * 9000 + b"tX\x02\x00\x00\x00u1C\x01a\x87R.",
    "an array that is not completed": b"\x80\x04cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n)C\x01b\x87R.",
    "a name that is a tuple of tuples, each twice": b"\x80\x04)\x94" + TWICE + b"\x8c\x01a\x93.",
    "an encoding that is a tuple of tuples, each twice": (
        b"\x80\x04)\x94" + TWICE + b"c_codecs\nencode\n\x8c\x01ah" + bytes([60]) + b"\x86R."
    ),
    "a byte order that is a tuple of tuples, each twice": (
        b"\x80\x04)\x94" + TWICE + b"cnumpy\ndtype\n\x8c\x02f4\x85R(K\x03h" + bytes([60]) + b"tb."
    ),
    "a tuple of more than there is": b"\x80\x04K\x01\x87.",
    "a text that is encoded a thousand times": GLOBAL_ENCODE + b"(" + b"h\x00h\x01h\x02\x86R" * 1000 + b"t.",
    "a number as the key of a dictionary": b"\x80\x04}K\x01K\x02s.",
    "the name of a function alone": b"\x80\x04cnumpy\nndarray\n.",
    "a call of what is no function": b"\x80\x04]\x85)R.",
    "a state for a list": b"\x80\x04]}b.",
    "values appended to a tuple": b"\x80\x04)Na.",
    "a key without a value": b"\x80\x04}(X\x01\x00\x00\x00aNX\x01\x00\x00\x00bu.",
    "values without a mark": b"\x80\x04]Ne.",
    "an empty stack": b"\x80\x04.",
    "a class": b"\x80\x04cbuiltins\nobject\n)\x81.",
    "a persistent value": b"\x80\x04Pname\n.",
    "a module of NumPy that runs commands": b"\x80\x04cnumpy.f2py.diagnose\nrun_command\n\x8c\x02id\x85R.",
    "an attribute of what is allowed": b"\x80\x04\x8c\x05numpy\x8c\x0fndarray.__new__\x93.",
    "an extension": b"\x80\x04\x82\x01.",
    "a buffer from elsewhere": b"\x80\x05\x97.",
    "no end": b"\x80\x04" + b"N" * 100,
    "too many opcodes": b"\x80\x04" + b"N" * MOST + b".",
    "no bytes": b"",
    "a text": b"landmarks",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_pickle_fails_in_little_memory_and_time(content: bytes) -> None:
    start = time.process_time()
    tracemalloc.start()
    try:
        with pytest.raises(Failed):
            read_pickle(content, MOST)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000 and time.process_time() - start < 2


@pytest.mark.parametrize("protocol", range(2, 6))
def test_a_pickle_that_is_cut_off_fails(protocol: int) -> None:
    content = pickle.dumps({"landmarks": [[1.5, 2.5]] * 3, "mask": np.arange(5, dtype="u1"), "name": "a"}, protocol)
    for length in range(len(content)):
        with pytest.raises(Failed):
            read_pickle(content[:length], MOST)


@given(st.binary(max_size=200), st.data())
def test_a_damaged_pickle_is_read_or_fails(noise: bytes, data: st.DataObject) -> None:
    value = {"landmarks": [[0.5, 1.5], [2.5, 3.5]], "mask": np.arange(5, dtype="u1"), "mat": np.ones((2, 3), "f4", order="F")}
    content = bytearray(pickle.dumps(value, data.draw(PROTOCOLS)))
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    for damaged in (bytes(content), b"\x80\x04" + noise, noise):
        with suppress(Failed):
            comparable(read_pickle(damaged, MOST))


def nested(depth: int) -> list[Any]:
    return [nested(depth - 1)] if depth else []


def test_the_depth_is_limited() -> None:
    assert read_pickle(write_pickle(nested(MAX_DEPTH - 1)), MOST) == nested(MAX_DEPTH - 1)
    with pytest.raises(Failed, match="in one another"):
        read_pickle(write_pickle(nested(MAX_DEPTH + 1)), MOST)


def test_the_values_are_limited() -> None:
    content = write_pickle([0.5] * 10)
    assert read_pickle(content, 15) == [0.5] * 10
    with pytest.raises(Failed, match="more than 14 opcodes"):
        read_pickle(content, 14)
