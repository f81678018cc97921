"""What `cds-hooks equation run` and `check` print, whole, of values that were worked out by hand."""

import json
from math import log
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cds_hooks.commands.equation.main import app

FIB4 = ["age=57", "ast=85", "alt=60", "platelets=90"]
"""57 · 85 / (90 · √60) = 6.95; against 50, 25, 25 and 250: ln 1.14, ln 3.4, -½ ln 2.4 and ln 2.778."""
TITLE = "FIB-4 index of liver fibrosis"
SOURCE = "AASLD 2023 guidance on the assessment of MASLD"


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "100"})


def _lines(result: Result) -> list[str]:
    lines = (" ".join(line.translate(dict.fromkeys(map(ord, "│┃"), " ")).split()) for line in result.stdout.split("\n"))
    return [line for line in lines if line.strip("┏┓━┳┡╇┩└┘┴─")]


def test_an_index_is_drawn_with_its_band_and_its_parts_the_largest_first() -> None:
    done = _run("run", "fib4", *FIB4)
    assert (done.exit_code, done.stderr) == (0, "")
    assert _lines(done) == [
        "FIB-4 index of liver fibrosis, 2006 (fib4)",
        "index: 6.95; high (AASLD 2023 guidance",
        "on the assessment of MASLD)",
        "input value part (log)",
        "AST 85 U/L +1.2238",
        "Platelets 90 10*3/uL +1.0217",
        "ALT 60 U/L -0.4377",
        "Age 57 a +0.1310",
        "reference +0.0000",
        "Compared with: a person of 50 with AST 25, ALT 25 U/L and platelets 250.",
    ]


def test_an_index_is_json_with_every_member() -> None:
    done = _run("run", "fib4", *FIB4, "--json")
    (result,) = json.loads(done.stdout)
    parts = result.pop("contributions")
    assert result == {
        "equation": "fib4",
        "version": "2006",
        "output": "index",
        "value": pytest.approx(57 * 85 / (90 * 60**0.5)),
        "unit": "1",
        "link": "log",
        "base": pytest.approx(0.0),
        "band": {"id": "high", "words": "high", "source": SOURCE},
        "rates": [],
        "not_found": [],
    }
    assert parts == [
        {"input": "age", "value": 57.0, "contribution": pytest.approx(log(57 / 50))},
        {"input": "ast", "value": 85.0, "contribution": pytest.approx(log(85 / 25))},
        {"input": "alt", "value": 60.0, "contribution": pytest.approx(-log(60 / 25) / 2)},
        {"input": "platelets", "value": 90.0, "contribution": pytest.approx(log(250 / 90))},
    ]


def test_points_are_drawn_with_yes_and_no_and_what_the_chart_lacks_is_named_as_no() -> None:
    done = _run("run", "cha2ds2_vasc", "--patient", "sample:af-no-anticoagulant")
    assert _lines(done) == [
        "CHA2DS2-VASc, 2010 (cha2ds2_vasc)",
        "score: 7; 2 % a year or more (2023 ACC/AHA guideline on",
        "atrial fibrillation: a yearly risk of 2 % as threshold)",
        "input value part (identity)",
        "Age 76 a +2.0000",
        "Stroke, TIA or embolism before yes +2.0000",
        "Hypertension yes +1.0000",
        "Diabetes yes +1.0000",
        "Sex female +1.0000",
        "Heart failure no +0.0000",
        "Vascular disease no +0.0000",
        "reference +0.0000",
        "Not found in the chart, so counted as no: heart failure, vascular disease.",
        "Compared with: a man under 65 with none of the conditions: 0 points.",
    ]


def test_a_probability_is_a_percentage_and_a_rate_has_its_unit() -> None:
    risk = _lines(_run("run", "kfre_4", "--patient", "sample:ckd-uacr", "--output", "2y"))
    assert risk[1] == "2y: 2.78%; 10 % or less (KDIGO 2024, practice points 2.2.2"
    assert "eGFR 38.54 mL/min/{1.73_m2} -0.2706" in risk
    rate = _lines(_run("run", "ckd_epi_2021_creatinine", "age=55", "sex=male", "creatinine=132.6 umol/L"))
    assert rate[1] == "egfr: 55 mL/min/{1.73_m2}; G3a, mildly"
    assert rate[5] == "Creatinine 1.5 mg/dL -0.6130"


