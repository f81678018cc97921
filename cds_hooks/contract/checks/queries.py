"""Rules for the queries of prefetch templates: the restricted subset that every client can be asked to run.

The subset as a whole is a recommendation (QRY-01), so every finding here is a should.
"""

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import parse_qsl

from cds_hooks.contract.finding import SHOULD
from cds_hooks.contract.node import Node
from cds_hooks.contract.registry import Faults, judges
from cds_hooks.contract.subjects import Subject
from cds_hooks.contract.tokens import without_tokens

_REFERENCE = (
    "patient subject encounter performer requester practitioner author asserter recorder organization location "
    "beneficiary actor focus based-on context"
)
_OUT = "_include _revinclude _has _summary _elements _text _content _filter _list _contained _query _type"
_TEXT_OR_QUANTITY = (
    "name family given phonetic address address-city address-state value-quantity component-value-quantity "
    "dose-quantity quantity probability description text"
)
_REFERENCES: Final = frozenset(_REFERENCE.split())
_OUTSIDE: Final = frozenset(_OUT.split())
_OTHER_TYPES: Final = frozenset(_TEXT_OR_QUANTITY.split())
_DATE: Final = re.compile(r"date|.*-date|authored|authoredon|birthdate|issued|period|onset|recorded|when[a-z]*")
_DATE_VALUE: Final = re.compile(r"(eq|lt|gt|ge|le)?(\d{4}(-\d\d(-\d\d(T\S+)?)?)?|TOKEN)")
_KNOWN: Final = frozenset({"_count", "_sort", "_id", "_lastUpdated", "_maxresults"}) | _OUTSIDE


@judges(Subject.TEMPLATE, "QRY-02", "QRY-01", level=SHOULD)
def a_read_is_of_one_instance(template: Node) -> Faults:
    """Read one instance: Type/{{token}}, without a version, a compartment or a query behind it."""
    query = without_tokens(template.value)
    path = query.partition("?")[0].split("/")
    if len(path) > 1 and not _is_compartment(path) and (len(path) > 2 or "?" in query or not path[1]):
        yield template.fault(f"{template.value} is no plain read")


@judges(Subject.TEMPLATE, "QRY-03", "QRY-01", level=SHOULD)
def a_search_is_on_the_type(template: Node) -> Faults:
    """Search on the type level: no system search, no compartment, no operation."""
    query = without_tokens(template.value)
    path = query.partition("?")[0].split("/")
    if "$" in query.partition("?")[0] or _is_compartment(path) or not path[0]:
        yield template.fault(f"{template.value} is no type-level search")


@judges(Subject.TEMPLATE, "QRY-04", "QRY-01", level=SHOULD)
def a_reference_is_searched_by_equality(template: Node) -> Faults:
    """Search references by an id or Type/id, without modifier, like patient={{context.patientId}}."""
    for name, modifier, value in _parameters(template):
        if name in _REFERENCES and (modifier or not value):
            yield template.fault(f"{name}{':' if modifier else ''}{modifier}={value}")


@judges(Subject.TEMPLATE, "QRY-05", "QRY-01", level=SHOULD)
def a_token_parameter_has_no_modifier_but_in(template: Node) -> Faults:
    """Search codes by equality or :in; other modifiers are not widely served."""
    for name, modifier, value in _parameters(template):
        token = name not in _REFERENCES and name not in _KNOWN and name != "sort" and not _DATE.fullmatch(name)
        if token and modifier not in ("", "in"):
            yield template.fault(f"{name}:{modifier}={value}")


@judges(Subject.TEMPLATE, "QRY-06", "QRY-01", level=SHOULD)
def a_date_has_one_of_five_prefixes(template: Node) -> Faults:
    """Use eq, lt, gt, ge and le with dates."""
    for name, modifier, value in _parameters(template):
        if _DATE.fullmatch(name) and (modifier or not all(_DATE_VALUE.fullmatch(each) for each in value.split(","))):
            yield template.fault(f"{name}{':' if modifier else ''}{modifier}={value}")


@judges(Subject.TEMPLATE, "QRY-07", "QRY-01", level=SHOULD)
def a_count_is_a_whole_number(template: Node) -> Faults:
    """Give _count a whole number of at least 1."""
    for name, modifier, value in _parameters(template):
        if name == "_count" and (modifier or not re.fullmatch(r"[1-9]\d*", value)):
            yield template.fault(f"_count={value}")


@judges(Subject.TEMPLATE, "QRY-08", "QRY-01", level=SHOULD)
def a_search_is_sorted_by_sort(template: Node) -> Faults:
    """Write _sort=-date for the newest first; sort:desc of the specification's examples is no FHIR parameter."""
    for name, modifier, value in _parameters(template):
        if name == "sort" or (name == "_sort" and (modifier or not re.fullmatch(r"-?[\w-]+(,-?[\w-]+)*", value))):
            yield template.fault(f"{_key(template)}: {name}{':' if modifier else ''}{modifier}={value}")


@judges(Subject.TEMPLATE, "QRY-09", level=SHOULD)
def no_maximum_that_r4_does_not_know(template: Node) -> Faults:
    """Leave _maxresults out for R4 clients: it came with FHIR R5."""
    for name, _, value in _parameters(template):
        if name == "_maxresults":
            yield template.fault(f"_maxresults={value}")


@judges(Subject.TEMPLATE, "QRY-10", "QRY-01", level=SHOULD)
def nothing_outside_the_subset(template: Node) -> Faults:
    """Ask for each type by a key of its own instead of _include, _has, chaining, string or quantity searches."""
    for name, modifier, value in _parameters(template):
        if name in _OUTSIDE or name in _OTHER_TYPES or "." in name:
            yield template.fault(f"{_key(template)}: {name}{':' if modifier else ''}{modifier}={value}")


def _parameters(template: Node) -> Iterator[tuple[str, str, str]]:
    """Name, modifier and value of each search parameter."""
    search = without_tokens(template.value).partition("?")[2]
    for parameter, value in parse_qsl(search, keep_blank_values=True):
        name, _, modifier = parameter.partition(":")
        yield name, modifier, value


def _is_compartment(path: list[str]) -> bool:
    """Patient/TOKEN/Observation: a search in a compartment, not a read."""
    return len(path) > 2 and path[2][:1].isupper()


def _key(template: Node) -> str:
    return str(template.name)
