"""What a CDS service declares, what it is given for one call, and what it returns."""

import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from inspect import iscoroutinefunction
from typing import Any, Final

from msgspec import Struct, structs

from cards.card import Action, Card, CardIdentity, CardText, Link
from cards.compose.model import model_card
from cards.extension import WorklistEntry
from cards.orders import check_orders
from cards.rules.engine.governance import SuppressionCheck, suppress_nothing
from cards.rules.engine.rule_book import rule_book
from cards.rules.patient.orders import DraftMedication, DraftOrder
from cds_hooks.call.dialects import DEVELOPMENT, ClientProfile, is_offered, published_entry
from cds_hooks.call.hold_back.visit import CardNotes, VisitRank
from cds_hooks.call.model_versions import Choose, in_use
from cds_hooks.call.prefetch.needs import USER_ROLES, Needs, templates_for, union_of
from cds_hooks.call.prefetch.state import NO_PREFETCH, PrefetchState, Templates
from cds_hooks.call.prefetch.template import TOKENS_OF_3
from cds_hooks.call.protocol.hooks import ENCOUNTER_DISCHARGE, LIBRARY, Hook
from cds_hooks.call.protocol.hooks.declared import DeclaredHook, WrongDeclaration
from cds_hooks.call.protocol.originals import OriginalOrders
from cds_hooks.call.protocol.request import CDSRequest
from cds_hooks.call.services._exclusions import Exclusion, first_reason
from cds_hooks.call.services._model import (
    OF_MODEL,
    ChartModel,
    ModelEstimate,
    Predict,
    SiteThresholds,
    age_in,
    estimate,
    reference_of,
    refused_results,
    scores_of,
)
from cds_hooks.call.trusted_models import AbsentModel
from cds_hooks.errors import PayloadTooLarge
from cds_hooks.evidence.storage.decision import suggestion_uuid
from fhir.mapping.features.feature import FeatureVector, joined_features
from fhir.record.record import PatientRecord
from fhir.record.refusals import WhyNot
from models_onnx.artifact.manifest import Manifest
from models_onnx.declarations import origin_of
from models_onnx.errors import DeclarationError
from models_onnx.packages import packages
from models_onnx.serving.runtime import Model

_ID: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_WHY: Final = "Why this card"


def unknown_selection(position: int) -> WhyNot:
    """Say that this entry of `context.selections` names none of the drafts."""
    return WhyNot(f"selections[{position}]", "not-in-drafts", "A selection names no entry of draftOrders: not judged.")