def test_a_refusal_is_a_sentence_and_nothing_else_is_named() -> None:
    done = _run("run", "fib4", "age=30", *FIB4[1:])
    assert done.exit_code == 1
    assert _lines(done) == [
        "FIB-4 index of liver fibrosis, 2006 (fib4)",
        f"No value: {TITLE}: Age 30 a is outside 35 to 120.",
        "Compared with: a person of 50 with AST 25, ALT 25 U/L and platelets 250.",
    ]
    refused = {
        "refused": "out-of-range",
        "text": f"{TITLE}: Age 30 a is outside 35 to 120.",
        "inputs": ["age"],
        "not_found": [],
    }
    assert json.loads(_run("run", "fib4", "age=30", *FIB4[1:], "--json").stdout) == [refused]


def _vectors(folder: Path, *vectors: tuple[Any, float | str | None]) -> str:
    """A file of vectors of fib4 that differ in their age; of a person of 50 at the reference it is 1."""
    rest = {"ast": 25, "alt": 25, "platelets": 250}
    document = {"test_vectors": [{"inputs": {"age": age, **rest}, "expected": value} for age, value in vectors]}
    (folder / "fib4.json").write_text(json.dumps(document))
    return str(folder / "fib4.json")


def test_vectors_that_agree_are_counted_with_their_largest_difference(tmp_path: Path) -> None:
    done = _run("check", _vectors(tmp_path, (50, 1.0), (75, 1.5 / 1.0005), (100, 2.0), (34.9, None)))
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == "fib4 2006: 4 of 4 vectors agree, largest relative difference 5.0e-04\n"
    only_refused = _run("check", _vectors(tmp_path, (34, None)))
    assert only_refused.stdout == "fib4 2006: 1 of 1 vectors agree, largest relative difference 0.0e+00\n"


def test_the_first_vector_that_disagrees_ends_the_check_where_others_follow(tmp_path: Path) -> None:
    file = _vectors(tmp_path, (50, 1.0), (75, 1.6), (34, 1.0), (100, None))
    done = _run("check", file)
    assert done.exit_code == 1
    assert done.stderr == "DISAGREES vector 2: expected 1.6, found 1.5\n"
    assert done.stdout == (
        "fib4 2006: 1 of 4 vectors agree, largest relative difference 6.3e-02; stopped after 2, --all goes on\n"
    )
    every = _run("check", file, "--all")
    assert every.exit_code == 1
    assert every.stderr.splitlines() == [
        "DISAGREES vector 2: expected 1.6, found 1.5",
        f"DISAGREES vector 3: expected 1.0, found refused: {TITLE}: Age 34 a is outside 35 to 120.",
        "DISAGREES vector 4: expected a refusal, found 2.0",
    ]
    assert every.stdout == "fib4 2006: 1 of 4 vectors agree, largest relative difference 6.3e-02\n"
    last = _run("check", _vectors(tmp_path, (50, 1.0), (75, 1.6)))
    assert last.stdout == "fib4 2006: 1 of 2 vectors agree, largest relative difference 6.3e-02\n"


def test_a_check_is_json_with_each_disagreement(tmp_path: Path) -> None:
    done = _run("check", _vectors(tmp_path, (50, 1.0), (75, 1.6), (34, 1.0)), "--all", "--json")
    assert (done.exit_code, done.stderr) == (1, "")
    document = {"equation": "fib4", "version": "2006", "vectors": 3, "checked": 3, "agree": 1}
    refused = f"{TITLE}: Age 34 a is outside 35 to 120."
    assert json.loads(done.stdout) == document | {
        "largest_relative_difference": pytest.approx(0.0625),
        "disagreements": [
            {"id": "vector 2", "output": None, "expected": 1.6, "found": 1.5, "refused": None},
            {"id": "vector 3", "output": None, "expected": 1.0, "found": None, "refused": refused},
        ],
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fib4", "age"], "'age' is not INPUT=VALUE, for example age=60"),
        (["fib4", "=60"], "'=60' is not INPUT=VALUE, for example age=60"),
        (["fib4", "age=60", "ast=1", "age=61"], "age is given twice"),
        (["fib4", "weight=70"], "fib4 has no input weight; it has: age, ast, alt, platelets"),
        (["fib4", "--output", "5y"], "fib4 has no output '5y'; it has: index"),
        (["fib4", "--inputs", "{no"], "--inputs is not JSON: "),
        (["fib4", "--inputs", '"age"'], None),
    ],
)
def test_what_cannot_be_used_is_said_word_for_word(arguments: list[str], words: str | None) -> None:
    done = _run("run", *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    if words is not None:
        assert done.stderr.startswith(words), done.stderr
        assert done.stderr.count("\n") == 1
