"""Reads prefetch templates and fills their tokens, as a client does."""

import re
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any, Final

TOKEN: Final = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
"""A token of a template; its first group is what it names."""
_THREE: Final = re.compile(r"[(%|]|today|context\.\w+\.")


def tokens_in(template: str) -> Iterator[str]:
    """Yield what stands between {{ and }}, trimmed."""
    return (match[1] for match in TOKEN.finditer(template))


def without_tokens(template: str) -> str:
    """Return the template with the word TOKEN in place of each token."""
    return TOKEN.sub("TOKEN", template)


def needs_three(token: str) -> bool:
    """Return whether only a client of CDS Hooks 3.0 can fill the token: it is FHIRPath, or names another prefetch."""
    return bool(_THREE.search(token))


def keys_in(template: str) -> frozenset[str]:
    """Return the prefetch keys that the tokens of a template name with %."""
    return frozenset(key for token in tokens_in(template) for key in re.findall(r"%([\w-]+)", token))


_TODAY: Final = re.compile(r"today\(\)(?:\s*([+-])\s*(\d+)\s*days?)?")


def fill(template: str, context: Mapping[str, Any], today: date) -> str | None:
    """Return the query, every token replaced; None where a token has no value here, as the specification has it.

    Of the tokens of CDS Hooks 3.0 only dates have one: a client of 2.0.1 cannot follow paths.
    """
    user = str(context.get("userId", ""))
    kind, _, bare = user.partition("/")
    tokens = {f"user{kind}Id": bare} if kind and bare else {}
    tokens |= {f"context.{name}": value for name, value in context.items() if isinstance(value, str)}
    values = {token: tokens.get(token) or _day(token, today) for token in tokens_in(template)}
    return TOKEN.sub(lambda match: values[match[1]] or "", template) if all(values.values()) else None


def _day(token: str, today: date) -> str | None:
    match = _TODAY.fullmatch(token)
    if match is None:
        return None
    days = int(match[2] or 0)
    return (today + timedelta(days=-days if match[1] == "-" else days)).isoformat()
