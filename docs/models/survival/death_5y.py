"""Death within 5 years, invented: a Cox model of lifelines."""

from models_onnx.spec import Fitted, FollowUp, InputSpec, ModelSpec, OutcomeSpec, PopulationSpec

SPEC = ModelSpec(
    id="death_5y",
    version="1.0.0",
    title="Death within 5 years, invented people",
    outcome=OutcomeSpec(
        column="died",
        words="died within 5 years, of any cause",
        horizon_days=1826.25,
        follow_up=FollowUp(lambda table: table["months"], lambda table: table["died"], per_year=12),
    ),
    intended_use="Shows how a survival model comes in. Used in patient-view.",
    users="data scientists",
    decision_role="informs",
    not_for=("the care of any patient",),
    cautions=("The people are invented.",),
    population=PopulationSpec(words="adults of 40 and over", age_low=40),
    table="death_5y.csv",
    period="2026",
    cohort_words="invented people",
    exclusions=(),
    inputs=(InputSpec("age_years"), InputSpec("sex_male"), InputSpec("creatinine_mg_dl")),
    derived={},
    always_required=("age_years", "sex_male", "creatinine_mg_dl"),
    estimator=Fitted("death_5y.onnx", trained_on="6,000 invented people, none of whom is in the table"),
    reference_words="the people of the table",
    capacity=0.10,
    capacities=(0.05, 0.10, 0.20),
    simple_inputs=("age_years", "sex_male"),
    subgroups={
        "sex": lambda table: table["sex_male"].map({1: "male", 0: "female"}),
        "age band": lambda table: (table["age_years"] // 20 * 20).astype(int).astype(str),
    },
    patient_column="patient",
    never_inputs=("months", "died"),
)
