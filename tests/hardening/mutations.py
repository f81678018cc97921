"""Hypothesis strategies that turn a good request into a bad one: in its tree, and in its bytes."""

import copy
from typing import Any, TypeAlias

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

Json: TypeAlias = Any

HOSTILE: tuple[Json, ...] = (
    None,
    True,
    0,
    -1,
    2**63,
    -(2**63) - 1,
    10**30,
    1e308,
    5e-324,
    "",
    " ",
    "\x7f",
    "\u202e",
    "\ufffe",
    "😀" * 50,
    "a" * 5000,
    "0000-00-00",
    "9999-12-31T23:59:60+99:99",
    "2026-02-30",
    "Patient/../../etc",
    "urn:uuid:",
    "http://127.0.0.1:9/fhir",
    "{{context.patientId}}",
    "<script>alert(1)</script>",
    "%s%n",
    "'; DROP TABLE decisions;--",
    [],
    {},
    [[]],
    [None],
    {"": ""},
    {"resourceType": "Bundle"},
    {"resourceType": "Patient"},
    {"resourceType": "OperationOutcome", "issue": []},
    {"resourceType": 7},
    {"value": "x", "unit": 7},
)

values: SearchStrategy[Json] = st.sampled_from(HOSTILE) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def places_in(tree: Json, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The paths of all members of a tree."""
    members: list[tuple[str | int, Json]] = []
    if isinstance(tree, dict):
        members = list(tree.items())
    elif isinstance(tree, list):
        members = list(enumerate(tree))
    return [place for name, value in members for place in ((*path, name), *places_in(value, (*path, name)))]


@st.composite
def mutated(draw: DrawFn, bases: list[Json], at_most: int = 4) -> Json:
    """One of the bases with up to `at_most` members deleted, replaced, wrapped, doubled or renamed."""
    tree = copy.deepcopy(draw(st.sampled_from(bases)))
    for _ in range(draw(st.integers(1, at_most))):
        places = places_in(tree)
        if places:
            _mutate(draw, tree, draw(st.sampled_from(places)))
    return tree


def _mutate(draw: DrawFn, tree: Json, place: tuple[str | int, ...]) -> None:
    holder = tree
    for step in place[:-1]:
        holder = holder[step]
    last = place[-1]
    what = draw(st.sampled_from(("replace", "replace", "delete", "wrap", "double", "rename")))
    if what == "replace":
        holder[last] = copy.deepcopy(draw(values))
    elif what == "delete":
        del holder[last]
    elif what == "wrap":
        holder[last] = [holder[last]]
    elif what == "double" and isinstance(holder, list):
        holder.append(copy.deepcopy(holder[last]))  # type: ignore[index] # a list's last step is a number
    elif what == "rename" and isinstance(holder, dict):
        holder[draw(st.text(max_size=8))] = holder.pop(last)


@st.composite
def spoiled(draw: DrawFn, bodies: list[bytes]) -> bytes:
    """One of the bodies with bytes cut out, put in, or changed."""
    body = draw(st.sampled_from(bodies))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(body)))
        end = min(len(body), start + draw(st.sampled_from((0, 0, 1, 2, 8, 300))))
        body = body[:start] + draw(st.binary(max_size=4) | st.sampled_from(_SNIPPETS)) + body[end:]
    return body


_SNIPPETS = (
    b'"',
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"NaN",
    b"1e999",
    b"\\ud800",
    b"\xff",
    b'"x":1,',
    b"\x00",
)
