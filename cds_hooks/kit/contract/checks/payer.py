"""Requirements of a payer's server, Da Vinci Coverage Requirements Discovery 2.0.1: asked for by `--dialect crd`.

The rows have the numbers of CRD's list of requirements. A call is made of a chart with a Coverage and of an order with
a billing code; what no call of this run can show is not seen.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final

from cds_hooks.kit.contract.assertions import expect_cards, expect_refusal, optional
from cds_hooks.kit.contract.charts import USER, PatientChart
from cds_hooks.kit.contract.connection import Exchange
from cds_hooks.kit.contract.document import SHOULD, Fault, Node, NotTested, Subject, observe, quoted
from cds_hooks.kit.contract.registry import Faults, check_part, check_service
from cds_hooks.kit.contract.requests import new_hook_instance
from cds_hooks.kit.contract.target import Service
from cds_hooks.kit.simulator.chart import Chart
from cds_hooks.kit.simulator.fhir_search import prefetch_from
from cds_hooks.kit.simulator.request import context_of

CRD: Final = "crd"
_OPTIONS: Final = "davinci-crd.configuration-options"
_CONFIGURATION: Final = "davinci-crd.configuration"
_NOTE: Final = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information"
_BILLING: Final = ("ama-assn.org", "HCPCS", "codesystem/hcpcs", "2.16.840.1.113883.6.285", "2.16.840.1.113883.6.12")
_CARD_TYPES: Final = (
    "coverage-info", "claim", "insurance", "limits", "network", "appropriate-use", "cost", "therapy-alternatives-opt",
    "therapy-alternatives-req", "clinical-reminder", "duplicate-therapy", "contraindication", "guideline",
    "off-guideline",
)  # fmt: skip
_ROWS_OF_TIME: Final = {
    "order-select": "CRD-6", "encounter-start": "CRD-7", "encounter-discharge": "CRD-8", "appointment-book": "CRD-9",
    "order-dispatch": "CRD-10", "order-sign": "CRD-11",
}  # fmt: skip
_SECONDS: Final = 5
_PRIMARY: Final = {"order-sign": "CRD-226", "order-dispatch": "CRD-207", "appointment-book": "CRD-184"}
_CODES: Final = {
    "covered": "covered not-covered conditional",
    "pa-needed": "no-auth auth-needed satisfied performpa conditional",
    "doc-needed": "clinical admin both conditional",
    "doc-purpose": "withpa withclaim withorder retain-doc OTH",
    "info-needed": "performer location timeframe contract-window OTH",
}
_ONCE: Final = ("coverage", "covered", "date", "coverage-assertion-id")
_PROFILES: Final = {
    "Appointment": "CRD-272", "DeviceRequest": "CRD-273", "MedicationRequest": "CRD-274", "NutritionOrder": "CRD-275",
    "ServiceRequest": "CRD-276", "VisionPrescription": "CRD-277",
}  # fmt: skip


# Discovery


@check_part(
    Subject.ENTRY, "CRD-108", "CRD-110", "CRD-111", "CRD-112", "CRD-113", "CRD-114", dialect=CRD
)  # fmt: skip
def a_payer_lists_its_configuration_options(entry: Node) -> Faults:
    """List each kind of card as an option with code, type, name, description and default."""
    options = _options_of(entry)
    for option in options:
        for row, name in (("CRD-110", "code"), ("CRD-111", "type"), ("CRD-112", "name"), ("CRD-113", "description")):
            if not option.text(name):
                yield Fault(f"{name} is {quoted(option.at(name).value)}", option.location, row=row)
        if option.text("type") not in ("", "boolean", "integer"):
            yield Fault(f"type is {quoted(option.text('type'))}", option.location, row="CRD-111")
        if option.at("default").absent:
            yield Fault("no default", option.location, row="CRD-114")


@check_part(Subject.ENTRY, "CRD-120", "CRD-121", "CRD-122", dialect=CRD)
def codes_of_options_are_names_of_card_types(entry: Node) -> Faults:
    """Take the code of an option from the card types of CRD, and use code, name and description once."""
    options = _options_of(entry)
    for option in options:
        if option.text("code") not in _CARD_TYPES:
            yield Fault(f"code is {quoted(option.text('code'))}", option.location, row="CRD-121")
    for name in ("code", "name", "description"):
        for text, times in Counter(option.text(name) for option in options).items():
            if times > 1:
                yield Fault(f"{times} options have the {name} {quoted(text)}", entry.location, row="CRD-122")


def _options_of(entry: Node) -> list[Node]:
    """Return the options of an entry; NotTested where it is no service of a payer."""
    options = list(entry.at("extension").objects(_OPTIONS))
    observe(options, "no service has davinci-crd.configuration-options")
    return options


# Calls


def _order_of(chart: PatientChart) -> dict[str, Any] | None:
    """Return the first drafted order of the chart with a billing code."""
    for draft in chart.drafts:
        concept = draft.order.get("code") or draft.order.get("codeCodeableConcept") or {}
        systems = [str(coding.get("system")) for coding in concept.get("coding", ())]
        if any(name in system for name in _BILLING for system in systems):
            return draft.order
    return None


def _request(service: Service, **more: Any) -> dict[str, Any]:
    """Return a call about an order with a billing code for a patient with a Coverage; NotTested without any."""
    observe(list(Node(service.entry).at("extension").objects(_OPTIONS)), f"{service.id} is no service of a payer")
    charts = [(chart, _order_of(chart)) for chart in service.charts if any(chart.resources_of_type("Coverage"))]
    match = next(((chart, order) for chart, order in charts if order is not None), None)
    if match is None:
        raise NotTested("no chart of this run has a Coverage and an order with a billing code")
    chart, order = match
    order = {**order, **more}
    signed = {**order, "status": "active", "encounter": {"reference": "Encounter/contract-kit-encounter"}}
    reference = f"{order['resourceType']}/{order['id']}"
    context: dict[str, Any] = {
        "patientId": chart.patient_id,
        "dispatchedOrders": [reference],
        "performer": "Organization/1",
    }
    if service.hook != "order-dispatch":
        stay = {"resourceType": "Encounter", "id": "contract-kit-encounter"}
        call_chart = Chart([chart.patient, stay, _appointment(chart, order)])
        context = context_of(service.hook, call_chart, [order], f"Practitioner/{USER['id']}")
    pool = [*chart.resources, USER, *([signed] if "draftOrders" not in context else [])]
    prefetch = prefetch_from(pool, service.entry.get("prefetch", {}), context, service.as_of.date())
    return {"hook": service.hook, "hookInstance": new_hook_instance(), "context": context, "prefetch": prefetch}


def _appointment(chart: PatientChart, order: dict[str, Any]) -> dict[str, Any]:
    code = order.get("code") or order.get("codeCodeableConcept")
    actor = {"actor": {"reference": f"Patient/{chart.patient_id}"}, "status": "accepted"}
    moment = f"{order.get('occurrenceDateTime', '2030-01-01')[:10]}T10:00:00Z"
    base = {"resourceType": "Appointment", "id": "contract-kit-appointment", "status": "proposed", "start": moment}
    return base | {"end": moment, "participant": [actor], "serviceType": [code]}


def _answer(service: Service, title: str = "an order with a billing code", **more: Any) -> Exchange:
    exchange = service.send(_request(service, **more), title)
    observe(exchange.cards is not None, f"the call was {exchange.answer}")
    return exchange


def _notes(exchange: Exchange) -> Iterator[tuple[Node, Node]]:
    """Each resource of an action with each note of coverage information on it."""
    for action in exchange.actions:
        resource = action.at("resource")
        for extension in resource.objects("extension"):
            if extension.text("url") == _NOTE:
                yield resource, extension


def _values(note: Node, name: str) -> list[Any]:
    parts = [part.value for part in note.objects("extension") if part.text("url") == name]
    return [value for part in parts for key, value in part.items() if key.startswith("value")]


def _observed_notes(exchange: Exchange) -> list[tuple[Node, Node]]:
    notes = list(_notes(exchange))
    observe(notes, "no coverage information came")
    return notes


@check_service("CRD-4", "CRD-152", "CRD-129", dialect=CRD)
def a_payer_answers_each_hook_it_lists(service: Service) -> Faults:
    """Answer every hook of the list with 200 and cards, also without a configuration."""
    yield from expect_cards(service.send(_request(service), "an order with a billing code"))


def _in_time(hook: str, service: Service) -> Faults:
    """Answer within five seconds: what takes longer is left to later steps."""
    observe(service.hook == hook, f"no service of a payer answers {hook}")
    exchange = service.send(_request(service), "how long an answer takes")
    if exchange.seconds > _SECONDS:
        yield exchange.fault(f"{exchange.seconds:.1f} s")


def _annotated(hook: str, service: Service) -> Faults:
    """Say at order-sign, order-dispatch and appointment-book whether it is covered, by a system action."""
    observe(service.hook == hook, f"no service of a payer answers {hook}")
    exchange = _answer(service)
    if not any(_notes(exchange)):
        yield exchange.fault("no coverage information")
    elif not list(exchange.response.objects("systemActions")):
        yield Fault("no system action", request=exchange.name, row="CRD-279")


def _complies(kind: str, service: Service) -> Faults:
    """Send every note with coverage, covered, date and an id of its own, by the codes and constraints of CRD."""
    notes = [(resource, note) for resource, note in _notes(_answer(service)) if resource.text("resourceType") == kind]
    observe(notes, f"no coverage information came on a {kind}")
    for _, note in notes:
        for message in _broken(note):
            yield note.fault(message)


def _register(name: str, rows: tuple[str, ...], run: Callable[[str, Service], Faults], about: str) -> None:
    """Register a check of one hook or one type, so that what was not seen of the others is not said to hold."""

    def check(service: Service) -> Faults:
        yield from run(about, service)

    check.__name__, check.__doc__, check.__module__ = name, run.__doc__, __name__
    check_service(*rows, dialect=CRD)(check)


for _hook, _row in _ROWS_OF_TIME.items():
    _register(f"a_payer_answers_{_hook.replace('-', '_')}_in_five_seconds", (_row, "CRD-5"), _in_time, _hook)
for _hook, _row in _PRIMARY.items():
    _register(
        f"coverage_information_comes_at_{_hook.replace('-', '_')}",
        (_row, "CRD-164", "CRD-247", "CRD-279"), _annotated, _hook,
    )  # fmt: skip
for _kind, _row in _PROFILES.items():
    _register(f"coverage_information_on_a_{_kind}_keeps_its_profile", (_row, "CRD-262"), _complies, _kind)


@check_service("CRD-167", dialect=CRD)
def documents_are_not_asked_for_at_early_hooks(service: Service) -> Faults:
    """Keep the need for documents to the hooks at which the order is complete."""
    observe(service.hook not in _PRIMARY, f"{service.hook} is a primary hook")
    exchange = _answer(service)
    for _, note in _observed_notes(exchange):
        if _values(note, "doc-needed"):
            yield exchange.fault("doc-needed", note.location)


@check_service("CRD-264", dialect=CRD)
def two_coverages_have_two_ids(service: Service) -> Faults:
    """Give the notes of different coverages on one order ids of their own."""
    exchange = _answer(service)
    ids = {str(_values(note, "coverage")): str(_values(note, "coverage-assertion-id")) for _, note in _notes(exchange)}
    observe(len(ids) > 1, "no order has the notes of two coverages")
    if len(set(ids.values())) < len(ids):
        yield exchange.fault("two coverages have one id")


def _broken(note: Node) -> Iterator[str]:
    values = {name: _values(note, name) for name in (*_CODES, *_ONCE, "questionnaire", "response", "satisfied-pa-id")}
    yield from (f"{name}: {len(values[name])} of exactly 1" for name in _ONCE if len(values[name]) != 1)
    for name, codes in _CODES.items():
        yield from (f"{name} is {quoted(code)}" for code in values[name] if code not in codes.split())
    decided = [*values["covered"], *values["pa-needed"], *values["doc-needed"]]
    if (values["questionnaire"] or values["response"]) and not values["doc-needed"]:
        yield "crd-ci-q1: a questionnaire without doc-needed"
    if values["pa-needed"] and values["covered"] == ["not-covered"]:
        yield "crd-ci-q2: pa-needed although not-covered"
    if values["info-needed"] and "conditional" not in decided:
        yield "crd-ci-q3: info-needed, and nothing is conditional"
    if values["pa-needed"] == ["satisfied"] and "withpa" in values["doc-purpose"]:
        yield "crd-ci-q4: documents for an authorization that is given"
    if (values["pa-needed"] == ["satisfied"]) != bool(values["satisfied-pa-id"]):
        yield "crd-ci-q5: satisfied and its number go together"


@check_service("CRD-267", dialect=CRD)
def nothing_is_sent_where_nothing_is_new(service: Service) -> Faults:
    """Send no system action for an order that carries the same answer already."""
    observe(service.hook == "order-sign", f"{service.hook} brings no draft that could carry the answer")
    exchange = _answer(service)
    extensions = [note.value for _, note in _observed_notes(exchange)]
    again = _answer(service, "the same order with the answer on it", extension=extensions)
    if any(_notes(again)):
        yield again.fault("the same answer was sent again")


@check_service("CRD-116", "CRD-115", "CRD-128", dialect=CRD)
def an_option_that_is_false_brings_no_such_card(service: Service) -> Faults:
    """Send no card and no action of a kind that the configuration switches off."""
    codes = [option.text("code") for option in _options_of(Node(service.entry))]
    plain = _answer(service)
    for card in plain.response.objects("cards"):
        if (code := card.at("source").at("topic").text("code")) not in codes:
            yield Fault(f"no option for cards of {quoted(code)}", card.location, plain.name, "CRD-115")
    request = _request(service) | {"extension": {_CONFIGURATION: dict.fromkeys(codes, False)}}
    exchange = service.send(request, "every kind of card is switched off")
    yield from expect_cards(exchange)
    for card in exchange.response.objects("cards"):
        if card.at("source").at("topic").text("code") in codes:
            yield exchange.fault("a card of a kind that is switched off", card.location)
    if "coverage-info" in codes and any(_notes(exchange)):
        yield exchange.fault("coverage information although it is switched off")


@check_service("CRD-117", "CRD-118", "CRD-131", dialect=CRD)
def nonsense_in_the_configuration_is_survived(service: Service) -> Faults:
    """Ignore what the configuration says that is no option or has another type."""
    nonsense = {"nonsense": {"a": 1}, "coverage-info": "perhaps", "claim": [None]}
    for title, value in (("nonsense in the configuration", nonsense), ("the configuration is a list", [1])):
        request = _request(service) | {"extension": {_CONFIGURATION: value}}
        yield from expect_cards(service.send(request, title))


@check_service("CRD-63", "CRD-169", dialect=CRD)
def what_is_there_is_enough_for_an_answer(service: Service) -> Faults:
    """Answer from what came: without most of the prefetch, and with members of the context that are not known."""
    request = _request(service)
    kept = ("coverages", "coverage", "patient")
    prefetch = {name: value for name, value in request["prefetch"].items() if name in kept or "overage" in name}
    context = request["context"] | {"contractKit": {"unknown": True}}
    if service.hook not in ("order-dispatch", "encounter-start", "encounter-discharge"):
        request = request | {"prefetch": prefetch}
    yield from expect_cards(service.send(request | {"context": context}, "little prefetch, an unknown member"))


@check_service("CRD-158", "CRD-162", dialect=CRD)
def what_is_no_json_is_refused_by_a_payer(service: Service) -> Faults:
    """Answer 400 to a body that is no JSON."""
    _request(service)
    exchange = service.send_as_is(b"{", "a body that is no JSON", broken=True)
    yield from expect_refusal(exchange)
    if exchange.status not in (400, 0) and exchange.status >= 400:
        yield Fault(exchange.answer, request=exchange.name, row="CRD-162")


@check_service("CRD-163", level=SHOULD, dialect=CRD)
def json_that_does_not_conform_is_422(service: Service) -> Faults:
    """Answer 422 to JSON that is no call of the hook; other refusals are told apart less well."""
    request = _request(service)
    exchange = service.send_as_is({**request, "context": "none"}, "a context that is no object", broken=True)
    if exchange.status != 422:
        yield exchange.fault(exchange.answer)


# Cards


@check_part(Subject.CARD, "CRD-77", dialect=CRD)
def suggestions_of_a_payer_have_a_uuid(card: Node) -> Faults:
    """Give every suggestion a uuid, for the join of logs."""
    _topic(card)
    suggestions = list(card.objects("suggestions"))
    observe(suggestions, "no card of a payer has a suggestion")
    for suggestion in suggestions:
        yield from optional(suggestion, "uuid")
        if not suggestion.text("uuid"):
            yield suggestion.fault("no uuid")


@check_part(Subject.CARD, "CRD-258", "CRD-259", "CRD-248", dialect=CRD)
def a_reference_to_a_rule_has_absolute_links(card: Node) -> Faults:
    """Link the rule by an absolute address that can be opened without a login."""
    is_reference = _topic(card) == "guideline" and not card.has("suggestions")
    observe(is_reference, "no external reference came")
    links = list(card.objects("links"))
    if not links:
        yield card.fault("no link")
    for link in links:
        if link.text("type") != "absolute":
            yield Fault(f"type is {quoted(link.text('type'))}", link.location, row="CRD-259")


@check_part(Subject.CARD, "CRD-249", dialect=CRD)
def a_payer_returns_instructions(card: Node) -> Faults:
    """Say in detail what a person has to do."""
    observe(_topic(card) not in ("guideline", "coverage-info", "insurance"), "no instruction came")
    if not card.text("detail"):
        yield card.fault("no detail")


@check_part(Subject.CARD, "CRD-140", dialect=CRD)
def a_card_says_which_order_it_is_about(card: Node) -> Faults:
    """Name in detail, or by davinci-associated-resource, the order that a card is about."""
    _topic(card)
    if not card.text("detail") and card.at("extension").at("davinci-associated-resource").absent:
        yield Fault("neither detail nor davinci-associated-resource", card.location, row="CRD-140")


def _topic(card: Node) -> str:
    """Return the topic of a payer's card; NotTested for any other card."""
    topic = card.at("source").at("topic")
    observe("davinci-crd" in topic.text("system"), "no card of a payer came")
    return topic.text("code")


