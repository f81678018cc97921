"""Takes a prefetch template apart: its tokens, and what a FHIRPath token of 3.0 names."""

import re
from collections.abc import Iterator
from typing import Final

_TOKEN: Final = re.compile(r"\{\{(.*?)\}\}")
_LITERAL: Final = re.compile(r"'[^']*'")


def tokens_in(template: str) -> Iterator[str]:
    """What stands between {{ and }}, trimmed."""
    return (match[1].strip() for match in _TOKEN.finditer(template))


def without_tokens(template: str) -> str:
    """The template with the word TOKEN in place of each token."""
    return _TOKEN.sub("TOKEN", template)


def functions_in(token: str) -> set[str]:
    """The names of the functions a token calls."""
    return set(re.findall(r"([A-Za-z]+)\(", _LITERAL.sub("''", token)))


def keys_in(template: str) -> frozenset[str]:
    """The prefetch keys that the tokens of a template name with %."""
    return frozenset(key for token in tokens_in(template) for key in re.findall(r"%([\w-]+)", token))
