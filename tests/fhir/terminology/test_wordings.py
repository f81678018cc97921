"""How problems, reasons, flags, devices, allergies and vaccines are written, and look-alikes that mean none of them.

wordings.csv was written by this project before its tables were opened, in nineteen sets that were measured unseen.
"""

import copy
import csv
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fhir.mapping.understanding import understand
from fhir.terminology.late_pattern import late_pattern
from fhir.terminology.plain_file import plain_file
from fhir.terminology.spelling import Spelling
from fhir.terminology.units import UnitParts, normal_unit, unit_parts
from tests.each import for_rows

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
        read = understand(_resource(row["resource"], row["words"]))
        meanings = {*read.groups, *read.allergen_classes, *read.vaccine_families, *read.drugs}
        if (row["meaning"] in meanings) is not (row["is_meant"] == "yes"):
            wrong.append((row["words"], row["meaning"], row["is_meant"]))
    assert len(rows) > 1500
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


# Files, spellings, patterns and units for the tables: on their limits.
def test_a_pattern_is_compiled_when_it_is_first_used() -> None:
    pattern = late_pattern("a+", 2)
    assert pattern.fullmatch("AA") is not None
    assert pattern.fullmatch("b") is None
    assert late_pattern("a").search("A") is None
    assert copy.copy(pattern).search("xa") is not None


def test_a_pipe_is_no_file_and_what_is_not_there_is_left_to_the_reader(tmp_path: Path) -> None:
    pipe, file = tmp_path / "pipe", tmp_path / "file"
    os.mkfifo(pipe)
    file.touch()
    for path in (file, tmp_path, tmp_path / "nothing", Path(os.devnull)):
        assert plain_file(path) == path
    for path in (pipe, Path("/dev/zero")):
        with pytest.raises(OSError, match="it is a named pipe, a socket or a device, not a file"):
            plain_file(path)


@for_rows(
    ("word", "corrected"),
    [
        ("hypertention", "hypertension"),  # wrong
        ("hypertensin", "hypertension"),  # missing
        ("hypertenssion", "hypertension"),  # too many
        ("hypertenison", "hypertension"),  # changed places
        ("hyprtension", "hypertension"),
        ("hyperetnsion", "hypertension"),
        ("hypertenton", "hypertenton"),  # two
        ("hypertension", "hypertension"),
        ("xypertension", "xypertension"),  # the first letter counts as right
        ("asthm", "asthm"),  # too short
        ("strokes", "stroke"),  # of seven letters to one of six
        ("hypocalemia", "hypocalemia"),  # near to two
        ("hypertensi0n", "hypertensi0n"),
    ],
)
def test_one_mistake_in_a_long_word_is_corrected(word: str, corrected: str) -> None:
    right = Spelling(
        ["hypertension", "asthma", "stroke", "goutte", "gout", "hypokalemia", "hypocalcemia", "hypocalemix"]
    )
    assert right.corrected(word) == (corrected if word != "gouttes" else "goutte")


@for_rows(
    ("text", "normal", "parts"),
    [
        ("mg/dL", "mg/dl", UnitParts(0.01, "g", "l")),
        ("K/uL", "10*3/ul", UnitParts(1e9, "", "l")),
        ("x10^9/L", "10*9/l", UnitParts(1e9, "", "l")),
        ("cells/uL", "/ul", UnitParts(1e6, "", "l")),
        ("μmol/l", "umol/l", UnitParts(1e-6, "mol", "l")),
        ("10⁶/L", "10*6/l", UnitParts(1e6, "", "l")),
        ("IU/L", "u/l", UnitParts(1.0, "u", "l")),
        ("mg per day", "mg/day", None),
        ("mg", "mg", None),
        ("stone/L", "stone/l", None),
        ("mL/min/1,73qm", "ml/min/1.73m2", None),
    ],
)
def test_a_unit_has_one_spelling_and_its_parts(text: str, normal: str, parts: UnitParts | None) -> None:
    assert normal_unit(text) == normal
    assert unit_parts(text) == parts