@check_part(Subject.SUGGESTED_ACTION, "CRD-299", dialect=CRD)
def a_task_for_a_form_keeps_its_profile(action: Node) -> Faults:
    """Send a Task that is ready, an order, for the patient, and names the form and what follows its completion."""
    task = action.at("resource")
    observe(task.text("resourceType") == "Task", "no Task for a form came")
    inputs = [str(part.at("type").value) for part in task.objects("input")]
    wrong = [
        name for name, holds in (
            ("status", task.text("status") == "ready"), ("intent", task.text("intent") == "order"),
            ("for", not task.at("for").absent), ("authoredOn", bool(task.text("authoredOn"))),
            ("requester", not task.at("requester").absent),
            ("input", any("after-completion-action" in part for part in inputs)),
        ) if not holds
    ]  # fmt: skip
    for name in wrong:
        yield task.at(name).fault(f"{name} is not as the profile has it")


@check_part(Subject.CARD, "CRD-306", dialect=CRD)
def a_coverage_is_proposed_in_one_suggestion(card: Node) -> Faults:
    """Offer a new or corrected Coverage in a single suggestion."""
    observe(_topic(card) == "insurance", "no card proposes a Coverage")
    suggestions = list(card.objects("suggestions"))
    if len(suggestions) != 1:
        yield card.fault(f"{len(suggestions)} suggestions")
