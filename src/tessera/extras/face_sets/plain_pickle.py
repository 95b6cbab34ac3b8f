"""Read pickles of others without running anything and within limits, and write pickles that every Python 3 reads.

The unpickler of the standard library calls what a pickle names and allocates what it declares: a few bytes can make it fill
the memory. This one interprets the opcodes that plain data need. No name is imported: those that NumPy and DeepFaceLab write
are looked up in `CALLS`, and everything else is an error.
"""

import io
import math
import pickle
import re
import struct
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tessera.core.errors import Failed

Plain = Any  # None, bool, int, float, str, bytes, an array, a list or a tuple of these, or a dict with keys that are str

MAX_DEPTH = 16  # containers in one another
ATOMS = {type(None), bool, int, float, str, bytes, np.ndarray}
DTYPE = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248])")
NOT_PLAIN = "not a plain pickle"


def _ndarray(shape: Any, dtype: Any, content: Any, order: str = "C") -> np.ndarray:
    if type(dtype) is str:
        dtype = _dtype(dtype).value
    if not isinstance(dtype, np.dtype) or type(content) is not bytes:
        raise ValueError("an array of what is no bytes")
    # Before they are multiplied: the product of a million numbers takes hours.
    if len(shape) > MAX_DEPTH or not all(type(side) is int and side >= 0 for side in shape):
        raise ValueError("an array whose shape is none")
    if math.prod(shape) * dtype.itemsize != len(content):
        raise ValueError(f"an array of shape {shape} and type {dtype} of {len(content):,} bytes")
    return np.ndarray(shape, dtype, content, order="F" if order == "F" else "C")


def _scalar(dtype: Any, content: Any) -> Any:
    return _ndarray((), dtype, content).item()


class _Unset:
    """An object that the opcode BUILD completes. `build` makes `value` of the state."""

    __slots__ = ("build", "value")

    def __init__(self, build: Callable[[Any], Any], value: Any = None) -> None:
        self.build = build
        self.value = value


def _dtype(code: Any, *_: Any) -> _Unset:
    if not DTYPE.fullmatch(code):
        raise ValueError(f"an array of type {code!r}")
    return _Unset(lambda state: _dtype(state[1] + code).value, np.dtype(code))  # a state has a byte order


def _reconstruct(kind: Any, *_: Any) -> _Unset:
    if kind is not _ndarray:
        raise ValueError("an array of a class of its own")
    return _Unset(_set_array)


def _set_array(state: Any) -> np.ndarray:
    _version, shape, dtype, is_fortran, content = state
    return _ndarray(shape, dtype, content, "F" if is_fortran else "C")


def _frombuffer(content: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    return _ndarray(shape, dtype, content, order)


def _bytes(content: Any = b"", encoding: Any = "latin1") -> bytes:
    if type(content) is bytes:
        return content
    if type(content) is not str or type(encoding) is not str or encoding not in {"latin1", "latin-1"}:
        raise ValueError("bytes of what is no text")
    return content.encode("latin1")


def _number(value: Any) -> int:
    if type(value) is not int:
        raise ValueError("a member of an enumeration that is no number")
    return value


# What a pickle may call. Before protocol 3, bytes are written as text that is encoded.
CALLS: dict[tuple[Any, Any], Callable[..., Any]] = {
    ("numpy", "ndarray"): _ndarray,
    ("numpy", "dtype"): _dtype,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _frombuffer for core in ("core", "_core")},
    ("_codecs", "encode"): _bytes,
    **{(module, name): _bytes for module in ("builtins", "__builtin__") for name in ("bytes", "bytearray")},
    # The enumerations of DeepFaceLab, which a pack has as numbers.
    ("samplelib.Sample", "SampleType"): _number,
    ("facelib.FaceType", "FaceType"): _number,
    ("core.imagelib.SegIEPolys", "SegIEPolyType"): _number,
}

BYTE, TWO, FOUR, EIGHT, SIGNED, DOUBLE = map(struct.Struct, ("B", "<H", "<I", "<Q", "<i", ">d"))


def _codes(opcodes: dict[bytes, Any]) -> dict[int, Any]:
    return {opcode[0]: value for opcode, value in opcodes.items()}


