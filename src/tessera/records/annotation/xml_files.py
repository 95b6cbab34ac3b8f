"""XML of others, read as untrusted input: without a document type, so that no entity can grow or open a file."""

from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from tessera.core.errors import Failed

MAX_DEPTH = 50  # nested elements; annotation tools write at most six


def parse_xml(content: bytes, file: str) -> Element:
    """Return the root element of the XML `content` of `file`. Raises `Failed` if it is broken or has a document type."""
    builder, depth = TreeBuilder(), 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH:
            raise Failed("broken XML", f"{file}: elements are nested too deeply; export it again")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    def refuse(*_: Any) -> None:
        raise Failed("XML with a document type", f"{file}: annotation tools write none; remove `<!DOCTYPE …>`")

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, builder.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise Failed("broken XML", f"{file}: {error}; export it again") from None
    root: Element = builder.close()
    return root
