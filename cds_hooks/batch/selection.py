"""Which models and equations are asked of many charts: by name, or all that may be used at this site."""

from cds_hooks.batch.scoring import Questions
from cds_hooks.prefetch.needs import Needs
from cds_hooks.services import find_services
from cds_hooks.services._model import ChartModel, outside_population
from cds_hooks.settings import Settings
from cds_hooks.trusted_models import AbsentModel, folder_of, site_model, why_withheld
from fhir.mapping.features.catalog import features_named
from fhir.mapping.features.feature import map_features
from fhir.record.opting_out import SystemAndCode
from fhir.record.record import PatientRecord
from fhir.record.refusals import WhyNot
from models_onnx.equations.declaration import Equation, find_equations
from models_onnx.equations.record_inputs import features_of
from models_onnx.errors import BatchRefused
from models_onnx.serving.registry import model_ids
from models_onnx.serving.runtime import Model

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
        service.of_chart
        for service in find_services(model_keys=configured.model_keys, site_folder=configured.models_folder).values()
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
        lambda record: _outside(model, record),
        lambda record: map_features(record, features),
    )


def _outside(model: Model, record: PatientRecord) -> WhyNot | None:
    manifest = model.manifest
    if record.deceased:
        return WhyNot(manifest.id, "deceased", "The patient has died.")
    return outside_population(manifest, record)
