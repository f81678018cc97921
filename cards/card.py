"""The wire of a card, as CDS Hooks 2.0.1 states it; what is None or empty is left out of the bytes.

The structs hold what they are given; `check_card` says which sentences of the specification a card breaks. Row numbers
(CARD-03, SUG-04 ...) are those of the project's CDS Hooks checklist.

The project's own codes on cards are here too: the topics by which clients count overrides, and the reasons for an
override. Topics never change and have at most 100 characters, because some clients count by them (Epic). The code
systems are names; nothing is served at these addresses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal, TypeAlias, get_args
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from cards.extension import EXTENSION_KEY, NO_EXTENSION, CardExtension, Fact

Indicator = Literal["info", "warning", "critical"]
SelectionBehavior = Literal["at-most-one", "any"]
ActionType = Literal["create", "update", "delete"]
LinkType = Literal["absolute", "smart"]

WebAddress: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s\"'<>\\]+$")]
"""An address of the web: a file with another one, such as `javascript:`, is not read."""
SEVERITY: Mapping[str, int] = {"silent": 0, "info": 1, "warning": 2, "critical": 3}
"""The one scale of severity: a higher number is worse. "silent" is a band of a rule that shows nothing."""
INDICATORS: tuple[Indicator, ...] = get_args(Indicator)
_SELECTION_BEHAVIORS, _ACTION_TYPES, _LINK_TYPES = map(get_args, (SelectionBehavior, ActionType, LinkType))
SUMMARY_LIMIT = 139
"""The longest summary in code points: CARD-03 says fewer than 140."""
HEADLINE_LENGTH = 100
"""So many characters of a summary are read at a glance (docs/adding/sentences.md)."""
FOR_PLANNING = "For planning, not for emergencies."
"""How a card about the patient ends."""
OTHER_SOURCES = "- Other sources:"
"""How the last line of a detail begins, which names documents alone."""


class CardError(ValueError):
    """A card that the specification forbids; the message lists every fault found."""


class Wire(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel", kw_only=True):
    """Ground of the wire structs: snake_case here, camelCase on the wire."""


class Coding(Wire, frozen=True, kw_only=True):
    """A code of a code system; an override reason must have a display, a topic may (COD-03)."""

    system: str
    code: str
    display: str | None = None


class Source(Wire, frozen=True, kw_only=True):
    """Where the advice comes from: `url` is about the organization or document, never about this patient (SRC-03)."""

    label: str
    url: str | None = None
    icon: str | None = None
    topic: Coding | None = None


class Link(Wire, frozen=True, kw_only=True):
    """A page or a SMART app that a clinician may open."""

    label: str
    url: str
    type: LinkType
    app_context: str | None = None


class Action(Wire, frozen=True, kw_only=True):
    """One change: `create` and `update` carry the whole resource, `delete` a reference such as 'Type/id' (ACT-08)."""

    type: ActionType
    description: str
    resource: dict[str, Any] | None = None
    resource_id: str | None = None
    extension: dict[str, Any] | None = None


class Suggestion(Wire, frozen=True, kw_only=True):
    """What can be accepted with one click; all its actions go together."""

    label: str
    uuid: str
    is_recommended: bool = False
    actions: tuple[Action, ...] = ()


class Card(Wire, frozen=True, kw_only=True):
    """One card. `detail` is GitHub Flavored Markdown without HTML."""

    uuid: str
    summary: str
    indicator: Indicator
    source: Source
    detail: str | None = None
    suggestions: tuple[Suggestion, ...] = ()
    selection_behavior: SelectionBehavior | None = None
    override_reasons: tuple[Coding, ...] = ()
    links: tuple[Link, ...] = ()
    extension: dict[str, Any] | None = None

    @property
    def own_extension(self) -> CardExtension:
        """What this project says on the card beyond the protocol; empty where it says nothing."""
        extension = (self.extension or {}).get(EXTENSION_KEY, NO_EXTENSION)
        return extension if isinstance(extension, CardExtension) else msgspec.convert(extension, CardExtension)


def check_card(card: Card) -> Card:
    """Give the card back, or raise `CardError` with every sentence of CDS Hooks 2.0.1 that it breaks."""
    faults = _card_faults(card) + _source_faults(card.source)
    for link in card.links:
        faults += _link_faults(link)
    for suggestion in card.suggestions:
        faults += _suggestion_faults(suggestion)
    if faults:
        raise CardError("; ".join(faults))
    return card


def check_action(action: Action) -> Action:
    """Give a system action back, or raise `CardError` with every sentence of CDS Hooks 2.0.1 that it breaks."""
    if faults := _action_faults(action):
        raise CardError("; ".join(faults))
    return action


def _card_faults(card: Card) -> list[str]:
    faults = []
    if not card.uuid.strip():
        faults.append("CARD-01: no uuid, so no feedback can come")
    if not card.summary.strip():
        faults.append("CARD-03: summary is blank")
    if len(card.summary) > SUMMARY_LIMIT:
        faults.append(f"CARD-03: summary has {len(card.summary)} characters, {SUMMARY_LIMIT} are allowed")
    if card.detail is not None and not card.detail.strip():
        faults.append("CARD-04: detail is blank; leave it out")
    if card.indicator not in INDICATORS:
        faults.append(f"CARD-08: indicator {card.indicator!r}")
    faults.extend(_selection_faults(card))
    for reason in card.override_reasons:
        if not (reason.system.strip() and reason.code.strip()):
            faults.extend(_coding_faults(reason, "override reason"))
        if not (reason.display or "").strip():
            faults.append("CARD-17: an override reason without display")
    return faults


def _selection_faults(card: Card) -> list[str]:
    faults = []
    if card.selection_behavior is not None and card.selection_behavior not in _SELECTION_BEHAVIORS:
        faults.append(f"CARD-14: selectionBehavior {card.selection_behavior!r}")
    if card.suggestions and card.selection_behavior is None:
        faults.append("CARD-13: suggestions without selectionBehavior")
    recommended = sum(suggestion.is_recommended for suggestion in card.suggestions)
    if recommended > 1 and card.selection_behavior != "any":
        faults.append(f"SUG-04: {recommended} suggestions are recommended where at most one can be taken")
    uuids = [suggestion.uuid for suggestion in card.suggestions]
    if len(set(uuids)) < len(uuids):
        faults.append("SUG-02: two suggestions share a uuid")
    return faults


def _coding_faults(coding: Coding, where: str) -> list[str]:
    return [f"COD: {where} without {name}" for name in ("system", "code") if not getattr(coding, name).strip()]


def _source_faults(source: Source) -> list[str]:
    faults = []
    if not source.label.strip():
        faults.append("SRC-01: source without label")
    for name, url in (("url", source.url), ("icon", source.icon)):
        if url is not None and not is_web_address(url):
            faults.append(f"SRC: source.{name} is not an absolute http(s) address")
    if source.topic is not None:
        faults.extend(_coding_faults(source.topic, "source.topic"))
    return faults


def _link_faults(link: Link) -> list[str]:
    faults = []
    if not link.label.strip():
        faults.append("LINK-01: link without label")
    if not is_web_address(link.url):
        faults.append("LINK-02: link.url is not an absolute http(s) address")
    if link.type not in _LINK_TYPES:
        faults.append(f"LINK-03: link.type {link.type!r}")
    if link.app_context is not None and link.type != "smart":
        faults.append("LINK-06: appContext on a link that is not smart")
    return faults


def _suggestion_faults(suggestion: Suggestion) -> list[str]:
    faults = []
    if not suggestion.label.strip():
        faults.append("SUG-01: suggestion without label")
    if not suggestion.uuid.strip():
        faults.append("SUG-02: suggestion without uuid, so no feedback can come")
    for action in suggestion.actions:
        faults.extend(_action_faults(action))
    return faults


def _action_faults(action: Action) -> list[str]:
    faults = []
    if action.type not in _ACTION_TYPES:
        faults.append(f"ACT-01: action type {action.type!r}")
    if not action.description.strip():
        faults.append("ACT-02: action without description")
    if action.type == "delete":
        if action.resource is not None:
            faults.append("ACT-08: a delete carries a resource")
        if not _is_relative_reference(action.resource_id):
            faults.append("ACT-05: a delete needs resourceId in the shape Type/id")
    else:
        if not (action.resource or {}).get("resourceType"):
            faults.append(f"ACT-03: {action.type} needs a resource with resourceType")
        if action.resource_id is not None:
            faults.append(f"ACT-08: {action.type} carries a resourceId")
    return faults


_PLAIN_ADDRESS = re.compile(r"https?://[A-Za-z0-9.:-]+(?:/[A-Za-z0-9._~/-]*)?")


def is_web_address(url: str | None) -> bool:
    """Return whether a browser may be sent there: http or https, nothing else.

    >>> is_web_address("https://example.org/label"), is_web_address("javascript:alert(1)"), is_web_address(None)
    (True, False, False)
    """
    if _PLAIN_ADDRESS.fullmatch(url or ""):  # nearly all of them; urlsplit takes 10 µs for one that it has not seen
        return True
    try:
        parts = urlsplit(url or "")
    except ValueError:  # as for "http://["
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)


def _is_relative_reference(reference: str | None) -> bool:
    kind, _, identity = (reference or "").partition("/")
    return kind.isalpha() and kind[:1].isupper() and bool(identity) and "/" not in identity


TOPIC_SYSTEM = "https://cds-hooks-onnx.org/topics"

TOPICS = {
    "planning": Coding(system=TOPIC_SYSTEM, code="planning-conversation", display="Planning conversation"),
    "discharge": Coding(system=TOPIC_SYSTEM, code="discharge-medications", display="Medications at discharge"),
    "statin": Coding(system=TOPIC_SYSTEM, code="statin-discussion", display="Statin discussion"),
    "nephrology": Coding(system=TOPIC_SYSTEM, code="nephrology-referral", display="Nephrology referral"),
    "kidneys": Coding(system=TOPIC_SYSTEM, code="kidney-failure", display="Kidney failure or acute kidney injury"),
    "anticoagulation": Coding(system=TOPIC_SYSTEM, code="anticoagulation-discussion", display="Anticoagulation"),
    "liver": Coding(system=TOPIC_SYSTEM, code="liver-assessment", display="Liver assessment"),
    "follow-up": Coding(system=TOPIC_SYSTEM, code="discharge-follow-up", display="Follow-up after discharge"),
    "readmission": Coding(system=TOPIC_SYSTEM, code="readmission-follow-up", display="Follow-up after a stay"),
    "genes": Coding(system=TOPIC_SYSTEM, code="genes-and-medications", display="Genes and medications"),
    "review": Coding(system=TOPIC_SYSTEM, code="medication-review", display="Medication review"),
    "vaccines": Coding(system=TOPIC_SYSTEM, code="vaccines-due", display="Vaccines due"),
    "preventive": Coding(system=TOPIC_SYSTEM, code="preventive-services", display="Preventive services due"),
    "results": Coding(system=TOPIC_SYSTEM, code="abnormal-results", display="Abnormal results to follow up"),
    "orders": Coding(system=TOPIC_SYSTEM, code="order-safety", display="Safety of a drafted order"),
}

OVERRIDE_SYSTEM = "https://cds-hooks-onnx.org/override-reasons"
"""The code system of the reasons that a clinician may give for not following a card."""

# responsible-ai.md 4.2 point 4: reasons that lead to something, in the project's own code system.
OVERRIDE_REASONS = tuple(
    Coding(system=OVERRIDE_SYSTEM, code=code, display=display)
    for code, display in (
        ("patient-ineligible", "Does not fit this patient"),
        ("action-completed", "Already done"),
        ("action-not-priority", "Something else is more urgent"),
        ("wrong-time-workflow", "Not now"),
        ("inappropriate-recipient", "I am not the person for this"),
        ("need-more-info", "I need to know more first"),
        ("recipient-does-not-trust", "I do not trust this estimate"),
    )
)

PATIENT_DECLINES = Coding(system=OVERRIDE_SYSTEM, code="patient-declines", display="The patient declines")
"""A reason on cards about what is offered to a patient: preventive services, vaccines, a talk, a test."""
REASONS_OF_WHAT_IS_DUE = (
    PATIENT_DECLINES,
    *(reason for reason in OVERRIDE_REASONS if reason.code != "recipient-does-not-trust"),
)
"""Reasons against what follows from dates and criteria: there is no estimate to distrust."""
REASONS_OF_A_TALK = (PATIENT_DECLINES, *OVERRIDE_REASONS)
"""Reasons against a talk or a test that an estimate or a guideline asks for."""


class CardIdentity(Struct, frozen=True):
    """The uuids of a card and of its suggestions, the page that explains it, and that of its model or equation."""

    uuid: str
    suggestion_uuid: Callable[[int], str] = str
    explain_url: str = ""
    method_url: str = ""
    is_at_discharge: bool = False
    """Whether the card is one of a discharge, of which each patient gets one estimate."""

    @property
    def links(self) -> tuple[Link, ...]:
        """The link to the page that explains the decision, where it is known."""
        return (Link(label="Why this card", url=self.explain_url, type="absolute"),) if self.explain_url else ()

    def name_suggestions(self, suggestions: Iterable[Suggestion]) -> tuple[Suggestion, ...]:
        """Return the suggestions; one without a uuid gets one of this card, and its new orders an id.

        Without an id the FHIR validator takes no resource in an action (ACT-03, TRAP-20).
        """
        numbered = enumerate(suggestions, start=1)
        return tuple([offer if offer.uuid else _named(offer, self.suggestion_uuid(place)) for place, offer in numbered])

    def card(
        self,
        indicator: Indicator,
        summary: str,
        detail: str,
        source: Source,
        extension: CardExtension,
        *,
        suggestions: Iterable[Suggestion] = (),
        reasons: tuple[Coding, ...] = OVERRIDE_REASONS,
        selection: SelectionBehavior = "any",
    ) -> Card:
        """Return the card of a finding, with the link to its decision."""
        offered = self.name_suggestions(suggestions)
        return Card(
            uuid=self.uuid,
            summary=summary,
            detail=detail,
            indicator=indicator,
            source=source,
            suggestions=offered,
            selection_behavior=selection if offered else None,
            override_reasons=reasons,
            links=self.links,
            extension={EXTENSION_KEY: extension},
        )


def _named(suggestion: Suggestion, uuid: str) -> Suggestion:
    ids = (uuid, *(f"{uuid[:-2]}-{number}" for number in range(1, len(suggestion.actions))))
    actions = tuple(_with_id(action, name) for action, name in zip(suggestion.actions, ids, strict=False))
    return replace(suggestion, uuid=uuid, actions=actions)


def _with_id(action: Action, name: str) -> Action:
    order = action.resource
    if action.type != "create" or order is None or "id" in order:
        return action
    return replace(action, resource={"resourceType": order["resourceType"], "id": name, **order})


def order_suggestion(label: str, description: str, *orders: dict[str, Any], is_recommended: bool = False) -> Suggestion:
    """Return an option that creates these orders together; its card names it."""
    actions = tuple(Action(type="create", description=description, resource=order) for order in orders)
    return Suggestion(label=label, uuid="", is_recommended=is_recommended, actions=actions)


class CardText(Struct, frozen=True, kw_only=True):
    """What an advisor says on a card about the patient, and what it offers; the first offer is preselected.

    `opening` stands before the reasons of an estimate, `beside` after them and `closing` last. `summary` of a model's
    card has the places `{estimate}` and `{higher}`.
    """

    summary: str
    topic: Coding
    opening: str = ""
    beside: tuple[str, ...] = ()
    closing: str = FOR_PLANNING
    offers: tuple[Suggestion, ...] = ()
    about: str = ""
    """Of a guideline that asks for no score: its indication. The card is remembered by it."""
    guideline: Source | None = None
    facts: tuple[Fact, ...] = ()
    """What the sentences of a guideline's card name, the one that is measured first."""
    figure: str = ""
    """The words of the summary that give an equation's result; where the sex is not recorded, those of both sexes stand
    there. Without them both results stand before the summary."""
    other_results: tuple[CardExtension, ...] = ()
    """The results of other equations that the card names."""
    indicator: Indicator = "info"
    seen: str = "had it"
    """A model's outcome in a word or two, as in "57 in 100 died"."""
    alike: str = "people with results like these"


def talk_card(text: CardText, detail: str, source: Source, extension: CardExtension, identity: CardIdentity) -> Card:
    """Return the card of a talk, a test or a referral: information, unless a measured value warns by itself."""
    offers = [replace(offer, is_recommended=place == 0) for place, offer in enumerate(text.offers)]
    return identity.card(
        text.indicator, text.summary, detail, source, extension, suggestions=offers, reasons=REASONS_OF_A_TALK
    )