_text = partial(str, encoding="utf-8", errors="surrogatepass")
CONSTANTS = _codes({pickle.NONE: None, pickle.NEWTRUE: True, pickle.NEWFALSE: False, pickle.EMPTY_TUPLE: ()})
# The opcodes with a number, and its format.
NUMBERS = _codes({pickle.BININT1: BYTE, pickle.BININT2: TWO, pickle.BININT: SIGNED, pickle.BINFLOAT: DOUBLE})
# The opcodes with bytes: the format of their length, and what becomes of them.
SIZED: dict[int, tuple[struct.Struct, Callable[[bytes], Any]]] = _codes(
    {
        pickle.LONG1: (BYTE, partial(int.from_bytes, byteorder="little", signed=True)),
        pickle.SHORT_BINUNICODE: (BYTE, _text),
        pickle.BINUNICODE: (FOUR, _text),
        pickle.BINUNICODE8: (EIGHT, _text),
        pickle.SHORT_BINBYTES: (BYTE, bytes),
        pickle.BINBYTES: (FOUR, bytes),
        pickle.BINBYTES8: (EIGHT, bytes),
        pickle.BYTEARRAY8: (EIGHT, bytes),
    }
)
GETS = _codes({pickle.BINGET: BYTE, pickle.LONG_BINGET: FOUR})
PUTS = _codes({pickle.MEMOIZE: struct.Struct(""), pickle.BINPUT: BYTE, pickle.LONG_BINPUT: FOUR})
SKIPPED = _codes({pickle.PROTO: 1, pickle.FRAME: 8})  # with the bytes of their arguments
TUPLES = _codes({pickle.TUPLE1: 1, pickle.TUPLE2: 2, pickle.TUPLE3: 3, pickle.TUPLE: None})  # with their lengths
MARK, EMPTY_LIST, EMPTY_DICT = pickle.MARK[0], pickle.EMPTY_LIST[0], pickle.EMPTY_DICT[0]
APPENDS, SETITEMS = pickle.APPENDS[0], pickle.SETITEMS[0]
APPENDING, SETTING = {pickle.APPEND[0], APPENDS}, {pickle.SETITEM[0], SETITEMS}
GLOBAL, STACK_GLOBAL, REDUCE, BUILD, STOP = (
    opcode[0] for opcode in (pickle.GLOBAL, pickle.STACK_GLOBAL, pickle.REDUCE, pickle.BUILD, pickle.STOP)
)


def _rows(put: bytes, size: int) -> tuple[re.Pattern[bytes], int]:
    """Return the pattern of lists of two or three floats in a list, each list with the opcode `put`, which has `size` bytes."""
    # Written out, because a repetition in a repetition takes twice as long.
    rows = b"|".join(rb"(?:\]%b\(%be)++" % (put, columns * b"G.{8}") for columns in (2, 3))
    return re.compile(rb"\]%b\((%b)e" % (put, rows), re.DOTALL), size


# Most of a face set is landmarks: they are read at once. The keys are the byte that follows the first one.
ROWS = _codes({b"(": _rows(b"", 0), b"\x94": _rows(b"\x94", 1), b"q": _rows(b"q.", 2), b"r": _rows(b"r.{4}", 5)})
PART = object()  # in the memo: a list that was read as part of an array


class _NoArray(Exception):
    """A list that was read as an array is needed as a list: it goes on, or the pickle refers to a part of it."""


def read_pickle(content: bytes, most: int) -> Plain:
    """Return the value in the pickle `content`, of protocol 2 to 5. Bytes behind its end are ignored.

    Enumerations of DeepFaceLab are returned as int, scalars of NumPy as int or float, a bytearray as bytes. Arrays are
    read-only. Lists of two or three floats in a list may be returned as an array float64 (N, 2) or (N, 3).

    Raises `Failed` if the pickle is damaged, holds anything else than plain data, has more than `most` opcodes or, with all
    that it refers to several times written out, more than `most` values, or more than `MAX_DEPTH` containers in one another.
    The memory is at most some 200 bytes an opcode and the size of `content`.
    """
    try:
        try:
            value = _run(content, most, ROWS)
        except _NoArray:
            value = _run(content, most, {})
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, struct.error) as error:
        raise Failed(NOT_PLAIN, str(error)[:200]) from None
    _check(value, most)
    return value


