"""The entry of a face in the index of a pack, made of the metadata in its JPEG file."""

import re

from tessera.core.errors import Failed
from tessera.extras.face_sets.jpeg_metadata import face_of_pickle, read_pickle_and_size
from tessera.extras.face_sets.landmarks import COUNT
from tessera.extras.face_sets.metadata import FACE_TYPES, fields_of_pack, index_fields
from tessera.extras.face_sets.plain_pickle import value_opcodes

NUMBERS_OF_TYPES = {value_opcodes(name): number for name, number in FACE_TYPES.items()}


def _item(name: str, value: bytes) -> bytes:
    """Return the pattern of an item of a dictionary. `value`: the pattern of its value."""
    return re.escape(value_opcodes(name)) + value


FLOAT = b"G.{8}"
NUMBER = b"(?:G.{8}|K.|M..|J.{4})"
POINTS = rb"\]\((?:\]\(%be){%d}e" % (FLOAT * 2, COUNT)
MATRIX = rb"\]\((?:\]\(%be){2}e" % (FLOAT * 3)
# The pickle of a face without outlines, mask and other fields, as `write_metadata` writes it. Each opcode has one length, but
# for the text with a name, which states its own.
USUAL = re.compile(
    rb"\x80\x03}\((?P<shared>%b%b%b)%b(?:%b)?(?:%b)?(?:%b)?u\."
    % (
        _item("landmarks", POINTS),
        _item("source_filename", rb"X(?P<length>.)\0\0\0(?P<name>[ -~]*?)"),
        _item("eyebrows_expand_mod", FLOAT),
        _item("face_type", b"(?P<face_type>%b)" % b"|".join(map(re.escape, NUMBERS_OF_TYPES))),
        _item("source_rect", rb"\]\(%be" % (NUMBER * 4)),
        _item("source_landmarks", POINTS),
        _item("image_to_face_mat", MATRIX),
    ),
    re.DOTALL,
)
NOT_FINITE = re.compile(rb"G[\x7f\xff][\xf0-\xff]")


def entry_opcodes(content: bytes, name: str, person: str | None) -> bytes:
    """Return the opcodes of the entry of the JPEG file `content`, called `name`, of `person`.

    Raises `Failed` if the file or its metadata are damaged, or it has none.
    """
    pickled, (height, width) = read_pickle_and_size(content)
    if pickled is None:
        raise Failed("no face metadata", "DeepFaceLab packs only JPEG files that have them")
    usual = USUAL.fullmatch(pickled)
    # Most of an entry has the same opcodes in the file. To copy them is several times as fast as to read the values and to
    # write them again.
    if usual and len(usual["name"]) == usual["length"][0] and not NOT_FINITE.search(pickled):
        number = NUMBERS_OF_TYPES[usual["face_type"]]
        own = value_opcodes({"seg_ie_polys": None, **fields_of_pack(number, name, person, height, width)})
        return own[:2] + usual["shared"] + own[2:]
    return value_opcodes(index_fields(face_of_pickle(pickled), name, person, height, width))
