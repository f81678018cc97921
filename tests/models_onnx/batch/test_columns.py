"""Columns of a table as numbers: every form of a value, every unit, and what is refused at its limits."""

from typing import Any

import numpy as np
import pyarrow
import pytest

from fhir.mapping.features.catalog import FEATURES
from models_onnx.artifact.manifest import Manifest
from models_onnx.batch import BatchModel, TableDeclaration, load
from models_onnx.batch.columns import Column, column_of, read_input, read_yes
from models_onnx.batch.declaration import InputColumn, YesColumn, plan_of
from models_onnx.errors import BatchRefused

CREATININE = FEATURES["creatinine_mg_dl"]
NAN = float("nan")


def _column(name: str = "creatinine_mg_dl", **more: Any) -> InputColumn:
    return InputColumn(FEATURES[name], more.pop("column", name), **more)


def _arrow(*values: Any) -> Column:
    """The values as Arrow has them: all numbers, or all texts."""
    are_numbers = all(type(value) in (int, float, type(None)) for value in values)
    texts = [None if value is None else str(value) for value in values]
    array = pyarrow.array(values, pyarrow.float64()) if are_numbers else pyarrow.array(texts, pyarrow.string())
    return column_of(array, "a")


def _read(source: InputColumn, *values: Any) -> Any:
    """The values (None where missing), the places of the unreadable ones and of the implausible ones."""
    try:
        numbers, unreadable, implausible = read_input(source, _arrow(*values))
    except BatchRefused as refused:
        return str(refused)
    rounded = [None if np.isnan(number) else round(float(number), 4) for number in numbers]
    return rounded, np.flatnonzero(unreadable).tolist(), np.flatnonzero(implausible).tolist()


def test_numbers_and_what_is_none() -> None:
    assert _read(_column(), 1.0, "1.25", " 2 ", 1, None, "", "NA", "n/a", "nan", "null", "None", "<NA>") == (
        [1.0, 1.25, 2.0, 1.0, None, None, None, None, None, None, None, None],
        [],
        [],
    )
    assert _read(_column(), 1, 2, 3, "<5", "1_0", True, b"1", "high") == (
        "The column creatinine_mg_dl (creatinine) has 5 values that are no numbers and 3 that "
        "are: write numbers with a decimal point, or leave them blank."
    )
    assert _read(_column(), 1, "x", "y") == (
        "The column creatinine_mg_dl (creatinine) has 2 values that are no numbers and 1 that "
        "are: write numbers with a decimal point, or leave them blank."
    )
    assert _read(_column(), 1, "x") == ([1.0, None], [1], [])
    assert _read(_column(), 0.04, 0.05, 30.0, 40.0, 50.0, 51.0) == (
        [0.04, 0.05, 30.0, 40.0, 50.0, 51.0],
        [],
        [0, 1, 2, 3, 4, 5],
    )
    assert _read(_column(coding={"n": "", "two": "2"}), "n", " two ", 1) == ([None, 2.0, 1.0], [], [])
    assert _read(_column("age_years"), 64.99, 65, 0.5, 200) == ([64.0, 65.0, 0.0, 200.0], [], [3])


def test_a_declared_unit_of_a_column() -> None:
    analyte = CREATININE.measured
    assert analyte is not None
    source = _column(conversion=analyte.conversion("umol/L"))
    assert _read(source, 88.4, 176.8, 5.0) == ([1.0, 2.0, 0.0566], [], [2])
    assert len(_read(source, *[1.0] * 19)[2]) == 19, "so few values are not judged as a column"


def _strange(*values: float) -> Any:
    """Return how many values cannot be; the sentence where the column is refused."""
    read = _read(_column(), *values)
    return read if isinstance(read, str) else len(read[2])


def test_a_column_of_which_a_twentieth_cannot_be_is_in_another_unit_or_in_two() -> None:
    usual, other = [1.0] * 95, [88.0, 90.0, 92.0, 94.0]
    assert _strange(*usual, *other) == 4
    assert _strange(*[1.0] * 96, *other, 96.0) == 5
    assert _strange(*usual, *other, 96.0) == (
        "5 of 100 values of the column creatinine_mg_dl are outside 0.1 to 20 mg/dL, which nobody's creatinine is. A "
        "column is in one unit: say which (--unit creatinine_mg_dl=UNIT), convert the rows that are in another one, "
        "and leave blank what is no value."
    )
    assert "20 of 20 values" in _strange(*[88.0] * 20)
    assert _strange(*[88.0] * 19) == 19


