"""The XML of a workbook's parts, tag by tag."""

from collections.abc import Callable, Iterator, Mapping
from xml.parsers import expat

from gonets.core.contacts.imports import FileRefused

_SILENCE = 2**22  # bytes without a tag: some parser would have to hold them all

Start = Callable[[str, Mapping[str, str]], None]
End = Callable[[str], None]
Text = Callable[[str], None]


def nothing(_: str) -> None:
    """For what nobody asks."""


def local_name(name: str) -> str:
    return name.rpartition(":")[2]


def parsed(chunks: Iterator[bytes], start: Start, end: End, text: Text) -> Iterator[int]:
    """Hands a part to the handlers; yields after each chunk how long it was. Raises FileRefused."""
    parser = expat.ParserCreate()
    parser.buffer_text = True

    def refused(*_: object) -> None:
        raise FileRefused("the workbook's XML declares a document type: no spreadsheet program writes that")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = refused
    fed = 0
    try:
        for chunk in chunks:
            parser.Parse(chunk, False)
            fed += len(chunk)
            if fed - parser.CurrentByteIndex > _SILENCE and parser.CurrentByteIndex >= 0:
                raise FileRefused("a tag in the workbook is longer than any spreadsheet program writes")
            yield len(chunk)
        if fed:
            parser.Parse(b"", True)
            yield 0
    except expat.ExpatError as error:
        raise FileRefused(f"the workbook's XML is damaged: {error}") from error
