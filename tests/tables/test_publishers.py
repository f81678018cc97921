"""Tables of another form than what was read: vaccines, preventive services, names, codes, the specification."""

import csv
import gzip
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fhir.terminology.conditions import CONDITION_GROUPS, condition_groups_of
from tests.conftest import ROOT

Json = dict[str, Any]
TABLES = ROOT / "fhir" / "terminology" / "tables"
VACCINES = ROOT / "cards" / "vaccines" / "data"


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


def _parts(text: str, separator: str = ";") -> set[str]:
    return {part.strip() for part in text.split(separator) if part.strip()}


def _differences(pairs: Iterable[tuple[str, object, object]]) -> str:
    faults = [f"{name}: {ours!r}, the publisher has {theirs!r}" for name, ours, theirs in pairs if ours != theirs]
    return "\n".join(faults[:20])


# CDC's immunisation tables (CDSi 4.64)


_ANTIGENS = {"JE": "Japanese Encephalitis", "YF": "Yellow Fever", "TBE": "TBE", "Orthopox": "Orthopoxvirus"}
"""Short names of the file for what CDC's XML calls otherwise."""


def _antigens() -> list[Json]:
    return [
        document
        for path in sorted(VACCINES.glob("*.json"))
        if "antigen" in (document := json.loads(path.read_text(encoding="utf-8")))
    ]


def test_the_series_of_vaccines_are_cdcs(data_folder: Path) -> None:
    rows = _rows(data_folder / "preventive" / "cdsi_series.csv")
    theirs = {(_ANTIGENS.get(row["antigen"], row["antigen"]), row["series"]): row for row in rows}
    ours = {(antigen["antigen"], series["name"]): series for antigen in _antigens() for series in antigen["series"]}
    assert set(ours) == set(theirs)

    def pairs() -> Iterator[tuple[str, object, object]]:
        for key, series in ours.items():
            row = theirs[key]
            for member, column in {
                "type": "type",
                "group": "group",
                "priority": "priority",
                "min_age_to_start": "min_age_to_start",
                "max_age_to_start": "max_age_to_start",
            }.items():
                yield f"{key}, {member}", series.get(member) or "", row[column]
            yield f"{key}, default", bool(series.get("default")), row["default"] == "Yes"
            yield f"{key}, doses", len(series["doses"]), int(row["doses"])
            if row["preference"].isdigit():
                yield f"{key}, preference", series.get("preference"), int(row["preference"])

    assert not _differences(pairs())


def _lists(entries: Iterable[Json]) -> set[str]:
    return {cvx for entry in entries for cvx in entry["cvx"]}


def test_the_ages_intervals_and_vaccines_of_each_dose_are_cdcs(data_folder: Path) -> None:
    ours = {
        (antigen["antigen"], series["name"], str(number)): dose
        for antigen in _antigens()
        for series in antigen["series"]
        for number, dose in enumerate(series["doses"], 1)
    }
    ages = {
        "absolute_minimum": "abs_min_age", "minimum": "min_age", "earliest_recommended": "earliest_recommended",
        "latest_recommended": "latest_recommended", "maximum": "max_age",
    }  # fmt: skip
    waits = {
        "absolute_minimum": "abs_min_interval",
        "minimum": "min_interval",
        "earliest_recommended": "earliest_rec_interval",
        "latest_recommended": "latest_rec_interval",
    }

    def pairs() -> Iterator[tuple[str, object, object]]:
        for row in _rows(data_folder / "preventive" / "cdsi_doses.csv"):
            key = (_ANTIGENS.get(row["antigen"], row["antigen"]), row["series"], row["dose"])
            dose = ours[key]
            if row["age_rows"] == "1":
                for member, column in ages.items():
                    yield f"{key}, age {member}", (dose.get("ages") or [{}])[0].get(member, ""), row[column]
            for member, column in waits.items():
                written = {interval.get(member) for interval in dose.get("intervals", ())} - {None}
                yield f"{key}, interval {member}", written, _parts(row[column])
            yield f"{key}, preferable", _lists(dose.get("preferable", ())), _parts(row["preferable_cvx"])
            yield f"{key}, allowable", _lists(dose.get("allowable", ())), _parts(row["allowable_cvx"])
            yield f"{key}, recurring", bool(dose.get("recurring")), row["recurring"] == "Yes"
            yield f"{key}, skips", bool(dose.get("skips")), row["conditional_skip"] == "yes"

    assert not _differences(pairs())