def test_the_sexes_and_yes_or_no() -> None:
    assert _read(_column("sex_male", column="gender"), "male", "Female", "other", "unknown", None, "") == (
        [1.0, 0.0, None, None, None, None],
        [],
        [],
    )
    assert _read(_column("sex_male", column="gender"), "1") == (
        "The column gender (sex) has the value '1', whose meaning nobody declared. Known are: "
        "male, female, other, unknown. Say what it means: --values gender=1:MEANING, where "
        "the meaning is one of these."
    )
    assert _read(_column("sex_male"), 1, "0", True, False, 1.0) == ([1.0, 0.0, 1.0, 0.0, 1.0], [], [])
    assert _read(
        _column("sex_male", column="sex", coding={"M": "male", "W": " Female ", "": "unknown"}), "M", "W", ""
    ) == ([1.0, 0.0, None], [], [])


def test_whom_a_column_leaves_out() -> None:
    def leaves_out(*values: Any, coding: dict[str, str] | None = None) -> Any:
        try:
            return read_yes(YesColumn("pregnancy", "pregnant", "pregnant", coding), _arrow(*values)).tolist()
        except BatchRefused as refused:
            return str(refused)

    assert leaves_out("yes", "No", 1, 0, "1.0", "true", None, "NA", False) == [
        True, False, True, False, True, True, False, False, False,
    ]  # fmt: skip
    assert leaves_out("X", coding={"X": "yes"}) == [True]
    assert leaves_out("2026-01-02") == (
        "The column pregnant holds dates, and is asked for a yes or a no: write 1 where there "
        "is a date and 0 where there is none."
    )
    assert leaves_out("maybe, or something that is much longer") == (
        "The column pregnant has the value 'maybe, or something ', whose meaning nobody "
        "declared. Known are: 1, 0, 1.0, 0.0, true, false, yes, no. Say what it means: "
        "--values pregnant=maybe, or something :MEANING, where the meaning is one of these."
    )


COHORT = "adults of 40 and over, not pregnant, living at home, with at least 8 of the 11 laboratory values"


@pytest.fixture(scope="module")
def panel() -> BatchModel:
    """The committed model with its twin."""
    return load("mortality_5y")


@pytest.fixture(scope="module")
def manifest(panel: BatchModel) -> Manifest:
    """Its manifest."""
    return panel.model.manifest


def columns(manifest: Manifest, *more: str, without: tuple[str, ...] = ()) -> list[str]:
    """The columns of a table that has every input under its own name."""
    return [*(item.name for item in manifest.features if item.name not in without), "pregnancy", *more]


def test_columns_units_codings_and_people_to_leave_out_are_read_as_declared(manifest: Manifest) -> None:
    declared = TableDeclaration(
        columns={"pregnancy": "gravid", "deceased": "died", "age_years": "years", "creatinine": "crea"},
        units={"bun": "mmol/L"},
        values={
            "gravid": {"1": "yes"},
            "sex": {"M": "male"},
            "hospice": {"y": "yes"},
            "rdw_pct": {"high": "15"},
        },
        without=frozenset({"bmi_kg_m2"}),
        exclude=("hospice",),
    )
    gone = ("age_years", "creatinine_mg_dl", "sex_male", "bun_mg_dl", "bmi_kg_m2", "pregnancy")
    table = [name for name in columns(manifest) if name not in gone]
    table += ["years", "crea", "sex", "bun", "gravid", "died", "hospice"]
    plan = plan_of(manifest, table, declared)
    read = {item.feature.name: item for item in plan.inputs}
    bun = FEATURES["bun_mg_dl"]
    assert bun.measured is not None
    assert [read[name] for name in ("age_years", "creatinine_mg_dl", "sex_male", "bmi_kg_m2", "rdw_pct")] == [
        InputColumn(FEATURES["age_years"], "years"),
        InputColumn(FEATURES["creatinine_mg_dl"], "crea"),
        InputColumn(FEATURES["sex_male"], "sex", None, {"M": "male"}),
        InputColumn(FEATURES["bmi_kg_m2"], None),
        InputColumn(FEATURES["rdw_pct"], "rdw_pct", None, {"high": "15"}),
    ]
    assert read["bun_mg_dl"] == InputColumn(bun, "bun", bun.measured.conversion("mmol/L"))
    assert plan.leave_out == (
        YesColumn("deceased", "deceased", "died"),
        YesColumn("pregnancy", "pregnancy", "gravid", {"1": "yes"}),
        YesColumn("hospice", "hospice", "hospice", {"y": "yes"}),
    )
    assert plan.unsaid == ()
    assert "died" in plan.columns


