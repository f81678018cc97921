"""Checks prefetch templates against the restricted subset of CDS Hooks (rows PRE-01, TOK-01 to 07, QRY-01 to 10)."""

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from cds_hooks.prefetch.paths import TOKEN, PathUnion, WrongToken, needs_version_3, read_token
from cds_hooks.prefetch.template import TOKENS_OF_3, Template

_TYPE: Final = re.compile(r"[A-Z][A-Za-z]+")
_DATE: Final = re.compile(r"(?:eq|lt|gt|ge|le)?(?:\d{4}(?:-\d\d(?:-\d\d)?)?|\{\{.*\}\})")
_SYSTEM_AND_CODE: Final = re.compile(r"[^|,\s]*\|[^|,\s]+(?:,[^|,\s]*\|[^|,\s]+)*")

# FHIR R4 search parameters of the types that are read here, by their own type. What is not listed is not used.
_REFERENCES: Final = frozenset({"patient", "subject", "encounter"})
_TOKENS: Final = frozenset({"code", "category", "status", "clinical-status", "_id"})
_DATES: Final = frozenset({"date", "authored", "authoredon", "onset-date", "recorded-date", "effective"})
_SORTED: Final = _DATES | {"_lastUpdated"}


def lint_templates(templates: Iterable[Template], tokens: Collection[str], protocol: str = "2.0") -> list[str]:
    """Sentences about what is not in the subset, each with its row; `tokens` are the context fields for tokens."""
    return [
        f"{template.key}: {fault}"
        for template in templates
        for fault in lint_query(template.query_for(protocol), tokens, protocol)
    ]


def lint_query(query: str, tokens: Collection[str], protocol: str = "2.0") -> Iterator[str]:
    """What is wrong with one template."""
    yield from _wrong_tokens(query, tokens, protocol)
    path, question, parameters = query.partition("?")
    if not question:
        yield from _wrong_read(path)
        return
    if not _TYPE.fullmatch(path):
        yield "PRE-01, QRY-03: a search is `Type?…`: no host, no leading slash, no compartment, no operation"
    for pair in parameters.split("&"):
        name, equals, value = pair.partition("=")
        if not equals or not value:
            yield f"QRY-01: {name} has no value"
        else:
            yield from _wrong_parameter(name, value)


def _wrong_tokens(query: str, tokens: Collection[str], protocol: str) -> Iterator[str]:
    if query.count("{{") != query.count("}}") or "{" in TOKEN.sub("", query):
        yield "TOK-01: a token starts with {{ and ends with }}"
    for match in TOKEN.finditer(query):
        try:
            token = read_token(match[1])
        except WrongToken as error:
            yield str(error)
            continue
        if needs_version_3(token) and not protocol.startswith(TOKENS_OF_3):
            yield f"TOK-04, TOK-19: {match[1]} is for clients of CDS Hooks 3.0"
        elif isinstance(token, PathUnion) and token.paths[0].field not in (None, *tokens):
            yield f"TOK-04: {match[1]} is no field that this hook gives to tokens"


def _wrong_read(path: str) -> Iterator[str]:
    if path == "{{context.userId}}":
        return
    kind, _, identity = path.partition("/")
    if not _TYPE.fullmatch(kind) or not TOKEN.fullmatch(identity):
        yield "PRE-01, QRY-02: a read is `Type/` and one token"
    elif identity == "{{context.userId}}":
        yield "TRAP-09: context.userId has its type inside"


def _wrong_parameter(name: str, value: str) -> Iterator[str]:
    base, colon, modifier = name.partition(":")
    if "context.userId" in value:
        yield "TRAP-09: context.userId has its type inside"
    elif colon and (modifier != "in" or base not in _TOKENS):
        yield f"QRY-05: {name}: no modifier but :in, and that on a token"
    elif base == "_count":
        if not value.isdigit() or int(value) < 1:
            yield "QRY-07: _count is a number"
    elif base == "_sort":
        if any(each.removeprefix("-") not in _SORTED for each in value.split(",")):
            yield f"QRY-08: _sort={value} does not sort by date"
    elif base in _DATES:
        if not _DATE.fullmatch(value):
            yield f"QRY-06: {name}={value}: only eq, lt, gt, ge and le, and a date"
    elif base in _TOKENS:
        if base == "code" and not _SYSTEM_AND_CODE.fullmatch(value):
            yield f"TRAP-10: {name}: codes come with their system"
    elif base not in _REFERENCES:
        yield f"QRY-10: {name} is outside the subset"
