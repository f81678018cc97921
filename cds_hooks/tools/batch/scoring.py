"""Scores charts as the services do: every model that may show cards here, every published equation, all features.

A model is asked as its service asks it: the same reasons for no estimate, the same inputs, the same twin.

Which models and equations are asked of many charts: by name, or all that may be used at this site.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from cds_hooks.call.prefetch.needs import Needs
from cds_hooks.call.services import find_advisors
from cds_hooks.call.services._exclusions import DECEASED, OPTED_OUT, first_reason, of_population
from cds_hooks.call.services._model import ChartModel, estimate
from cds_hooks.call.trusted_models import AbsentModel, folder_of, site_model, why_withheld
from cds_hooks.settings import Settings
from cds_hooks.tools.batch.charts import RawChart
from fhir.mapping.features.catalog import features_named
from fhir.mapping.features.feature import Feature, map_features
from fhir.record.opting_out import SystemAndCode
from fhir.record.record import PatientRecord, read_record, read_value
from fhir.record.refusals import Refusal, WhyNot
from fhir.record.resources import Bundle, BundleEntry, decoder
from models_onnx.batch.columns import arrow
from models_onnx.equations.arithmetic import Value
from models_onnx.equations.calculate import (
    FeatureReadings,
    RecordInputs,
    features_of,
    inputs_from_features,
)
from models_onnx.equations.declaration import Equation, find_equations
from models_onnx.errors import BatchRefused, EquationRefused
from models_onnx.serving.registry import model_ids
from models_onnx.serving.runtime import Model

AsItStood = Callable[[list[bytes], datetime], list[bytes]]
"""The resources of a chart as they stood at an instant in the past."""


class Score(msgspec.Struct, frozen=True, gc=False):
    """One number about one patient, or the reason for none: the estimate of a model, or an output of an equation.

    `value` is a model's probability (0 to 1) or the equation's value in `unit`; `by` is the model that scored, which
    may be the twin.
    """

    patient_id: str
    name: str
    output: str = ""
    by: str = ""
    value: float | str | None = None
    unit: str = "1"
    percentile: float | None = None
    band: str = ""
    reason: str = ""
    reason_text: str = ""


NUMBERS = ("value", "percentile")
SCORE_COLUMNS = ("id", "name", "output", "by", "value", "text", "unit", "percentile", "band", "reason", "reason_text")
"""`text` is a value that is no number, such as the state of a measure; those of `NUMBERS` are float64."""


@dataclass(frozen=True, slots=True)
class Questions:
    """What is asked of each chart. `needs` says which resources can matter; `region` calibrates the KFRE.

    `opt_out_flags` are the codes by which a Flag says at this site that a patient has opted out.
    """

    models: tuple[ChartModel, ...]
    equations: tuple[Equation, ...]
    needs: Needs
    region: str = "north_america"
    opt_out_flags: frozenset[SystemAndCode] = frozenset()

    @property
    def of_place(self) -> tuple[dict[str, Value] | None, ...]:
        """For each equation the inputs that are of the place, not of the patient."""
        regional: dict[str, Value] = {"calibration": self.region}
        return tuple(
            regional if any(item.name == "calibration" for item in equation.inputs) else None
            for equation in self.equations
        )


def read_chart(
    chart: RawChart,
    as_of: datetime,
    as_it_stood: AsItStood | None = None,
    opt_out_flags: frozenset[SystemAndCode] = frozenset(),
) -> PatientRecord:
    """Return the record of a chart, as the server reads what was prefetched; one unreadable resource spoils no other.

    `as_it_stood` takes out of the resources what was written after `as_of`.
    """
    refusals: list[Refusal] = []
    lines = chart.resources if as_it_stood is None else as_it_stood(chart.resources, as_of)
    try:
        entries = [BundleEntry(resource=resource) for resource in decoder.decode_lines(b"\n".join(lines))]
    except (msgspec.DecodeError, UnicodeDecodeError):
        resources = (resource for line in lines for resource in _read_with_faults(line, refusals))
        entries = [BundleEntry(resource=resource) for resource in resources]
    bundle = Bundle(entry=tuple(entries))
    return read_record(
        {"chart": bundle},
        chart.patient_id,
        as_of,
        on_other_patient="refuse",
        refusals=refusals,
        opt_out_flags=opt_out_flags,
    )


def _read_with_faults(line: bytes, refusals: list[Refusal]) -> list[Any]:
    """Read one resource as the server does, none where it is not JSON; what is wrong in it is added to `refusals`."""
    try:
        resource, faults = read_value("chart", line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        refusals.append(Refusal("chart", "unreadable", "A line of the chart is not valid JSON: not used."))
        return []
    refusals += faults
    return [] if resource is None else [resource]


def scores_table(questions: Questions, records: Iterable[PatientRecord]) -> Any:
    """Return an Arrow table with the columns `SCORE_COLUMNS` and a row for each score, each patient's together.

    No record is kept: of records that are made one at a time each is freed while the processor's cache still holds it.
    """
    features, of_place = {feature.name: feature for feature in features_of(*questions.equations)}, questions.of_place
    scores: list[Score] = []
    for record in records:
        scores += (_estimate(model, record) for model in questions.models)
        if features:
            scores += _equations(questions, record, features, of_place)
        del record
    return table_of(scores)


def table_of(scores: Sequence[Score]) -> Any:
    """Return an Arrow table with one row for each score, with the columns `SCORE_COLUMNS`."""
    pyarrow = arrow()
    columns: dict[str, Any] = {"id": pyarrow.array([score.patient_id for score in scores], pyarrow.string())}
    for name in SCORE_COLUMNS[1:]:
        values = [getattr(score, "value" if name == "text" else name) for score in scores]
        if name in NUMBERS:
            numbers = [None if isinstance(value, str) else value for value in values]
            columns[name] = pyarrow.array(numbers, pyarrow.float64())
        else:
            texts = [value if isinstance(value, str) else None for value in values]
            columns[name] = pyarrow.array(texts, pyarrow.string())
    return pyarrow.table(columns)


def _estimate(chart_model: ChartModel, record: PatientRecord) -> Score:
    """Return the score of one model for one chart, in the way of its service."""
    name, outside = chart_model.model.manifest.id, chart_model.outside(record)
    if (opted_out := first_reason((OPTED_OUT,), name, record)) and (outside is None or outside.reason != "deceased"):
        outside = opted_out
    if outside is not None:
        return Score(record.patient_id, name, reason=outside.reason, reason_text=outside.text)
    vector = chart_model.inputs(record)
    estimated = estimate(Model.predict, vector, chart_model.model, chart_model.twin, lambda _model: None)
    if estimated.refused is not None:
        return Score(record.patient_id, name, reason=estimated.refused.reason, reason_text=estimated.refused.text)
    computed = estimated.prediction
    return Score(
        record.patient_id, name, by=estimated.manifest.id, value=computed.probability, percentile=computed.percentile
    )


def _equations(
    questions: Questions,
    record: PatientRecord,
    features: Mapping[str, Feature],
    sites: Sequence[dict[str, Value] | None],
) -> Iterator[Score]:
    readings = FeatureReadings(record, features)
    opted_out = first_reason((OPTED_OUT,), "patient", record)
    for equation, of_place in zip(questions.equations, sites, strict=True):
        charted: RecordInputs | None = None
        for output in equation.outputs:
            no: WhyNot | EquationRefused | None = opted_out
            if no is None:
                charted = charted or inputs_from_features(equation, readings, of_place)
                try:
                    result = charted.calculate(output.id)
                except EquationRefused as error:
                    no = error
                else:
                    band = result.band_id
                    yield Score(
                        record.patient_id, equation.id, output.id, equation.id, result.value, output.unit, band=band
                    )
            if no is not None:
                yield Score(record.patient_id, equation.id, output.id, reason=no.reason, reason_text=no.text)


_READ_BY_POPULATIONS = ("Condition", "Encounter", "Procedure", "ServiceRequest")


def questions_about(names: tuple[str, ...], configured: Settings) -> Questions:
    """Return what is asked of every chart: these models and equations, or every one whose cards this site may show.

    A model that is named is asked although it shows no cards here.

    Raises:
        BatchRefused: a name is neither a model nor an equation, or the model's files must not be used.
    """
    equations, of_services = find_equations(), _of_services(configured)
    folder = configured.models_folder
    names_here = {*equations, *of_services, *model_ids(), *(model_ids(folder) if folder is not None else ())}
    if strange := [name for name in names if name not in names_here]:
        raise BatchRefused(
            f"{strange[0]!r} is neither a model nor an equation; there are: {', '.join(sorted(names_here))}."
        )
    if names:
        models = [of_services.get(name) or _alone(name, configured) for name in names if name not in equations]
        chosen = tuple(equations[name] for name in names if name in equations)
    else:
        models = [of_service for of_service in of_services.values() if why_withheld(of_service.model) is None]
        chosen = tuple(equations.values())
    flags = configured.opt_out_codes
    return Questions(tuple(models), chosen, _needs(models, chosen, flags), configured.kfre_region, flags)


def _of_services(configured: Settings) -> dict[str, ChartModel]:
    of_charts = [
        advisor.of_chart
        for advisor in find_advisors(model_keys=configured.model_keys, site_folder=configured.models_folder).values()
    ]
    return {
        of_chart.model.manifest.id: of_chart
        for of_chart in of_charts
        if of_chart is not None and not isinstance(of_chart.model, AbsentModel)
    }


def _needs(models: list[ChartModel], equations: tuple[Equation, ...], opt_out_flags: frozenset[SystemAndCode]) -> Needs:
    """Return what the models and equations read; what says that a patient is outside of a population is among it."""
    features = [feature for model in models for feature in features_named(model.model.features)]
    of_equations = features_of(*equations)
    opting_out = {"Consent", "Flag"} if opt_out_flags else {"Consent"}
    return Needs.of((*features, *of_equations), resources={*opting_out, *(_READ_BY_POPULATIONS if models else ())})


def _alone(name: str, configured: Settings) -> ChartModel:
    """Return a model that no service shows: for whom its manifest says, on the inputs as the chart has them."""
    folder = folder_of(name, configured)
    model = site_model(name, folder)
    if isinstance(model, AbsentModel):
        raise BatchRefused(f"{name} cannot be used: {model.reason}")
    twin = model.manifest.twin
    features = features_named(model.features)
    return ChartModel(
        model,
        site_model(twin.id, folder) if twin is not None else model,
        (DECEASED, of_population(model)),
        lambda record: map_features(record, features),
    )