class ServiceInput(Struct, frozen=True):
    """Everything that a service is given for one call: the request, the patient's record, and the site's settings.

    `card_uuid` makes the uuid of the next card. `predict` runs a model.
    """

    request: CDSRequest
    record: PatientRecord
    card_uuid: Callable[[], str]
    public_url: str
    decision_id: str
    predict: Predict
    why_withheld: Callable[[Model], str | None]
    """Says why a model shows no cards at this site; None where it does."""
    moment: str = ""
    """The hook of the library that a hook of the site's own extends; "" where it is `request.hook`."""
    is_preview: bool = False
    """Whether a model of the site's own shows its cards, watermarked, before its gates: in the development profile."""
    choose: Choose = in_use
    """Which version of a model answers this call, and which are computed beside it."""
    thresholds: SiteThresholds = OF_MODEL
    """How high an estimate has to be for a card at this site."""
    kfre_region: str = "north_america"
    """The calibration of the kidney failure risk equation that this site uses."""
    max_drafts: int = 200
    """How many orders one call may have judged."""
    why_not_released: Callable[[str, str], WhyNot | None] = lambda _kind, _name: None
    """Says why nothing is shown of something of this kind and name; None where it may be."""
    suppress: SuppressionCheck = suppress_nothing
    """Says why a finding of the medication rules is not shown to this client; None where it is shown."""
    prefetch: PrefetchState = NO_PREFETCH
    """Which prefetch keys are known. `require(key)` answers the call with 412 where a needed key is not known."""
    takes_system_actions: bool = True
    """Whether the client can be sent changes that it makes without asking (CDS Hooks 2.0, systemActions)."""
    sent: tuple[bytes, ...] = ()
    """The body of the call, then the pages that the FHIR server sent, for services that return changed resources."""

    def advise_on_orders(
        self,
        drafts: Iterable[DraftOrder],
        judged: Collection[str] | None,
        *,
        signing: bool,
        active_orders: bool = False,
        originals: OriginalOrders | None = None,
    ) -> tuple["Advice", tuple[DraftMedication, ...]]:
        """Return the cards for the drafts named in `judged` (None: for all), and the draft that each is about.

        A card has links to its first rule and to this decision. `signing` and `active_orders` as in cards/orders.py;
        `originals` where the service looked there already.
        """
        outcome = check_orders(
            self.record,
            drafts,
            judged,
            self.card_uuid,
            original=(originals or OriginalOrders(self.sent)).original,
            suppress=self.suppress,
            signing=signing,
            active_orders=active_orders,
        )
        advice, why = Advice(silences=list(outcome.silences)), Link(label=_WHY, url=self.explain_url, type="absolute")
        for card, drafted in zip(outcome.cards, outcome.drafts, strict=True):
            rules = [f"{self.public_url}/rules/{finding.rule}" for finding in card.own_extension.findings[:1]]
            links = (*(Link(label="The rule and its sources", url=rule, type="absolute") for rule in rules), why)
            reads = rule_book().reads_for(drafted.medication) if self.prefetch.note is not None else None
            advice.add(structs.replace(card, links=links), reads=reads)
        return advice, outcome.drafts

    def require_at_most(self, orders: Sized, where: str) -> None:
        """PayloadTooLarge where this part of the call has more orders than one call may have judged."""
        if len(orders) > self.max_drafts:
            text = f"`{where}` has {len(orders)} orders, and at most {self.max_drafts} are checked in one call; "
            raise PayloadTooLarge(f"{text}nothing was checked. Send them in parts.", where)

    def card_identity(self, method_url: str = "") -> CardIdentity:
        """How the next card, its suggestions and its pages are called; `method_url` is that of a model or equation."""
        uuid = self.card_uuid()
        return CardIdentity(
            uuid,
            lambda number: suggestion_uuid(uuid, number),
            self.explain_url,
            method_url,
            is_at_discharge=(self.moment or self.request.hook) == ENCOUNTER_DISCHARGE,
        )

    @property
    def explain_url(self) -> str:
        """The page that explains this decision."""
        return f"{self.public_url}/explain/{self.decision_id}"

    def model_url(self, model_id: str) -> str:
        """Return the page that says how a model works and for whom it was tested; it holds nothing of a patient."""
        return f"{self.public_url}/models/{model_id}"

    def equation_url(self, equation_id: str) -> str:
        """Return the page of a published equation: for whom it is, what goes in, its source attributes."""
        return f"{self.public_url}/equations/{equation_id}"


class Advice(Struct):
    """The result of a service: cards, a reason for each card that is not shown, and what the decision was based on.

    `system_actions` are changes that the client makes by itself: what a payer notes on an order.
    `features`, `orders`, `vaccinations`, `models` and `scores` go into the decision record: the mapped features, the
    drafted orders as JSON, the person and doses that a vaccine forecast is based on, the files that computed something,
    and what they computed. `worklist` are tests that are not offered in this call, `notes` has, by the uuid of a card,
    what is said of it beside what stands on it.
    """

    cards: list[Card] = []
    system_actions: list[Action] = []
    silences: list[WhyNot] = []
    worklist: list[WorklistEntry] = []
    notes: dict[str, CardNotes] = {}
    features: FeatureVector | None = None
    orders: dict[str, Any] | None = None
    vaccinations: dict[str, Any] | None = None
    models: tuple[dict[str, str], ...] = ()
    scores: dict[str, Any] | None = None

    @staticmethod
    def joined(by_advisor: Mapping[str, "Advice"]) -> "Advice":
        """Return the advice of several advisors, by their ids, as one; of one advisor that itself."""
        if len(by_advisor) == 1:
            return next(iter(by_advisor.values()))
        several = list(by_advisor.values())
        features = [advice.features for advice in several if advice.features is not None]
        orders = [advice.orders for advice in several if advice.orders is not None]
        return Advice(
            cards=[card for advice in several for card in advice.cards],
            system_actions=[action for advice in several for action in advice.system_actions],
            silences=[silence for advice in several for silence in advice.silences],
            worklist=[entry for advice in several for entry in advice.worklist],
            features=joined_features(features) if features else None,
            orders=_joined_orders(orders) if orders else None,
            vaccinations=next((advice.vaccinations for advice in several if advice.vaccinations is not None), None),
            models=tuple({model["sha256"]: model for advice in several for model in advice.models}.values()),
            scores=_joined_scores(
                {name: advice.scores for name, advice in by_advisor.items() if advice.scores is not None}
            ),
        )

    def add(self, card: Card, **notes: Any) -> None:
        """Add a card with what is said of it (`CardNotes`)."""
        self.cards.append(card)
        self.notes[card.uuid] = CardNotes(**notes)