def test_the_antigens_of_vaccines_and_the_observations_are_cdcs(data_folder: Path) -> None:
    schedule = json.loads((VACCINES / "schedule.json").read_text(encoding="utf-8"))
    ours = {
        (cvx, vaccine["name"], part["antigen"], part.get("begin_age", ""), part.get("end_age", ""))
        for cvx, vaccine in schedule["vaccines"].items()
        for part in vaccine["antigens"]
    }
    columns = ("cvx", "short_name", "antigen", "begin_age", "end_age")
    theirs = {tuple(row[column] for column in columns) for row in _rows(data_folder / "preventive" / "cvx_antigen.csv")}
    assert ours == theirs
    rows = _rows(data_folder / "preventive" / "cdsi_observations.csv")
    titles = {row["observation"]: " ".join(row["title"].split()) for row in rows}
    assert {code: entry["title"] for code, entry in schedule["observations"].items()} == titles
    codes = {(row["observation"], row["code"]) for row in rows if row["code"]}
    written = {
        (code, value)
        for code, entry in schedule["observations"].items()
        for values in entry.get("codes", {}).values()
        for value in values
    }
    assert written == codes


# The USPSTF's services


def test_preventive_services_have_the_ages_grades_and_years_of_the_uspstf(data_folder: Path) -> None:
    rows = {row["uspstf_id"]: row for row in _rows(data_folder / "preventive" / "uspstf.csv")}
    services = json.loads((ROOT / "cards" / "preventive" / "services.json").read_text(encoding="utf-8"))["services"]
    # Younger adults are left to their clinician, and who is older than the evidence: the services say why.
    faults = []
    for service in services:
        named = [rows[number] for number in service["uspstf_ids"]]
        assert named, service["id"]
        lowest, highest = min(int(row["age_low"]) for row in named), max(int(row["age_high"]) for row in named)
        if not (lowest <= service["from_age"] <= (service.get("to_age") or highest) <= highest):
            faults.append(
                f"{service['id']}: {service['from_age']} to {service.get('to_age')}, read {lowest} to {highest}"
            )
        if service["grade"] not in {row["grade"] for row in named}:
            faults.append(f"{service['id']}: grade {service['grade']}, read {[row['grade'] for row in named]}")
        if str(service["year"]) not in {row["year"] for row in named}:
            faults.append(f"{service['id']}: year {service['year']}, read {[row['year'] for row in named]}")
    assert not faults, "\n".join(faults)


# Names of drugs


_IRON = ("ferr", "iron", "heme")
_SAME = {"cyanocobalamin": "vitamin b12", "phytonadione": "vitamin k1", "andexanet alfa": "coagulation factor xa"}


def test_a_brand_name_is_the_drug_that_rxnorm_says(data_folder: Path) -> None:
    brands: dict[str, set[str]] = {}
    for row in _rows(data_folder / "drugnames" / "rxnorm_products.csv"):
        if row["brand"]:
            brands.setdefault(row["brand"].lower(), set()).update(_parts(row["ingredients"].lower()))
    compared, faults = 0, []
    for row in _rows(TABLES / "brand_names.csv"):
        if not row["source"].startswith("RxNorm"):  # the EU says of some biologicals which protein it is
            continue
        theirs = brands.get(row["text"])
        if not theirs:
            continue
        compared += 1
        for ours in _parts(row["ingredients"]):
            beginnings = _IRON if ours == "ferrous sulfate" else (_SAME.get(ours, ours.split()[0].split(",")[0][:5]),)
            if not any(beginning in name for beginning in beginnings for name in theirs):
                faults.append(f"{row['text']}: {ours}, RxNorm has {sorted(theirs)}")
    assert not faults, "\n".join(faults[:20])
    assert compared >= 2500


MOST_OTHERS = 87


def _strengths(text: str) -> frozenset[str]:
    """The strengths without the differences in how they are written: units by their short name, two digits."""
    short = text.lower().replace("actuation", "actuat").replace("unit", "unt")
    return frozenset(re.sub(r"[\d.]+", lambda number: f"{float(number[0]):.2g}", part) for part in _parts(short))


def test_the_strengths_of_combinations_are_those_of_rxnorms_products(data_folder: Path) -> None:
    products: dict[frozenset[str], set[frozenset[str]]] = {}
    for row in _rows(data_folder / "drugnames" / "rxnorm_products.csv"):
        if ";" in row["ingredient_rxcuis"] and row["strengths"]:
            strengths = _strengths(row["strengths"])
            products.setdefault(frozenset(_parts(row["ingredient_rxcuis"])), set()).add(strengths)
    others = [
        f"{row['ingredients']}: {row['strengths']}"
        for row in _rows(TABLES / "combination_strengths.csv")
        if _strengths(row["strengths"]) not in products.get(frozenset(_parts(row["ingredients"])), ())
    ]
    # These products have left RxNorm or are written with another rounding or unit: one more than today is an error.
    assert len(others) <= MOST_OTHERS, others