def _run(content: bytes, most: int, arrays: dict[int, tuple[re.Pattern[bytes], int]]) -> Any:
    stack: list[Any] = []
    marks: list[int] = []
    memo: list[Any] = []
    at = encoded = 0

    def pop_marked() -> list[Any]:
        if (start := marks.pop()) < 0:
            raise IndexError("a tuple of more than there is")
        values = stack[start:]
        del stack[start:]
        return values

    for _ in range(most):
        code = content[at]
        at += 1
        if code in SIZED:
            length_of, convert = SIZED[code]
            (length,) = length_of.unpack_from(content, at)
            at += length_of.size + length
            if at > len(content):
                raise ValueError("it is cut off")
            stack.append(convert(content[at - length : at]))
        elif code in NUMBERS:
            stack += NUMBERS[code].unpack_from(content, at)
            at += NUMBERS[code].size
        elif code == MARK:
            marks.append(len(stack))
        elif code == EMPTY_LIST:
            pattern, size = arrays.get(content[at], (None, 0))
            if pattern and (match := pattern.match(content, at - 1)):
                start = match.start(1) + 3 + size  # of the first float
                columns = 2 if content[start + 17] == APPENDS else 3
                step = 3 + size + 9 * columns
                rows = (match.end(1) - match.start(1)) // step
                stack.append(np.ndarray((rows, columns), ">f8", content, start, (step, 9)).astype(float))
                memo += [stack[-1], *[PART] * rows] if size else []
                at = match.end()
            else:
                stack.append([])
        elif code in PUTS:
            (index,) = PUTS[code].unpack_from(content, at) or (len(memo),)  # MEMOIZE has no number, and means the next one
            at += PUTS[code].size
            # Every pickler counts from 0, so a number that leaves a gap is meant to take memory.
            if index > len(memo):
                raise ValueError(f"entry {index:,} of the memo follows on {len(memo):,} others")
            memo[index : index + 1] = [stack[-1]]
        elif code in APPENDING:
            values = pop_marked() if code == APPENDS else [stack.pop()]
            if arrays and type(stack[-1]) is np.ndarray:
                raise _NoArray
            if type(stack[-1]) is not list:
                raise TypeError("values are appended to what is no list")
            stack[-1] += values
        elif code in GETS:
            (index,) = GETS[code].unpack_from(content, at)
            at += GETS[code].size
            value = memo[index]
            if value is PART:
                raise _NoArray
            stack.append(value.value if type(value) is _Unset else value)
        elif code in CONSTANTS:
            stack.append(CONSTANTS[code])
        elif code == EMPTY_DICT:
            stack.append({})
        elif code in SETTING:
            values = pop_marked() if code == SETITEMS else [stack.pop(-2), stack.pop()]
            # The hashes of numbers can be chosen so that a dictionary takes hours.
            if type(stack[-1]) is not dict or any(type(key) is not str for key in values[::2]):
                raise TypeError("a key that is no text, or an item of what is no dictionary")
            stack[-1].update(zip(values[::2], values[1::2], strict=True))
        elif code in TUPLES:
            if TUPLES[code] is not None:
                marks.append(len(stack) - TUPLES[code])
            stack.append(tuple(pop_marked()))
        elif code == GLOBAL:
            end = content.index(b"\n", content.index(b"\n", at) + 1)
            stack.append(_named(*content[at:end].decode().split("\n")))
            at = end + 1
        elif code == STACK_GLOBAL:
            stack.append(_named(stack.pop(-2), stack.pop()))
        elif code == REDUCE:
            arguments, function = stack.pop(), stack.pop()
            if type(arguments) is not tuple:
                raise TypeError("arguments that are no tuple")
            stack.append(function(*arguments))
            # One text can be encoded a million times.
            encoded += len(stack[-1]) if type(stack[-1]) is bytes else 0
            if encoded > len(content):
                raise ValueError("its bytes are larger than itself")
        elif code == BUILD:
            state, unset = stack.pop(), stack.pop()
            if type(unset) is not _Unset:
                raise TypeError("a state of what has none")
            unset.value = unset.build(state)
            stack.append(unset.value)
        elif code in SKIPPED:
            at += SKIPPED[code]
        elif code == STOP:
            return stack.pop()
        else:
            raise ValueError(f"opcode {code:#04x} is refused")
    raise ValueError(f"it has more than {most:,} opcodes")


def _named(module: Any, name: Any) -> Callable[..., Any]:
    # The hash of a tuple that holds another one twice, which holds another one twice, takes hours. So does its text.
    if type(module) is not str or type(name) is not str:
        raise TypeError("a name that is no text")
    if (module, name) not in CALLS:
        raise ValueError(f"it names {module!r:.60} {name!r:.60}, which is refused")
    return CALLS[module, name]


def _check(value: Any, most: int) -> None:
    """Raise `Failed` if `value` is not plain, deeper than `MAX_DEPTH`, or larger than `most` values.

    What is referred to several times counts each time: so nobody who walks through the value takes long.
    """
    count = 0
    path = [iter([value])]
    while path:
        for child in path[-1]:
            count += 1
            if count > most:
                raise Failed(NOT_PLAIN, f"it has more than {most:,} values")
            if type(child) in ATOMS:
                continue
            if type(child) not in {dict, list, tuple}:
                raise Failed(NOT_PLAIN, "it holds the name of a function")
            if len(path) > MAX_DEPTH:
                raise Failed(NOT_PLAIN, f"it has more than {MAX_DEPTH} containers in one another")
            path.append(iter(child.values() if type(child) is dict else child))
            break
        else:
            path.pop()


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        """Write an array by the public constructor alone, which NumPy 1 and 2 have under the same name."""
        if type(value) is np.ndarray:
            return np.ndarray, (value.shape, value.dtype.str, value.tobytes())
        return NotImplemented


def write_pickle(value: Plain) -> bytes:
    """Return `value` as a pickle of protocol 3, which every Python 3 and NumPy reads.

    It is written without a memo, so that equal values give equal bytes, and `value_opcodes` can be strung together.
    """
    file = io.BytesIO()
    pickler = _Pickler(file, 3)
    pickler.fast = True
    pickler.dump(value)
    return file.getvalue()


def value_opcodes(value: Plain) -> bytes:
    """Return the opcodes that put `value` on the stack: `write_pickle` without its first two bytes and its last one."""
    return write_pickle(value)[2:-1]
