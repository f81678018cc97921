"""Chart text made safe to stand on a card: no HTML, no control or direction characters, no markup, bounded."""

import re
import unicodedata

LIMIT = 80
"""The longest inserted string in code points; what is cut off is marked with an ellipsis."""

# Cc control, Cf format (bidi overrides, zero-width), Cs surrogates, Co private use: none of them is a clinician's word.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co"})
_MARKUP = re.compile(r"[\\`*_{}\[\]#|~!&@]")
_ANGLES = str.maketrans("<>", "‹›")
# GFM makes links of bare addresses; a backslash inside them stops that and is not shown.
_BARE_ADDRESS = re.compile(r"(?i)(://|\bwww\.)")


def plain(text: str, limit: int = LIMIT) -> str:
    """The text on one line for a summary or a label, which are not Markdown.

    >>> plain("Metformin\\u202e\\n <b>500</b> mg")
    'Metformin ‹b›500‹/b› mg'
    """
    if text.isascii() and text.isprintable() and len(text) <= limit and "<" not in text and ">" not in text:
        return " ".join(text.split())
    seen = "".join(" " if sign.isspace() else sign for sign in text if sign.isspace() or not _is_unseen(sign))
    line = " ".join(seen.split()).translate(_ANGLES)
    return line if len(line) <= limit else f"{line[: limit - 1].rstrip()}…"


def escape(text: str, limit: int = LIMIT) -> str:
    """The text on one line for a detail: as `plain`, and nothing in it can become Markdown, HTML or a link.

    >>> escape("**see** [here](http://x.test)")
    '\\\\*\\\\*see\\\\*\\\\* \\\\[here\\\\](http:\\\\/\\\\/x.test)'
    """
    marked = _MARKUP.sub(r"\\\g<0>", plain(text, limit))
    return _BARE_ADDRESS.sub(lambda found: found[0].replace("/", "\\/").replace(".", "\\."), marked)


def _is_unseen(sign: str) -> bool:
    return unicodedata.category(sign) in _UNSEEN