# Conditions


def test_every_code_that_a_file_has_of_a_condition_group_means_that_group(data_folder: Path) -> None:
    """A group may have more codes than the file; it may not have lost one."""
    codes = [
        (row["group"], row["system"], row["code"]) for row in _rows(data_folder / "codes" / "condition_groups.csv")
    ]
    systems = {
        "snomed": "http://snomed.info/sct",
        "icd10_prefix": "http://hl7.org/fhir/sid/icd-10-cm",
        "icd9_prefix": "http://hl7.org/fhir/sid/icd-9-cm",
    }
    codes += [
        (row["key"], system, code)
        for row in _rows(data_folder / "medications" / "conditions.csv")
        for column, system in systems.items()
        for code in _parts(row[column])
    ]
    compared, lost = 0, []
    for name, system, code in codes:
        group = CONDITION_GROUPS.get(name)
        if group is not None and name not in ("tobacco_use", "tobacco_history"):  # told apart by the fifth character
            compared += 1
            if group.key not in condition_groups_of(system, code):
                lost.append(f"{name}: {code} of {system}")
    # Too wide in the file: bronchitis, other degenerations of the brain, what ends a pregnancy, a large prostate
    # without retention, and a valve prosthesis of any kind, the group heart_valve_prosthesis_kind_not_stated.
    narrower = {"copd: J40", "copd: 490", "dementia: G318", "dementia: 3311", "dementia: 3312"}
    narrower |= {"mechanical_valve: Z95.2", "mechanical_valve: V43.3", "bph_retention: 266569009"}
    narrower |= {f"pregnancy: {code}" for code in ("O", "Z33", "63", "64", "65", "66", "67")}
    lost = [code for code in lost if code.partition(" of ")[0] not in narrower]
    assert not lost, f"{len(lost)} codes mean another group or none: {lost[:20]}"
    assert compared > 900


# The specification


def test_the_rows_of_the_kit_are_those_of_the_checklist(spec_folder: Path) -> None:
    checklist = json.loads((spec_folder / "cds-hooks-checklist.json").read_text(encoding="utf-8"))["rows"]
    theirs: Mapping[str, Json] = {row["id"]: row for row in checklist}
    ours = [row for row in _rows(ROOT / "cds_hooks" / "kit" / "contract" / "rows.csv") if row["row"] in theirs]
    assert len(ours) >= 202
    assert not _differences(
        (f"{row['row']}, {column}", row[column], theirs[row["row"]][column])
        for row in ours
        for column in ("strength", "binds")
    )


def test_the_elements_of_resources_are_those_of_fhirs_schema(spec_folder: Path) -> None:
    with gzip.open(spec_folder / "fhir-r4.schema.json.gz") as text:
        definitions = json.load(text)["definitions"]
    # The same type under the name that the models have, and codes with other names of their type.
    faults = []
    for row in _rows(ROOT / "cds_hooks" / "kit" / "contract" / "fhir_elements.csv"):
        definition = _definition(definitions, row["type"])
        element = definition.get("properties", {}).get(row["element"])
        if element is None:
            faults.append(f"{row['type']}.{row['element']} is not in the schema")
            continue
        is_list = element.get("type") == "array"
        if is_list != (row["array"] == "yes"):
            faults.append(f"{row['type']}.{row['element']}: a list {row['array']}, the schema says otherwise")
        reference = (element.get("items", {}) if is_list else element).get("$ref", "").rpartition("/")[2]
        form = "Quantity" if reference in _QUANTITIES else reference
        if form and not _is_same_type(form, row["form"]):
            faults.append(f"{row['type']}.{row['element']}: {row['form']}, in the schema {reference}")
        if row["codes"] and "enum" in element and set(element["enum"]) != set(row["codes"].split()):
            faults.append(f"{row['type']}.{row['element']}: codes {row['codes']}, in the schema {element['enum']}")
    assert not faults, "\n".join(faults[:20])


_QUANTITIES = ("Age", "Count", "Distance", "Duration")


def _is_same_type(theirs: str, ours: str) -> bool:
    """A part within a part has the names of both in ours, and of the resource and itself in the schema."""
    first, _, last = theirs.partition("_")
    return ours.startswith(first) and ours.lower().endswith(last.lower())


def _definition(definitions: Json, name: str) -> Json:
    """The definition of a type: a part of a resource is written with underscores in the schema."""
    if name in definitions:
        return dict(definitions[name])
    parts = [key for key in definitions if "_" in key and _is_same_type(key, name)]
    return dict(definitions[max(parts, key=len)]) if parts else {}
