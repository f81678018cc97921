"""The project's features, one entry each; `FEATURES` is the dictionary a model names them from."""

from fhir.mapping.equation_features import EQUATION_FEATURES
from fhir.mapping.feature import Feature, Kind
from fhir.mapping.stay_features import STAY_FEATURES
from fhir.terminology.analytes import ANALYTES

YEAR_DAYS = 365


def _measured(
    name: str, analyte: str, evidence: str, window_days: int = YEAR_DAYS, kind: Kind = "measurement"
) -> Feature:
    meaning = ANALYTES[analyte]
    return Feature(
        name=name,
        words=meaning.words,
        kind=kind,
        unit=meaning.unit,
        plausible_low=meaning.plausible_low,
        plausible_high=meaning.plausible_high,
        evidence=evidence,
        analyte=analyte,
        window_days=window_days,
    )


_NHANES = "an ordinary input of NHANES with linked mortality (NCHS public-use files, 1988-2014)"

_ALL = (
    Feature(
        name="age_years",
        words="Age",
        kind="age",
        unit="a",
        plausible_low=0,
        plausible_high=130,
        evidence=f"Patient.birthDate at the time of the call; {_NHANES}",
    ),
    Feature(
        name="sex_male",
        words="Sex",
        kind="sex",
        unit="1",
        plausible_low=0,
        plausible_high=1,
        evidence=f"Patient.gender, 1 for male and 0 for female; {_NHANES}",
    ),
    _measured("albumin_g_dl", "albumin", _NHANES),
    _measured("alp_u_l", "alp", _NHANES),
    _measured("bun_mg_dl", "bun", _NHANES),
    _measured("creatinine_mg_dl", "creatinine", _NHANES),
    _measured("glucose_mg_dl", "glucose", _NHANES),
    _measured("bilirubin_total_mg_dl", "bilirubin_total", _NHANES),
    _measured("wbc_10e3_ul", "wbc", _NHANES),
    _measured("rbc_10e6_ul", "rbc", _NHANES),
    _measured("mcv_fl", "mcv", _NHANES),
    _measured("rdw_pct", "rdw_cv", _NHANES),
    _measured("lymphocytes_pct", "lymphocytes_pct", _NHANES),
    _measured("sbp_mmhg", "sbp", _NHANES),
    _measured("dbp_mmhg", "dbp", _NHANES),
    _measured("bmi_kg_m2", "bmi", _NHANES, kind="bmi"),
)

FEATURES: dict[str, Feature] = {feature.name: feature for feature in (*_ALL, *EQUATION_FEATURES, *STAY_FEATURES)}


def features_named(names: tuple[str, ...]) -> tuple[Feature, ...]:
    """The features of these names in this order; an unknown name raises KeyError with the names there are."""
    unknown = [name for name in names if name not in FEATURES]
    if unknown:
        raise KeyError(f"no feature {', '.join(unknown)}; there are: {', '.join(sorted(FEATURES))}")
    return tuple(FEATURES[name] for name in names)
