"""Reads a TOML file that a site has written as a type, and says with its line what does not fit."""

import re
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from fhir.record.refusals import describe_decoder_error
from fhir.terminology.toml_file import TomlFault, parse_toml, toml_text

_T = TypeVar("_T")
_ONE_TABLE: Final = re.compile(r"^`(\w+)` must be a list; received an object$")
_MEMBER: Final = re.compile(r"`(?:[^`]*\.)?(\w+)`")


def read_toml_as(path: Path, of: type[_T], most_bytes: int | None = None) -> _T:
    """Return what a TOML file says as this type.

    Raises:
        TomlFault: It cannot be read, or has another form: which member or value, what is allowed, and in which line
            where only one line has it.
    """
    text = toml_text(path, most_bytes)
    document = parse_toml(text)
    try:
        return msgspec.convert(document, of)
    except msgspec.ValidationError as error:
        said, member = mistake_in(document, of, error)
        raise TomlFault(f"has a mistake: {said}{_line_of(text, member)}") from error


def mistake_in(document: object, of: type, error: msgspec.ValidationError) -> tuple[str, str]:
    """Return what a site's document has that its type has not, in a sentence, and the member that it is about or ""."""
    said = describe_decoder_error(error, of=of, came=document)
    said = _ONE_TABLE.sub(r"`\1` must be a list, written [[\1]]; received one object, written [\1]", said)
    member = _MEMBER.match(said)
    return said, member[1] if member else ""


def _line_of(text: str, member: str) -> str:
    """Return the line of the member that was named first, where one line has it alone; else nothing."""
    written = re.compile(rf"\[*(?:[^=#]*\.)?\s*{member}\s*[\].=]") if member else None
    lines = [number for number, line in enumerate(text.splitlines(), 1) if written and written.match(line.strip())]
    return f" (line {lines[0]})" if len(lines) == 1 else ""
