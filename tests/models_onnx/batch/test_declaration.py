"""How the columns of a table are read: whole plans, and every contradiction in its whole sentence."""

from typing import Any

import pytest

from fhir.mapping.features.catalog import FEATURES
from models_onnx.artifact.manifest import Manifest
from models_onnx.batch import BatchModel, TableDeclaration, load
from models_onnx.batch.declaration import InputColumn, YesColumn, plan_of
from models_onnx.errors import BatchRefused

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