@pytest.mark.parametrize(
    ("declared", "without", "more", "sentence"),
    [
        ({}, (), ["rdw_pct"], "The table has two columns called 'rdw_pct': name them apart."),
        ({"without": "rdw_pct"}, (), [], "rdw_pct is declared as not there, and the table has the column rdw_pct."),
        ({}, ("sex_male",), ["sex", "gender"], "sex_male could be in the column sex or gender: declare which it is."),
        (
            {"columns": {"bun": "urea"}},
            (),
            [],
            "bun_mg_dl is declared to be in the column 'urea', which the table does not have.",
        ),
        (
            {"units": {"age_years": "mo"}},
            (),
            [],
            "age_years (column age_years) has no unit that could be another one than a.",
        ),
        (
            {},
            ("pregnancy",),
            [],
            f"mortality_5y is for {COHORT}, and the table has no column pregnancy or pregnant that says whom to leave "
            "out. Name the column (--column pregnancy=NAME), or declare that it is true of nobody in the table "
            "(--none-has pregnancy).",
        ),
        (
            {"none_has": ("pregnancy",)},
            ("pregnancy",),
            ["pregnant"],
            "pregnancy is declared to be true of nobody, and the table has the column pregnant.",
        ),
        (
            {},
            ("bun_mg_dl",),
            ["bun"],
            "The table has a column bun and none called bun_mg_dl: declare its one unit, as in --unit bun=mg/dL.",
        ),
        (
            {},
            ("sex_male",),
            [],
            f"mortality_5y reads {FEATURES['sex_male'].words} ({FEATURES['sex_male'].unit}), and the table has no "
            "column sex_male or sex or gender. Name the column (--column sex_male=NAME), or declare that the table "
            "does not have it (--without sex_male): it is then missing for everybody.",
        ),
        (
            {"columns": {"deceased": "died"}},
            ("age_years",),
            [],
            "mortality_5y reads Age (a), and the table has no column age_years. Name the column (--column "
            "age_years=NAME), or declare that the table does not have it (--without age_years): it is then missing "
            "for everybody.",
        ),
    ],
)
def test_a_table_that_leaves_something_open_is_refused_with_what_to_declare(
    manifest: Manifest, declared: dict[str, Any], without: tuple[str, ...], more: list[str], sentence: str
) -> None:
    table = [*(name for name in columns(manifest) if name not in without), *more]
    with pytest.raises(BatchRefused) as refused:
        plan_of(manifest, table, TableDeclaration(**declared))
    assert str(refused.value) == sentence


def test_a_unit_that_is_not_known_is_refused_with_those_that_are(manifest: Manifest) -> None:
    with pytest.raises(BatchRefused) as refused:
        plan_of(manifest, columns(manifest), TableDeclaration(units={"bun": "stone"}))
    measured = FEATURES["bun_mg_dl"].measured
    assert measured is not None
    units = ", ".join(sorted(measured.units))
    assert str(refused.value) == f"The unit 'stone' is not known for bun_mg_dl (column bun_mg_dl); known are: {units}."


@pytest.mark.parametrize(
    ("what", "value", "known_names"),
    [("exclude", ("banana",), "extra"), ("none_has", ("banana",), "pregnancy, pregnant")],
)
def test_a_name_that_would_do_nothing_is_refused_with_those_that_would(
    panel: BatchModel, what: str, value: Any, known_names: str
) -> None:
    manifests = tuple(panel.manifests.values())
    start = f"{what} names 'banana', which mortality_5y does not know here; it knows: "
    with pytest.raises(BatchRefused) as refused:
        TableDeclaration(**{what: value}).refuse_unknown(manifests, ["extra"])
    assert str(refused.value) == f"{start}{known_names}."
    if what == "exclude":
        with pytest.raises(BatchRefused) as refused:
            TableDeclaration(**{what: value}).refuse_unknown(manifests, [])
        assert str(refused.value) == f"{start}none."


def test_every_name_that_does_something_is_taken(panel: BatchModel) -> None:
    TableDeclaration(
        columns={"bun_mg_dl": "a", "bun": "b", "pregnancy": "c", "deceased": "d"},
        units={"bun_mg_dl": "a", "bun": "b", "extra": "c"},
        values={"bun_mg_dl": {}, "bun": {}, "pregnancy": {}, "deceased": {}, "extra": {}},
        without=frozenset({"bun_mg_dl", "bun"}),
        none_has=frozenset({"pregnancy", "pregnant"}),
        exclude=("extra",),
    ).refuse_unknown(tuple(panel.manifests.values()), ["extra"])
