"""Faults are put into a copy, one at a time and the same for the same seed; each differs from the file in one point."""

import json
import random

import pytest

from benchmarks.faults import faults_of

FILES = {
    "a.py": "def dose(mg: float) -> float:\n    return (mg * 2) / (1 + 3) if mg > 10 and mg != 7 else 0.0\n",
    "a.json": json.dumps({"when": {"ge": 30, "code": "2160-0"}, "texts": ["eGFR"]}, indent=1) + "\n",
    "a.csv": "drug,most\nwarfarin,10\nmetformin,3000\n",
    "a.html": '{% if row.found %}<a href="rules">{{ row.name | upper }}</a>{% endif %}\n',
}


@pytest.mark.parametrize("path", FILES)
def test_every_fault_changes_the_file_and_says_how(path: str) -> None:
    faults = list(faults_of(path, FILES[path], random.Random(1)))
    assert len(faults) >= 4
    for fault in faults:
        assert fault.text != FILES[path]
        assert fault.words
    assert len({fault.text for fault in faults}) == len(faults)


@pytest.mark.parametrize("path", FILES)
def test_the_same_seed_makes_the_same_faults(path: str) -> None:
    first, again = (list(faults_of(path, FILES[path], random.Random(7))) for _ in range(2))
    assert first == again


def test_a_limit_is_raised_by_a_quarter_and_its_sign_is_changed() -> None:
    texts = [fault.text for fault in faults_of("a.json", FILES["a.json"], random.Random(1))]
    assert any('"ge": 37.5' in text for text in texts)
    assert any('"gt": 30' in text for text in texts)


def test_code_with_a_fault_is_still_code() -> None:
    for fault in faults_of("a.py", FILES["a.py"], random.Random(1)):
        compile(fault.text, "a.py", "exec")
