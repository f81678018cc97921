"""The detail of a card for clients that draw less than GitHub's Markdown, and its links.

Only what our cards are made of is known here: bold, lists, links and backslash escapes (cards/markdown.py).
"""

import re
from collections.abc import Callable
from typing import Final

from cds_hooks.dialects.shaping.dialect import Markdown

_ESCAPED: Final = r"\\(?P<escaped>[!-/:-@\[-`{-~])"
_LINK: Final = r"\[(?P<label>(?:\\.|[^\]\\])*)\]\((?P<url>[^)\s]*)\)"
_LINK_OR_ESCAPED: Final = re.compile(f"{_ESCAPED}|{_LINK}")
_MARKUP: Final = re.compile(f"{_ESCAPED}|{_LINK}|(?P<bold>\\*\\*)")


def reworded(detail: str, markdown: Markdown) -> str:
    """The same sentences and lists: without links for `basic`, without any markup for `plain`.

    >>> reworded("**eGFR 20** is \\\\_low\\\\_: [label](https://x.example/a)", "plain")
    'eGFR 20 is _low_: label: https://x.example/a'
    """
    return _plain(detail) if markdown == "plain" else without_links(detail, lambda _: False, keep_address=True)


def without_links(detail: str, is_allowed: Callable[[str], bool], *, keep_address: bool = False) -> str:
    """The Markdown with links only where the address is allowed; of the others the label stays."""

    def written(found: re.Match[str]) -> str:
        if found["escaped"] is not None or is_allowed(found["url"]):
            return found[0]
        return f"{found['label']}: {found['url']}" if keep_address else str(found["label"])

    return _LINK_OR_ESCAPED.sub(written, detail)


def _plain(detail: str) -> str:
    def written(found: re.Match[str]) -> str:
        if found["escaped"] is not None:
            return str(found["escaped"])
        return "" if found["bold"] is not None else f"{_plain(found['label'])}: {found['url']}"

    return _MARKUP.sub(written, detail)