def _joined_orders(several: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the orders that the advisors judged, each once."""
    joined = dict(several[0])
    for orders in several[1:]:
        for name, value in orders.items():
            before = joined.get(name)
            if isinstance(before, list) and isinstance(value, list):
                joined[name] = [*before, *(item for item in value if item not in before)]
            elif not before:
                joined[name] = value
    return joined


def _joined_scores(scores: Mapping[str, dict[str, Any]]) -> dict[str, Any] | None:
    """Return the scores of the whole: those of a model first, as of a service with one advisor; beside them each's."""
    if len(scores) < 2:
        return next(iter(scores.values()), None)
    first = next((of_one for of_one in scores.values() if "probability" in of_one), next(iter(scores.values())))
    return {**first, "advisors": dict(scores)}


def no_card(subject: str, reason: str, text: str) -> Advice:
    """Return the advice of a service that shows no card: about what, the reason code, and the reason in a sentence."""
    return Advice(silences=[WhyNot(subject, reason, text)])


def advise_by_model(
    call: ServiceInput, chart_model: ChartModel, vector: FeatureVector, text: Callable[[ModelEstimate], CardText]
) -> Advice:
    """One card where the estimate is among the highest of the model's reference cohort, else the reason.

    How many are the highest says `chart_model.share_for`. `vector` is what `chart_model.inputs` gave. Asked after the
    exclusions.
    """
    chosen = call.choose(chart_model.model)
    estimated = estimate(call.predict, vector, chosen.model, chart_model.twin, call.why_withheld)
    model, refused = estimated.model, estimated.refused
    advice = Advice(features=estimated.vector, models=(reference_of(model),))
    if refused is not None:
        advice.silences.append(WhyNot(model.manifest.id, refused.reason, refused.text))
        return advice
    scores, age = scores_of(model, estimated.prediction), age_in(estimated.vector)
    advice.scores = scores
    if chosen.beside and model is chosen.model:
        advice.scores = {**scores, "beside": _of_versions(call, chart_model, estimated, chosen.beside)}
        advice.models += tuple(map(reference_of, chosen.beside))
    if chart_model.is_due(model, scores, age, call.thresholds):
        identity = call.card_identity(call.model_url(model.manifest.id))
        refusals = refused_results(call.record, estimated.vector)
        of_model = (model.manifest, estimated.prediction, estimated.vector)
        card = partial(model_card, *of_model, text(estimated), identity, refusals)
        advice.add(card(), shorten=partial(card, is_brief=True))
    else:
        below = _below(call, chart_model, model.manifest, age)
        advice.silences.append(WhyNot(model.manifest.id, "below-threshold", below))
    return advice


def _below(call: ServiceInput, chart_model: ChartModel, manifest: Manifest, age: float | None) -> str:
    """Return the sentence that the estimate is not high enough for a card, and among whom."""
    band = chart_model.band_of(manifest, age, call.thresholds)
    if band is None:
        share = chart_model.share_for(manifest, call.thresholds)
        return f"The estimate is not among the highest {100 * share:g} in 100 of {manifest.reference.words}."
    share = manifest.thresholds.capacity
    return f"The estimate is not among the highest {100 * share:g} in 100 of {manifest.row_words} aged {band.words}."


def _of_versions(
    call: ServiceInput, chart_model: ChartModel, estimated: ModelEstimate, beside: Sequence[Model]
) -> list[dict[str, Any]]:
    """Return what other versions of the model compute from the same inputs; their faults cost the answer nothing."""
    compared: list[dict[str, Any]] = []
    for model in beside:
        try:
            prediction = call.predict(model, estimated.vector.values)
        except Exception as error:
            compared.append({**reference_of(model), "error": type(error).__name__})
        else:
            scores = scores_of(model, prediction)
            is_due = chart_model.is_due(model, scores, age_in(estimated.vector), call.thresholds)
            shown = {name: scores[name] for name in ("probability", "percentile")}
            compared.append({**reference_of(model), **shown, "is_due": is_due})
    return compared


@dataclass(frozen=True, slots=True)
class Advisor:
    """Finds what is to be said of a patient: what it reads, at which moments it is asked, its rank, and how it finds.

    An advisor says nothing to an EHR by itself: a `Service` asks one or several of them and answers. `title`,
    `description`, `usage_requirements` and `extension` are those of a service that has this advisor alone.

    Raises:
        DeclarationError: the id is not part of an address, a hook is not known, or `find` is a coroutine function.
    """

    id: str
    hooks: tuple[str, ...]
    """The moments at which it is asked."""
    title: str
    description: str
    usage_requirements: str
    needs: Needs
    """What it reads."""
    find: Callable[[ServiceInput], Advice]
    """Returns cards, or the reason for none. What it raises costs no other advisor."""
    rank: VisitRank = VisitRank.FINDING
    """What is lost if its cards are missed at an opening; a card of another rank says so in its notes."""
    exclusions: tuple[Exclusion, ...] = ()
    """Whom it says nothing about: the first reason that holds is its answer, and nothing is judged."""
    subject: str = ""
    """What such a reason is about, such as its equation; the advisor itself where that is empty."""
    models: tuple[Model, ...] = ()
    """The model that it asks, and the one that takes over where too much is missing."""
    requires_at_once: bool = True
    """Whether nothing can be said where a key of `needs.required` is not known; else `find` asks for it."""
    of_chart: ChartModel | None = None
    """How its model is asked about a chart without a call (cds_hooks/tools/batch)."""
    returns_resources: frozenset[str] = frozenset()
    """Resource types whose JSON it needs as the client sent it: to return them changed, or to read all of them."""
    needs_patient: Callable[[CDSRequest], bool] = lambda _request: True
    """Whether this call can be answered only when the Patient is known."""
    warns_of_harm: bool = False
    """Whether it goes on where a patient has opted out of decision support."""
    extension: Mapping[str, Any] = field(default_factory=dict)
    """What discovery says of it beyond the protocol, such as CRD's configuration options."""
    knowledge: str = ""
    """The hash of the published knowledge that it evaluates: two people release exactly this."""
    listed_ids: Mapping[str, str] = field(default_factory=dict)
    """The id under which discovery lists a hook, where it is not `id`; see `Service.listed_id`."""
    words: str = ""
    """What a site declares of it in a file, with its texts and thresholds: two people approve exactly this."""

    def __post_init__(self) -> None:
        if isinstance(self.hooks, str):
            text = f"hooks is {self.hooks!r}; a tuple of one entry is written with a comma, ({self.hooks!r},)"
            raise DeclarationError(text, "hooks")
        if not _ID.fullmatch(self.id):
            text = f"the id {self.id!r} is a part of the address: lower-case letters, digits and - only"
            raise DeclarationError(text, self.id)
        if not self.hooks:
            raise DeclarationError(f"{self.id} answers no hook; name one at least", "hooks")
        for name in self.hooks:
            if name not in LIBRARY:
                text = f"{self.id}: there is no hook {name!r}; there are {', '.join(LIBRARY)}"
                raise DeclarationError(text, name)
        if iscoroutinefunction(self.find):
            raise DeclarationError(f"{self.id}: find is declared with `def`, without `async`", "find")
        templates_for(self.needs)  # what no template brings is said at once

    def asking_for(self, resources: Collection[str]) -> "Advisor":
        """Return the same advisor, whose clients are asked for these resource types too."""
        needs = structs.replace(self.needs, resources=self.needs.resources | frozenset(resources))
        return replace(self, needs=needs)

    def packages_with(self, dialect: str, vector: FeatureVector | None) -> tuple[str, ...]:
        """Return the packages from outside of this advisor, of the features that a call read, and of its dialect."""
        if not packages():
            return ()
        keys = [("cds_hooks.call.services", self.id), ("cds_hooks.call.dialects", dialect)]
        keys += [("fhir.mapping.features", feature.name) for feature in vector.features] if vector is not None else []
        origins = (origin_of(*key) for key in keys)
        return tuple(dict.fromkeys(origin.package.name for origin in origins if origin and origin.package))

    @property
    def words_digest(self) -> str:
        """The digest of `words`; empty where a site declares none."""
        return hashlib.sha256(self.words.encode()).hexdigest() if self.words else ""

    @property
    def absent_models(self) -> tuple[AbsentModel, ...]:
        """Those of its models whose files cannot be served."""
        return tuple(model for model in self.models if isinstance(model, AbsentModel))

    def reason_against(self, record: PatientRecord) -> WhyNot | None:
        """Return why it says nothing about this patient, whatever the rest of the chart says."""
        return first_reason(self.exclusions, self.subject or self.id, record)

    def require_model(self) -> None:
        """ModelNotServed where the model that it asks cannot be served; without its second model it goes on."""
        if self.models and isinstance(self.models[0], AbsentModel):
            self.models[0].refuse()


@dataclass(frozen=True)
class Service:
    """An endpoint of CDS Hooks: its entry in discovery, the hooks it answers, and the advisors that it asks."""

    id: str
    title: str
    description: str
    usage_requirements: str
    advisors: tuple[Advisor, ...]
    hooks: tuple[str, ...] = ()
    """All moments of its advisors where none is given."""
    answers: Mapping[str, Hook] = field(default_factory=dict)
    """How the context of each of its hooks is read."""
    extension: Mapping[str, Any] = field(default_factory=dict)
    """What discovery says of it beyond the protocol, such as CRD's configuration options."""
    listed_ids: Mapping[str, str] = field(default_factory=dict)
    """The id under which discovery lists a hook, where it is not `id`; see `listed_id`."""
    like: Mapping[str, str] = field(default_factory=dict)
    """The hook of the library that each hook of the site's own extends."""

    def __post_init__(self) -> None:
        hooks = self.hooks or tuple(dict.fromkeys(hook for advisor in self.advisors for hook in advisor.hooks))
        answers = {name: self.answers.get(name) or LIBRARY[name] for name in hooks}
        object.__setattr__(self, "hooks", hooks)
        object.__setattr__(self, "answers", answers)

    @cached_property
    def needs(self) -> Needs:
        """What its advisors need."""
        return union_of(advisor.needs for advisor in self.advisors)

    @cached_property
    def returns_resources(self) -> frozenset[str]:
        """The types of resources that its suggestions create or change."""
        return frozenset().union(*(advisor.returns_resources for advisor in self.advisors))

    @cached_property
    def templates_of_3(self) -> Templates:
        """What a client of CDS Hooks 3.0 is asked for."""
        of_needs = templates_for(
            self.needs,
            has_drafts=all(_has(hook, "draft_orders") for hook in self.answers.values()),
            has_dispatched=all(_has(hook, "dispatched_orders") for hook in self.answers.values()),
        )
        return Templates((*of_needs, *USER_ROLES))

    @cached_property
    def templates(self) -> Templates:
        """What a client up to CDS Hooks 2.0.1 is asked for."""
        return self.templates_of_3.before_3()

    @cached_property
    def read_templates(self) -> Templates:
        """`templates`, and what is read from the FHIR server although such a client cannot be asked for it."""
        return self.templates_of_3.read_before_3()

    @staticmethod
    def of(advisor: Advisor) -> "Service":
        """Return the service that has this advisor alone, under the advisor's id."""
        return Service(
            advisor.id,
            advisor.title,
            advisor.description,
            advisor.usage_requirements,
            (advisor,),
            advisor.hooks,
            extension=advisor.extension,
            listed_ids=advisor.listed_ids,
        )

    @cached_property
    def names(self) -> frozenset[str]:
        """Its id and those of its advisors: a client is registered for one of them, a switch may name one."""
        return frozenset((self.id, *(advisor.id for advisor in self.advisors)))

    @property
    def models(self) -> tuple[Model, ...]:
        """The models of its advisors."""
        return tuple(model for advisor in self.advisors for model in advisor.models)

    @property
    def absent_models(self) -> tuple[AbsentModel, ...]:
        """Those of its models whose files cannot be served."""
        return tuple(model for advisor in self.advisors for model in advisor.absent_models)

    def needs_patient(self, request: CDSRequest) -> bool:
        """Return whether this call can be answered only when the Patient is known."""
        return any(advisor.needs_patient(request) for advisor in self.advisors)

    def moment(self, hook: str) -> str:
        """Return the hook of the library that this one is or, where a site declares it, extends."""
        return self.like.get(hook, hook)

    @cached_property
    def advisors_by_hook(self) -> Mapping[str, tuple[Advisor, ...]]:
        """The advisors that are asked at each of its hooks."""
        moments = [(hook, self.moment(hook)) for hook in self.hooks]
        return {hook: tuple([one for one in self.advisors if moment in one.hooks]) for hook, moment in moments}

    def templates_for_version(self, version: str) -> Templates:
        """Return what a client of this version of CDS Hooks is asked for."""
        if version.startswith("1"):
            return self.templates.for_user("")  # tokens of the user came with 2.0
        return self.templates_of_3 if version.startswith(TOKENS_OF_3) else self.templates

    def templates_read_for(self, version: str) -> Templates:
        """Return what a call of a client of this version is looked through for."""
        return self.templates_of_3 if version.startswith(TOKENS_OF_3) else self.read_templates

    def discovery(self, client: ClientProfile = DEVELOPMENT) -> list[dict[str, Any]]:
        """Its entries in GET /cds-services as this client gets them, one for each hook."""
        templates = self.templates_for_version(client.version)
        entry = {"title": self.title, "description": self.description, "usageRequirements": self.usage_requirements}
        more = {"extension": self.extension} if self.extension else {}
        offered = [hook for hook in self.answers.values() if is_offered(hook, client)]
        return [
            published_entry(
                {
                    "hook": hook.name,
                    "id": self.listed_id(hook.name),
                    **entry,
                    "prefetch": {
                        template.key: template.query_for(client.version)
                        for template in templates
                        if all(_has(hook, name) for name in template.context_fields)
                    },
                    **more,
                },
                hook,
                client,
            )
            for hook in offered
        ]

    def listed_id(self, hook: str) -> str:
        """Return the id under which discovery lists this hook: each hook has its own.

        The public sandbox, and perhaps other clients, know a service by its address alone: of one id that is listed
        for two hooks they keep the last entry and never call the other (checklist rows DISC-13 and TRAP-14).
        """
        return self.listed_ids.get(hook) or (self.id if hook == self.hooks[0] else f"{self.id}-{hook}")

    def for_hook(self, hook: str) -> "Service":
        """Return the same service, which answers this hook only."""
        return replace(self, hooks=(hook,), answers={hook: self.answers[hook]})

    def answering(self, declared: DeclaredHook) -> "Service":
        """Return the same service for one hook more; WrongDeclaration if it does not answer the hook this extends."""
        if declared.like not in self.hooks:
            raise WrongDeclaration(f"{declared.hook.name}: {self.id} does not answer {declared.like}.")
        name = declared.hook.name
        like = {**self.like, name: declared.like}
        return replace(self, hooks=(*self.hooks, name), answers={**self.answers, name: declared.hook}, like=like)


def _has(hook: Hook, name: str) -> bool:
    """Whether the context of the hook has this field, by its name here or as it is written in a call."""
    return name in hook.context.__struct_fields__ or name in hook.context.__struct_encode_fields__
