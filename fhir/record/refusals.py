"""What of the patient's data was not used and why, errors of a decoder in words, and the errors that stop a reader.

RecordError
└── WrongPatient      a resource is about somebody else: the call stops
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

from msgspec import Struct
from msgspec.inspect import LiteralType, StructType, UnionType, type_info

from fhir.terminology.plain_file import looks_like_a_key


@dataclass(frozen=True, slots=True)
class Refusal:
    """One resource or value that was not used.

    `subject` is the resource or the place in the request, `reason` a code for programs, `text` a sentence for a
    person. Of a measured value, `analyte` is its key (tables/analytes.csv), `code` its LOINC code and `statement` the
    sentence without the date; all three are empty for what is no measured value.
    """

    subject: str
    reason: str
    text: str
    analyte: str = ""
    code: str = ""
    statement: str = ""


class WhyNot(Struct, frozen=True, gc=False, omit_defaults=True):
    """Why there is no value, score, data or card.

    `subject` is what there would have been (a rule, a draft, a model, an input), `reason` a code for programs, `text` a
    sentence for a person, `about` the names of the inputs that are lacking, if any.
    """

    subject: str
    reason: str
    text: str
    about: tuple[str, ...] = ()


MOST_ALIKE = 5
"""How many refusals of the same kind for the same reason are named one by one."""


def shorten_refusals(refusals: Iterable[Refusal]) -> list[Refusal]:
    """Return the refusals in their order, of each kind and reason the first five; one more says how many were left out.

    A chart with thousands of results in an unknown unit would otherwise make an answer of megabytes.
    """
    named_refusals: list[Refusal] = []
    seen: Counter[tuple[str, str]] = Counter()
    for refusal in refusals:
        alike = refusal.analyte or refusal.subject.partition("/")[0], refusal.reason
        seen[alike] += 1
        if seen[alike] <= MOST_ALIKE:
            named_refusals.append(refusal)
    for (kind, reason), count in seen.items():
        if count > MOST_ALIKE:
            text = f"Not used for the same reason: {count - MOST_ALIKE} more ({kind})."
            named_refusals.append(Refusal(kind, reason, text))
    return named_refusals


class RecordError(Exception):
    """Facts that cannot be used."""


class WrongPatient(RecordError):
    """A resource is about another patient than the one asked about; `resource` says which, the message never who.

    The message goes back to whoever called, and an id may be anything: it says of which kind the resource is.
    """

    def __init__(self, resource: str) -> None:
        kind = resource.partition("/")[0]
        self.kind = kind if kind.isalpha() else "resource"
        self.resource = resource
        super().__init__(f"One {self.kind} is about another patient{_OF_ANOTHER}")

    def at(self, place: str) -> str:
        """Return the message with the place of the resource, such as `prefetch.conditions.entry[1]`."""
        if self.resource == PATIENT_UNNAMED:
            return (
                f"`{place}` is another patient than the one that context.patientId names. Nothing was computed. Send "
                "the Patient that context.patientId names."
            )
        article = "an" if self.kind[0] in "AEIO" else "a"
        return f"`{place}`, {article} {self.kind}, is about another patient{_OF_ANOTHER}"


PATIENT_UNNAMED: Final = "The Patient resource"
"""How a Patient is named in an error: its id is the very thing that must not be repeated."""

_OF_ANOTHER: Final = " than context.patientId. Nothing was computed. Send only this patient's resources in prefetch."


# As Python writes a text: in either kind of quotes, with whatever in between, marks and places included.
_VALUE: Final = re.compile(r" ['\"].*", re.DOTALL)
_PLACE: Final = " - at `$"
_KINDS: Final = {
    "str": "a string",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
    "date": "a date such as 2026-02-01",
}
_OTHER_KIND: Final = re.compile(r"Expected `([a-z |]+)`, got `([a-z]+)`")
_MISSING: Final = re.compile(r"Object missing required field `(\w+)`")
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(\w+)`")
_BOUND: Final = re.compile(r"Expected `(?:int|float)` ([<>]=) ([-\d.]+)")


_FIRST_BYTES: Final = {b"{": "object", b"[": "array", b'"': "str", b"t": "bool", b"f": "bool", b"n": "null"}


def json_kind(text: bytes | memoryview) -> str:
    """Return what kind of JSON value this is.

    >>> json_kind(b"[1]"), json_kind(b"1")
    ('a list', 'a number')
    """
    return _KINDS[_FIRST_BYTES.get(bytes(text[:1]), "float")]


_BYTE: Final = re.compile(r"\(byte (\d+)\)")
_CHARACTER: Final = re.compile(r"invalid character \(byte (\d+)\)")
_NOT_A_NUMBER: Final = re.compile(rb"NaN|-?Infinity")


def not_json(body: bytes, error: Exception, wanted: str = "a JSON object") -> str:
    """Return why a body is no JSON, in a sentence: an empty one is called empty.

    >>> not_json(b"", ValueError())
    'The body is empty; a JSON object is required.'
    """
    if not body.strip():
        return f"The body is empty; {wanted} is required."
    place = _CHARACTER.search(str(error))
    word = _NOT_A_NUMBER.match(body, int(place[1])) if place is not None else None
    if word is not None:
        return f"The body is not valid JSON: {word[0].decode()} (byte {word.start():,}) is not a JSON number."
    return f"The body is not valid JSON ({describe_decoder_error(error)})."


def describe_decoder_error(error: Exception, root: str = "", of: Any = None, came: Any = None) -> str:
    """Return what was expected and what came, and where below `root`, without what the decoder quotes from the body.

    With `of`, the type that is expected at `root`, known members or allowed values are named where another one came.
    `came` is a document that a site has written: of it the value that is not allowed is named. A body is never given.
    """
    if isinstance(error, UnicodeDecodeError):
        return "a string is not UTF-8"
    place = error_path(error, root)
    words, mark, location = str(error).rpartition(_PLACE)
    if kinds := _OTHER_KIND.match(words or location):
        wanted = " or ".join(_KINDS.get(kind, f"a {kind}") for kind in kinds[1].split(" | "))
        return f"{f'`{place}`' if place else 'it'} must be {wanted}; received {_KINDS[kinds[2]]}"
    if missing := _MISSING.match(words or location):
        return f"`{f'{place}.' if place else ''}{missing[1]}` is required and missing"
    if unknown := _UNKNOWN.match(words or location):
        known = _known(of, (place or "").removeprefix(root))
        names = list(map(str, known))
        near = get_close_matches(unknown[1], names, 1)
        listed = (
            f"; the nearest known one is `{near[0]}`" if near else f"; known are {', '.join(names)}" if names else ""
        )
        return f"`{f'{place}.' if place else ''}{unknown[1]}` is not a known member{listed}"
    if place and (bound := _BOUND.match(words)):
        return f"`{place}` must be at {'most' if bound[1] == '<=' else 'least'} {bound[2]}"
    if place and words.startswith(("Invalid enum value", "Invalid value")):
        allowed = _known(of, place.removeprefix(root))
        if not allowed:
            return f"`{place}` has a value that is not allowed"
        values = _values([came], place) if came is not None else []
        texts = [str(value) for value in allowed]
        strange = [value for value in values if value not in texts and not looks_like_a_key(value)]
        received = repr(strange[0][:40]) if strange else "another value"
        *others, last = map(repr, allowed)
        return f"`{place}` must be {', '.join(others)}{' or ' if others else ''}{last}; received {received}"
    text = f"{_VALUE.sub('', words)}{mark}{location}" if mark else _VALUE.sub("", location)
    text = text.replace("`", "").replace("$.", "").replace("JSON is malformed: ", "")
    text = _BYTE.sub(r"at byte \1", text)
    return text.replace("Input data was truncated", "it ends too early")


_STEP: Final = re.compile(r"\[[^\]]*\]|[^.\[\]]+")


def _known(of: Any, place: str) -> dict[str | int | None, None]:
    """Return the members or the values that a type knows at a place, such as `feed[...].tls`."""
    if of is None:
        return {}
    kinds: list[Any] = [type_info(of)]
    for step in (None, *_STEP.findall(place)):
        if step is not None:
            kinds = [inner for kind in kinds for inner in _inside(kind, step)]
        kinds = [inner for kind in kinds for inner in (kind.types if isinstance(kind, UnionType) else (kind,))]
    known: dict[str | int | None, None] = dict.fromkeys(
        field.encode_name
        for kind in kinds
        if isinstance(kind, StructType)
        for field in kind.fields
        if " " not in field.encode_name  # the program fills it in
    )
    return known | {value: None for kind in kinds if isinstance(kind, LiteralType) for value in kind.values}


def _values(documents: list[Any], place: str) -> list[str]:
    """Return the texts that a document has at a place, such as `feed[...].kind`."""
    for step in _STEP.findall(place):
        inner = [document.values() if isinstance(document, dict) else document for document in documents]
        if step.startswith("["):
            documents = [value for values in inner for value in values]
        else:
            documents = [document[step] for document in documents if step in document]
    return [document for document in documents if isinstance(document, str)]


def _inside(kind: Any, step: str) -> list[Any]:
    if isinstance(kind, StructType):
        if kind.tag_field == step:
            return [LiteralType((kind.tag,))]
        return [field.type for field in kind.fields if field.encode_name == step]
    inner = getattr(kind, "item_type", None) or getattr(kind, "value_type", None)
    return [inner] if inner is not None and step.startswith("[") else []


def error_path(error: Exception, root: str = "") -> str | None:
    """Return where it is wrong, as an expression below `root`; None where that is the body itself."""
    _, _, path = str(error).rpartition(_PLACE)
    path = path if _PLACE in str(error) else ""
    return ".".join(part for part in (root, path.rstrip("`").lstrip(".")) if part).replace(".[", "[") or None
