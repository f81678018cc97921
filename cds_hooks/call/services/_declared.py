"""The services of a hospital's own models, and of published equations, that a site declares as data.

`declared_services` makes a `Service` of each file that `_service_file.py` reads. The advice follows
the services of this package: nothing for whom it is not meant, a reason for each card that is not shown, one order.
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from cards.card import TOPIC_SYSTEM, CardText, Coding, Suggestion
from cards.compose.model import in_100
from cards.text import decapitalized, plain, unit
from cds_hooks.call.prefetch.needs import Needs
from cds_hooks.call.services._equation import EquationQuestion, advise_by_equation, offer
from cds_hooks.call.services._exclusions import (
    NO_ESTIMATE_OF_STAY,
    NOT_AT_HOME,
    Exclusion,
    named,
    not_known,
    of_population,
)
from cds_hooks.call.services._model import ChartModel, ModelEstimate
from cds_hooks.call.services._service import Advice, Advisor, ServiceInput, advise_by_model
from cds_hooks.call.services._service_file import OfferedOrder, ServiceFile, service_files
from cds_hooks.call.trusted_models import AbsentModel, site_model, why_withheld
from fhir.mapping.conditions import find_condition
from fhir.mapping.features.catalog import features_named
from fhir.mapping.features.declared import declared_for
from fhir.mapping.features.feature import Feature, map_features
from fhir.record.record import PatientRecord
from models_onnx.declarations import DeclaringFile, add_features
from models_onnx.equations.calculate import EquationResult, features_of, inputs_from_record
from models_onnx.equations.declaration import Equation, EquationOutput, find_equations
from models_onnx.errors import UnknownModel
from models_onnx.serving.runtime import Model

NOT_FOR_CARE = "PREVIEW, not for care"
_READ = ("Condition", "Encounter", "Procedure", "ServiceRequest")


def declared_services(folder: Path) -> Iterator[tuple[Advisor, DeclaringFile]]:
    """Yield the services that the folder declares, each with its file.

    Raises:
        DeclarationError: A file or features.toml is wrong, or a file names a model, an input or an equation that is
            not there.
    """
    add_features(folder)
    for declared, file in service_files(folder):
        yield (_of_model(declared, file, folder) if declared.model is not None else _of_equation(declared, file)), file


def _service(declared: ServiceFile, features: tuple[Feature, ...], **more: Any) -> Advisor:
    required = ("encounters",) if declared.is_at_discharge else ()
    return Advisor(
        id=declared.id,
        hooks=(declared.hook,),
        title=declared.title,
        description=declared.description,
        usage_requirements=declared.usage_requirements,
        needs=Needs.of(features=features, resources=_READ, required=required),
        words=_words(declared, features),
        **more,
    )


def _words(declared: ServiceFile, features: tuple[Feature, ...]) -> str:
    """Return all that the site declares of a service, which two people approve: its file, and features.toml for it."""
    parts = (declared, *declared_for(feature.name for feature in features))
    return "\n".join(msgspec.json.format(msgspec.json.encode(part), indent=1).decode() for part in parts)


# A model


def _of_model(declared: ServiceFile, file: DeclaringFile, folder: Path) -> Advisor:
    assert declared.model is not None  # noqa: S101 - checked where the file was read
    try:
        model = site_model(declared.model, folder)
        if isinstance(model, AbsentModel):
            return _service(declared, (), find=_never, models=(model,))
        twin = site_model(model.manifest.twin.id, folder) if model.manifest.twin is not None else model
    except UnknownModel as error:
        raise file.fault(str(error), "model") from error
    if declared.within_age_band and not all(
        candidate_model.manifest.thresholds.age_bands
        for candidate_model in (model, twin)
        if not isinstance(candidate_model, AbsentModel)
    ):
        text = f"within_age_band: the model {declared.model} has no thresholds by age (age_bands of its declaration)"
        raise file.fault(text, "within_age_band")
    features = _features_of(model, file)
    _refuse_features_of_stays(declared, features, file)
    exclusions = (*_exclusions(declared), of_population(model))
    inputs = partial(map_features, features=features)
    of_chart = ChartModel(model, twin, exclusions, inputs, declared.share, declared.within_age_band)
    return _service(
        declared,
        features,
        find=partial(_find_by_model, declared, of_chart),
        exclusions=exclusions,
        subject=model.manifest.id,
        models=(model, twin) if twin is not model else (model,),
        of_chart=of_chart,
    )


def _features_of(model: Model, file: DeclaringFile) -> tuple[Feature, ...]:
    try:
        return features_named(model.features)
    except KeyError as error:
        text = f"the model {model.manifest.id} has inputs that nothing here reads: {error.args[0]}; see features.toml"
        raise file.fault(text, "model") from error


def _refuse_features_of_stays(declared: ServiceFile, features: tuple[Feature, ...], file: DeclaringFile) -> None:
    """Refuses inputs that its hook can never give: its people are not in hospital, so such a value is always missing.

    Raises:
        DeclarationError: The service is for people who are not in hospital, and an input exists only in a stay.
    """
    names = [feature.name for feature in features if feature.only_in_stay and not declared.is_at_discharge]
    if names:
        text = (
            f"{declared.hook} is for people who are not in hospital, and {', '.join(names)} "
            f"{'exists' if len(names) == 1 else 'exist'} only in a stay: every patient would lack it. Use "
            "encounter-discharge, or a model without it"
        )
        raise file.fault(text, "hook")


def _never(call: ServiceInput) -> Advice:
    """Not reached: `Service.require_model` has answered the call before."""
    raise AssertionError(f"{call.request.hook} reached a service whose model cannot be served")


def _find_by_model(declared: ServiceFile, of_chart: ChartModel, call: ServiceInput) -> Advice:
    """One info card where the estimate is among the highest of the reference cohort, else the reason for none."""
    if call.is_preview and why_withheld(of_chart.model) is not None:
        call = replace(call, why_withheld=lambda _model: None)
    text = partial(_text_of_model, declared, of_chart, call)
    return advise_by_model(call, of_chart, of_chart.inputs(call.record), text)


def _text_of_model(
    declared: ServiceFile, of_chart: ChartModel, call: ServiceInput, estimated: ModelEstimate
) -> CardText:
    words = card_words(declared, _offer(declared, declared.orders[0], call))
    if (why := why_withheld(estimated.model)) is not None:  # only in the development profile
        words = watermarked(words, why)
    is_model = estimated.model is of_chart.model
    return replace(words, beside=() if is_model else ("**The model for fewer values is used.**",))


def card_words(declared: ServiceFile, *offers: Suggestion) -> CardText:
    """Return what the card of a model says in the words of a file, around what it offers."""
    return CardText(
        summary=declared.summary,
        offers=offers,
        seen=declared.seen,
        topic=_topic(declared),
        alike=declared.alike,
        closing=declared.closing,
    )


def watermarked(words: CardText, why: str) -> CardText:
    """Return the words of a card that is shown before the gates of its model are green, and says so first."""
    return replace(
        words,
        summary=f"{NOT_FOR_CARE}: {{estimate}} (higher than {{higher}} in 100).",
        opening=f"**{NOT_FOR_CARE}.** {plain(why, 200)}.\n\n\n",
    )


# An equation


def _of_equation(declared: ServiceFile, file: DeclaringFile) -> Advisor:
    name, known_equations = declared.equation or "", find_equations()
    if name not in known_equations:
        raise file.fault(f"there is no equation {name!r}; there are {', '.join(sorted(known_equations))}", "equation")
    equation = known_equations[name]
    outputs = [output.id for output in equation.outputs]
    if declared.output not in (None, *outputs):
        raise file.fault(f"{name} has no output {declared.output!r}; it has {', '.join(outputs)}", "output")
    _refuse_features_of_stays(declared, features_of(equation), file)
    assert declared.least is not None  # noqa: S101 - checked where the file was read
    return _service(
        declared,
        features_of(equation),
        find=partial(_find_by_equation, declared, equation, declared.least),
        exclusions=tuple(_exclusions(declared)),
        subject=equation.id,
    )


def _find_by_equation(declared: ServiceFile, equation: Equation, least: float, call: ServiceInput) -> Advice:
    """One info card where the result reaches the declared value, else the reason for none."""
    output = equation.output(declared.output)
    below = f"{equation.title} is below {_in_words(output, least)}."
    question = EquationQuestion(output.id, least, below, partial(_text_of_equation, declared, least, call))
    return advise_by_equation(call, inputs_from_record(equation, call.record), question)


def _text_of_equation(declared: ServiceFile, least: float, call: ServiceInput, result: EquationResult) -> CardText:
    value, band = _in_words(result.output, result.number), result.band_words
    from_value = _in_words(result.output, least)
    return CardText(
        summary=declared.summary.format(value=value, band=band),
        figure=value,
        opening=f"**{result.equation.title} {value}**{f' ({band})' if band else ''}: shown here from {from_value} on.",
        topic=_topic(declared),
        offers=tuple(_offer(declared, order, call) for order in declared.orders),
        closing=declared.closing,
    )


def _in_words(output: EquationOutput, value: float) -> str:
    """Return a probability as people in 100, anything else as a number with its unit."""
    if output.kind == "probability":
        return f"{in_100(value)} in 100"
    return f"{value:.{output.decimals}f}{'' if output.unit == '1' else f' {unit(output.unit)}'}"


# Both


def _exclusions(declared: ServiceFile) -> Iterator[Exclusion]:
    """Yield whom the service says nothing about, whatever the result."""
    yield from NO_ESTIMATE_OF_STAY if declared.is_at_discharge else NOT_AT_HOME
    if declared.only_with or declared.not_with:
        yield not_known("Condition", "The problem list is not available: whether this is for the patient is not known.")
    if declared.not_with:
        yield Exclusion("outside-population", "Not for people with {found}.", partial(_words_of, declared.not_with))
    if declared.only_with:
        text = f"None of these is on record: {', '.join(declared.only_with)}."
        yield Exclusion("outside-population", text, lambda record: find_condition(record, *declared.only_with) is None)
    if (done := declared.already_done) is not None:
        words = tuple(word.lower() for word in done.words)
        yield named("already-done", "It is planned or was done ({found}).", words, done.days)


def _words_of(groups: Sequence[str], record: PatientRecord) -> str | None:
    hit = find_condition(record, *groups)
    return plain(hit.words, 60) if hit is not None else None


def _topic(declared: ServiceFile) -> Coding:
    return Coding(system=TOPIC_SYSTEM, code=declared.id, display=declared.title)


def _offer(declared: ServiceFile, offered: OfferedOrder, call: ServiceInput) -> Suggestion:
    """Return an option that drafts the order, for the stay that ends where there is one."""
    more: dict[str, Any] = {}
    encounter = call.request.context.encounter_id
    if declared.is_at_discharge and encounter:
        more["encounter"] = {"reference": f"Encounter/{encounter}"}
    if offered.in_days is not None:
        more["occurrenceDateTime"] = (call.record.as_of + timedelta(days=offered.in_days)).date().isoformat()
    return offer(call, offered.label, f"Draft order: {decapitalized(offered.text)}.", offered.text, **more)
