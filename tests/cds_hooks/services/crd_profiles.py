"""Checks a resource or an extension against a StructureDefinition: cardinalities, fixed values, required bindings.

What is read is the snapshot and the ValueSets beside it; slices are told apart by the fixed url of an extension and by
the pattern of `type`. Constraints in FHIRPath are run by an engine where one is installed.
"""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

Json = dict[str, Any]


@cache
def definition(folder: Path, name: str) -> tuple[Json, ...]:
    """The elements of the snapshot of a profile."""
    document = json.loads((folder / f"StructureDefinition-{name}.json").read_text(encoding="utf-8"))
    return tuple(document["snapshot"]["element"])


@cache
def codes_of(folder: Path, url: str) -> frozenset[str] | None:
    """The codes of a ValueSet of the folder; None for one that is not there."""
    path = folder / f"ValueSet-{url.partition('|')[0].rpartition('/')[2]}.json"
    if not path.is_file():
        return None
    codes: set[str] = set()
    for include in json.loads(path.read_text(encoding="utf-8"))["compose"]["include"]:
        codes |= {concept["code"] for concept in include.get("concept", ())}
        for condition in include.get("filter", ()):
            codes |= set(_descendants(_concepts(folder), condition["value"]))
    return frozenset(codes)


@cache
def _concepts(folder: Path) -> tuple[Json, ...]:
    return tuple(json.loads((folder / "CodeSystem-temp.json").read_text(encoding="utf-8"))["concept"])


def _descendants(concepts: Any, code: str) -> Iterator[str]:
    for concept in concepts:
        below = concept.get("concept", ())
        if concept["code"] == code:
            yield from _all_codes(below)
        yield from _descendants(below, code)


def _all_codes(concepts: Any) -> Iterator[str]:
    for concept in concepts:
        yield concept["code"]
        yield from _all_codes(concept.get("concept", ()))


def faults(folder: Path, name: str, value: Json) -> list[str]:
    """What of the profile the value breaks; empty where it holds."""
    elements = definition(folder, name)
    return list(_faults(folder, elements, elements[0]["id"], value, name))


def _faults(folder: Path, elements: tuple[Json, ...], parent: str, value: Json, where: str) -> Iterator[str]:
    depth = parent.count(".") + 1
    children = [entry for entry in elements if entry["id"].startswith(f"{parent}.") and entry["id"].count(".") == depth]
    for element in children:
        tail = element["id"][len(parent) + 1 :]
        member, _, slice_name = tail.partition(":")
        values = list(_values(value, member))
        if slice_name:
            values = [entry for entry in values if _is_in_slice(elements, element, slice_name, entry)]
        place = f"{where}.{tail}"
        most = element.get("max", "*")
        if len(values) < element.get("min", 0):
            yield f"{place}: {len(values)} of at least {element['min']}"
        if most != "*" and len(values) > int(most):
            yield f"{place}: {len(values)} of at most {most}"
        for entry in values:
            yield from _value_faults(folder, element, entry, place)
            if isinstance(entry, dict):
                yield from _faults(folder, elements, element["id"], entry, place)


def _values(value: Json, member: str) -> Iterator[Any]:
    if member.endswith("[x]"):
        stem = member.removesuffix("[x]")
        names = [name for name in value if name.startswith(stem) and name[len(stem) :][:1].isupper()]
        yield from (value[name] for name in names)
        return
    held = value.get(member)
    yield from held if isinstance(held, list) else [] if held is None else [held]


def _is_in_slice(elements: tuple[Json, ...], element: Json, name: str, value: Any) -> bool:
    for entry in elements:
        for part in ("url", "type"):
            if entry["id"] != f"{element['id']}.{part}" or not isinstance(value, dict):
                continue
            for key, wanted in entry.items():
                if key.startswith("fixed"):
                    return bool(value.get(part) == wanted)
                if key.startswith("pattern"):
                    return _has(value.get(part), wanted)
    return isinstance(value, dict) and name == str(value.get("url"))


def _has(value: Any, pattern: Any) -> bool:
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(_has(value.get(name), part) for name, part in pattern.items())
    if isinstance(pattern, list):
        return isinstance(value, list) and all(any(_has(entry, part) for entry in value) for part in pattern)
    return bool(value == pattern)


def _value_faults(folder: Path, element: Json, value: Any, place: str) -> Iterator[str]:
    for key, wanted in element.items():
        if key.startswith("fixed") and value != wanted:
            yield f"{place}: {value!r}, not {wanted!r}"
        if key.startswith("pattern") and not _has(value, wanted):
            yield f"{place}: not {json.dumps(wanted)}"
    binding = element.get("binding", {})
    codes = codes_of(folder, binding.get("valueSet", "")) if binding.get("strength") == "required" else None
    if codes is not None and isinstance(value, str) and value not in codes:
        yield f"{place}: {value!r} is not in {binding['valueSet']}"


def constraints(folder: Path, name: str) -> dict[str, str]:
    """The FHIRPath constraints of CRD on the profile's root, by key."""
    root = definition(folder, name)[0]
    return {entry["key"]: entry["expression"] for entry in root.get("constraint", ()) if entry["key"].startswith("crd")}
