"""What a decoder says of a body, in words for a client: what is wrong and where, never the value that is there."""

import re
from typing import Final

# As Python writes a text: in either kind of quotes, with whatever in between, marks and places included.
_VALUE: Final = re.compile(r" ['\"].*", re.DOTALL)
_PLACE: Final = " - at `$"


def plain_words(error: Exception) -> str:
    """The decoder's sentence without marks and without what it quotes from the body."""
    if isinstance(error, UnicodeDecodeError):
        return "a string is not UTF-8"
    words, mark, place = str(error).rpartition(_PLACE)
    text = f"{_VALUE.sub('', words)}{mark}{place}" if mark else _VALUE.sub("", place)
    return text.replace("`", "").replace("$.", "").replace("JSON is malformed: ", "")


def place_in(error: Exception, root: str = "") -> str | None:
    """Where it is wrong, as an expression below `root`; None where that is the body itself."""
    _, _, path = str(error).rpartition(_PLACE)
    path = path if _PLACE in str(error) else ""
    return ".".join(part for part in (root, path.rstrip("`").lstrip(".")) if part) or None
