"""The files of a new model for tests: a declaration, the words of a card to complete, and cases to try it on."""

from pathlib import Path


def write_template(name: str, folder: Path) -> None:
    """Writes the three files into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {f"{name}.py": _SPEC.replace("NAME", name), f"{name}.card.json": CARD, f"{name}.cases.csv": _CASES}
    for file, text in texts.items():
        (folder / file).write_text(text, encoding="utf-8")


_SPEC = '''"""WHAT IS PREDICTED, for which decision.

Source of the data and its traps: WHICH STUDY OR EXTRACT, and where its description stands.
"""

from models_onnx.spec import (
    AdditiveLogistic,
    CohortExclusion,
    InputSpec,
    ModelSpec,
    OutcomeSpec,
    PopulationSpec,
    RequiredGroup,
)

LABS = ("creatinine_mg_dl", "albumin_g_dl")

SPEC = ModelSpec(
    id="NAME",
    version="0.1.0",
    title="Event within 30 days, adults",
    # `column` is 0 or 1 in the table. Where people are followed for different times, give `follow_up=FollowUp(...)`.
    outcome=OutcomeSpec(column="event", words="had the event within 30 days", horizon_days=30),
    intended_use="Gives clinicians information to consider when deciding WHAT. Used in WHICH HOOK.",
    users="physicians and nurses",
    decision_role="informs",
    not_for=("emergencies or decisions within days", "deciding to withhold, limit or deny treatment or coverage"),
    cautions=("Not for emergencies. Review the listed factors and the chart.",),
    population=PopulationSpec(words="adults", age_low=18),
    table="NAME.csv",
    period="WHICH YEARS",
    cohort_words="people of WHICH PLACE",
    # In this order, each counted. `at_score` is the reason code of a row that gets no score; without it the step is
    # about training only.
    exclusions=(
        CohortExclusion("under-18", "younger than 18", lambda table: table["age_years"] < 18, "outside-population"),
    ),
    # Names of features: docs/features.md. A new one is an entry in fhir/mapping/features/catalog.py.
    inputs=(InputSpec("age_years"), InputSpec("sex_male"), *(InputSpec(name) for name in LABS)),
    # How an input is read from the table, where it is not a column of that name.
    derived={"sex_male": lambda table: table["sex"].map({"male": 1.0, "female": 0.0})},
    always_required=("age_years", "sex_male"),
    required_groups=(RequiredGroup("labs", "laboratory values", LABS, 1),),
    estimator=AdditiveLogistic(knots=3, C=0.3),
    reference_words="the people of the table",
    capacity=0.10,
    capacities=(0.05, 0.10, 0.20),
    simple_inputs=("age_years", "sex_male"),
    subgroups={"sex": lambda table: table["sex"]},
    panels={"without the laboratory values (not scored)": LABS},
    patient_column="patient",
    # Where a patient may have several rows: row_column="id", the column that names a row and is the id of its score,
    # and row_words="stays", what the pages call the rows.
    # Columns that know the outcome or stand for who pays: no input may read them.
    never_inputs=("event",),
)
'''

CARD = """{
 "attributes": {
  "details.developer": "",
  "details.funding": "",
  "development.relevance": "",
  "fairness.approach": "",
  "fairness.mitigation": ""
 },
 "product": {
  "acting_window_hours": 720,
  "setting": "outpatient",
  "data_last_year": 2000,
  "label": {
   "kind": "outcome",
   "words": "",
   "stands_for": "",
   "audit": {"need": "event", "words": "", "axis": "sex"}
  },
  "fairness_axes": {"sex": "all"},
  "auroc_floor": 0.6,
  "stress_move_at_most": 0.2,
  "irm": {"reviewed": "TODO", "by": "TODO", "for_professionals": true, "informs": true, "wording": true},
  "waivers": [],
  "keywords": [],
  "bibliography": ""
 }
}
"""

_CASES = """id,patient,age_years,sex,creatinine_mg_dl,albumin_g_dl,expect
ordinary,case-1,60,female,0.9,4.2,score
too young,case-2,12,male,0.6,4.4,outside-population
no labs,case-3,60,male,,,too-few-inputs
wrong unit,case-4,60,male,88.0,4.1,out-of-range
"""
