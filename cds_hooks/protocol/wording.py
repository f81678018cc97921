"""What a decoder says of a body, in words for a client: what is wrong and where, never the value that is there."""

import re
from typing import Final

_VALUE: Final = re.compile(r" '.*'", re.DOTALL)


def plain_words(error: Exception) -> str:
    """The decoder's sentence without marks and without what it quotes from the body."""
    if isinstance(error, UnicodeDecodeError):
        return "a string is not UTF-8"
    text = _VALUE.sub("", str(error))
    return text.replace("`", "").replace("$.", "").replace("JSON is malformed: ", "")


def place_in(error: Exception, root: str = "") -> str | None:
    """Where it is wrong, as an expression below `root`; None where that is the body itself."""
    _, _, path = str(error).partition(" - at `$")
    return ".".join(part for part in (root, path.rstrip("`").lstrip(".")) if part) or None
