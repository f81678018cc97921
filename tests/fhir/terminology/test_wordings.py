"""How problems, reasons, flags, devices, allergies and vaccines are written, and look-alikes that mean none of them.

wordings.csv was written by this project before its tables were opened; `words` are wordings, separated by "|".
"""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fhir.mapping.understanding import understand

_ELEMENTS = {"Condition": "code", "Procedure": "code", "Flag": "code", "Device": "type", "AllergyIntolerance": "code"}


def _resource(kind: str, words: str) -> Mapping[str, Any]:
    concept = {"text": words}
    if kind == "ServiceRequest":
        return {"resourceType": kind, "status": "active", "intent": "order", "reasonCode": [concept]}
    if kind == "Immunization":
        return {"resourceType": kind, "status": "completed", "vaccineCode": concept}
    return {"resourceType": kind, _ELEMENTS[kind]: concept}


def test_each_wording_means_what_its_row_says() -> None:
    with Path(__file__).with_name("wordings.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    wrong = []
    for row in rows:
        for words in row["words"].split("|"):
            read = understand(_resource(row["resource"], words))
            meanings = {*read.groups, *read.allergen_classes, *read.vaccine_families, *read.drugs}
            if (row["meaning"] in meanings) is not (row["is_meant"] == "yes"):
                wrong.append((words, row["meaning"], row["is_meant"]))
    assert wrong == []


def test_denials_doubts_relatives_risks_tests_and_fears_mean_nothing_in_ten_languages() -> None:
    with Path(__file__).with_name("denials.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    texts = [
        (group, text.replace("{x}", name))
        for row in rows
        for group, name in (pair.split(":") for pair in row["names"].split("|"))
        for text in ("{x}", *row["texts"].split("|"))
    ]
    read = [(group, text) for group, text in texts if group in understand(_resource("Condition", text)).groups]
    assert len(texts) > 1200
    assert [text for _, text in read] == [pair.split(":")[1] for row in rows for pair in row["names"].split("|")]
