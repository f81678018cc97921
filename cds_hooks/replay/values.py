"""Scores computed again from the recorded values: models in batches, equations and vaccines one by one."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from functools import cached_property
from math import nan
from typing import Any, Final

import msgspec
import numpy as np
from msgspec import Raw, Struct

from cards.compose.vaccines import forecast_entries
from cards.rules.engine.governance import MetFinding
from cards.vaccines.doses_by_day import GivenDose
from cards.vaccines.due import vaccines_due
from cards.vaccines.knowledge import load_knowledge
from cards.vaccines.patient import ChartedPerson, PatientObservation, Person
from cds_hooks.prefetch.facts import OfBasis
from cds_hooks.services._equation import scores_of_equation
from cds_hooks.services._model import scores_of
from fhir.mapping.features.catalog import FEATURES
from fhir.mapping.features.feature import Feature, FeatureValue, FeatureVector, Missing
from models_onnx.equations.declaration import Equation, find_equations
from models_onnx.equations.record_inputs import inputs_from_record
from models_onnx.errors import EquationRefused
from models_onnx.serving.runtime import Model

_NULL: Final = Raw(b"null")
_EMPTY: Final = Raw(b"{}")


class Basis(OfBasis, frozen=True, dict=True, kw_only=True):
    """What a decision recorded of itself.

    Values and scores are read from their JSON when they are first asked for: a whole call is computed without them.
    """

    as_of: datetime
    features_as_recorded: Raw = msgspec.field(default=_EMPTY, name="features")
    missing_as_recorded: Raw = msgspec.field(default=_EMPTY, name="missing")
    vaccinations: Raw = _NULL
    scores_as_recorded: Raw = msgspec.field(default=_NULL, name="scores")
    silence: tuple[tuple[str, str, str], ...] = ()
    config: str = ""
    withheld: dict[str, int] = msgspec.field(default_factory=dict)
    answered: tuple[MetFinding, ...] = ()

    @cached_property
    def features(self) -> dict[str, tuple[float, str, str]]:
        """Of each feature its value, when that was, and the resource it is from."""
        features: dict[str, tuple[float, str, str]] = _features.decode(self.features_as_recorded)
        return features

    @cached_property
    def missing(self) -> dict[str, str]:
        """Of each feature without a value the reason."""
        missing: dict[str, str] = _missing.decode(self.missing_as_recorded)
        return missing

    @cached_property
    def scores(self) -> dict[str, Any] | None:
        """The scores; None where there are none."""
        scores: dict[str, Any] | None = _scores.decode(self.scores_as_recorded)
        return scores

    @property
    def score_id(self) -> str:
        """The id of the model or equation whose scores these are; empty where there are none."""
        return str((self.scores or {}).get("id", ""))

    @property
    def score_of(self) -> tuple[str, str]:
        """The same with the digest of the model's file."""
        return self.score_id, str((self.scores or {}).get("sha256", ""))

    @property
    def is_of_model(self) -> bool:
        """Whether the scores are those of a model file."""
        return self.scores is not None and "contributions" in self.scores

    @property
    def is_of_vaccines(self) -> bool:
        """Whether it is a forecast of vaccines, with the doses that it rests on."""
        return bytes(self.vaccinations) != b"null" and "vaccines" in (self.scores or {})

    @property
    def has_values(self) -> bool:
        """Whether the recorded values alone give the scores again: of models, equations and forecasts of vaccines."""
        scores = self.scores or {}
        return self.is_of_model or "parts" in scores or self.is_of_vaccines


_features: Final = msgspec.json.Decoder(dict[str, tuple[float, str, str]])
_missing: Final = msgspec.json.Decoder(dict[str, str])
_scores: Final = msgspec.json.Decoder(dict[str, Any] | None)
read_basis: Final = msgspec.json.Decoder(Basis).decode


def vectors_of(rows: Sequence[Basis], model: Model) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Returns the recorded values as this model takes them [N, F]; what a row does not have is NaN."""
    nothing = (nan, "", "")
    return np.array([[row.features.get(name, nothing)[0] for name in model.features] for row in rows], np.float64)


def model_scores(rows: Sequence[Basis], model: Model) -> list[dict[str, Any]]:
    """Returns what the model computes from each row, in the form in which a decision records it."""
    return [scores_of(model, prediction) for prediction in model.predict_each(list(vectors_of(rows, model)))]


def equation_scores(row: Basis, in_force: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns what the equation computes from the recorded values; None where it does not compute any more.

    `in_force` are the settings by name: one of them is an input of the kidney failure risk equation.
    """
    equation = find_equations().get(row.score_id)
    output = str((row.scores or {}).get("output", ""))
    if equation is None or output not in {output.id for output in equation.outputs}:
        return None
    charted = inputs_from_record(equation, _NO_RECORD, _of_site(equation, in_force), _vector(row))
    try:
        return scores_of_equation(charted.calculate(output))
    except EquationRefused:
        return None


_NO_RECORD: Any = None
"""The values are given, so that no record is asked."""


def _of_site(equation: Equation, in_force: Mapping[str, Any]) -> dict[str, Any]:
    names = {item.name for item in equation.inputs}
    return {"calibration": in_force["CDS_KFRE_REGION"]} if "calibration" in names else {}


def _vector(row: Basis) -> FeatureVector:
    features: list[Feature] = []
    evidence: list[FeatureValue | None] = []
    missing: list[Missing] = []
    for name, (value, effective, source) in row.features.items():
        if (feature := FEATURES.get(name)) is not None:
            features.append(feature)
            evidence.append(FeatureValue(feature, value, effective, source, "", value, feature.unit))
    for name, reason in row.missing.items():
        if (feature := FEATURES.get(name)) is not None:
            features.append(feature)
            evidence.append(None)
            missing.append(Missing(feature, reason, f"{feature.words}: {reason}."))  # type: ignore[arg-type]
    values = np.array([value.value if value is not None else nan for value in evidence], dtype=np.float64)
    return FeatureVector(tuple(features), values, evidence, missing)


class _Vaccinations(Struct, frozen=True):
    birth_date: date
    gender: str
    country: str
    doses: tuple[tuple[date, str, str, bool, str], ...]
    ordered: frozenset[str]
    observations: tuple[tuple[str, date | None, str], ...]


_vaccinations: Final = msgspec.json.Decoder(_Vaccinations)


def vaccine_scores(row: Basis) -> dict[str, Any]:
    """Returns the forecast from the recorded doses, as a decision records it.

    Raises:
        msgspec.ValidationError: What was recorded has another form.
    """
    record = _vaccinations.decode(row.vaccinations)
    person = Person(
        record.birth_date,
        record.gender,
        tuple(GivenDose(*dose) for dose in record.doses),
        tuple(PatientObservation(*observation) for observation in record.observations),
        record.country,
    )
    knowledge = load_knowledge()
    due = vaccines_due(ChartedPerson(person, _NO_RECORD), row.as_of.date(), knowledge, record.ordered)
    return {"vaccines": msgspec.to_builtins(forecast_entries(due, knowledge))}
