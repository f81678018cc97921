"""What a payer answers to an order under a coverage: covered, prior authorization, what is missing and why.

`covered` only where every criterion is evidenced or there is none; `conditional` where any is not, whatever the reason;
`not-covered` only where a policy excludes the code itself. There is no denial, and nothing is said on necessity.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from cards.coverage.authorization import affirmed_number, period_of
from cards.coverage.order import Json, OrderFacts, dicts
from cards.coverage.policy import CriteriaSet, Criterion, Payer, Policies, Policy
from cards.coverage.seen import Subject
from cards.rules.conditions.condition import Truth
from fhir.record.record import relative_reference

Covered = Literal["covered", "conditional", "not-covered"]
CLINICAL: Final = "clinical"
_DAY: Final = timedelta(days=1)


class Judged(Struct, frozen=True):
    """One criterion and whether the chart, or a clinician's answer, shows it."""

    criterion: Criterion
    holds: Truth


class Determination(Struct, frozen=True):
    """The answer about an order under a coverage, before it is written as an extension."""

    payer: Payer
    coverage: str
    order: str
    covered: Covered
    code: tuple[str, str] | None = None
    pa_needed: str | None = None
    doc_needed: str | None = None
    doc_purpose: str | None = None
    info_needed: tuple[str, ...] = ()
    reason: str | None = None
    satisfied_id: str | None = None
    policy: Policy | None = None
    criteria: CriteriaSet | None = None
    judged: tuple[Judged, ...] = ()
    dependencies: tuple[str, ...] = ()
    response: str | None = None
    """The QuestionnaireResponse that a criterion is based on."""

    @property
    def missing(self) -> tuple[Criterion, ...]:
        """The criteria that are not evidenced and would settle it."""
        return _missing(self.criteria, self.judged) if self.criteria is not None else ()


class Circumstances(Struct, frozen=True):
    """What is the same for every order of a call."""

    policies: Policies
    subject: Subject
    state: str | None
    authorizations: Sequence[Json]
    answers: Mapping[str, Mapping[str, tuple[frozenset[str], str]]]
    """By payer and set of criteria those that a clinician affirmed, and the QuestionnaireResponse."""
    together: Mapping[str, frozenset[str]]
    """By the reference of an order the codes of it."""


def find_payer(coverage: Json, policies: Policies, organizations: Mapping[str, Json]) -> Payer | None:
    """Return the payer whose rules a Coverage is under; None where there are none.

    A name that is none of a payer's own is that of another payer, whatever else looks alike. A type in the Source of
    Payment Typology decides between kinds of a payer's insurance: Original Medicare is not a Medicare HMO.
    """
    names, identifiers = set[str](), set[str]()
    contained = {f"#{entry.get('id')}": entry for entry in dicts(coverage.get("contained"))}
    for payor in dicts(coverage.get("payor")):
        reference = str(payor.get("reference", ""))
        organization = contained.get(reference) or organizations.get(relative_reference(reference), {})
        for text in (payor.get("display"), organization.get("name")):
            if isinstance(text, str):
                names.add(_plain(text))
        for identifier in (payor.get("identifier"), *dicts(organization.get("identifier"))):
            if isinstance(identifier, dict) and isinstance(identifier.get("value"), str):
                identifiers.add(identifier["value"])
    type_codes, type_words = _type(coverage)
    plans = {_plain(text) for entry in dicts(coverage.get("class")) for text in _texts(entry)}
    texts = {*plans, *names, *type_words}
    words = set(" ".join(texts).replace("(", " ").replace(")", " ").split())
    for payer in policies.payers.values():
        # Blue Button has the name of the payer as the value of its identifier.
        is_named = bool((names | set(map(_plain, identifiers))) & payer.names) or bool(identifiers & payer.identifiers)
        if not names and not identifiers:
            is_named = bool(plans & payer.plans) or bool(type_codes & payer.types)
        is_other = any(word in words or any(word in text for text in texts if " " in word) for word in payer.not_plans)
        if type_codes and payer.types:
            is_other = is_other or type_codes.isdisjoint(payer.types)
        if is_named and not is_other:
            return payer
    return None


# US Core's value set of Coverage.type (2.16.840.1.114222.4.11.3591) is this typology.
_PAYMENT_TYPES: Final = frozenset({"nahdo.org/sopt", "urn:oid:2.16.840.1.113883.3.221.5"})


def _type(coverage: Json) -> tuple[set[str], set[str]]:
    """Return the codes of `Coverage.type` in the Source of Payment Typology, and its words."""
    concept = coverage.get("type")
    concept = concept if isinstance(concept, dict) else {}
    codings = dicts(concept.get("coding"))
    systems = [str(coding.get("system", "")).lower().rstrip("/") for coding in codings]
    codes = {
        str(coding.get("code"))
        for coding, system in zip(codings, systems, strict=True)
        if (system.partition("://")[2] or system) in _PAYMENT_TYPES
    }
    texts = [concept.get("text"), *(coding.get("display") for coding in codings)]
    return codes, {_plain(text) for text in texts if isinstance(text, str)}


def _texts(entry: Json) -> Iterable[str]:
    return [text for text in (entry.get("value"), entry.get("name")) if isinstance(text, str)]


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def is_in_force(coverage: Json, day: date) -> bool:
    """Whether the day of service lies in the period of the coverage, which is open where it names no end."""
    if coverage.get("status") == "cancelled":
        return False
    period = coverage.get("period")
    begin, end = period_of(period if isinstance(period, dict) else {})
    return (begin is None or begin.first_day <= day) and (end is None or end.last_day >= day)


def determine(order: OrderFacts, coverage: Json, payer: Payer, here: Circumstances) -> Determination | None:
    """Return the answer; None where the payer has no rule for what is ordered.

    Where an order names a span of days in which different lists are in force, the answer says that the day is needed.
    """
    first, last = (order.days[0], order.days[-1]) if order.days else (here.subject.day, here.subject.day)
    if first == last:
        return _on_day(order, coverage, payer, here, first)
    changed = {row.effective_from for row in _rows(order, payer, here)}
    changed |= {row.effective_to + _DAY for row in _rows(order, payer, here) if row.effective_to is not None}
    days = [first, *sorted(day for day in changed if first < day <= last)]
    answers = [_on_day(order, coverage, payer, here, day) for day in dict.fromkeys((*days, last))]
    with_rules = [answer for answer in answers if answer is not None]
    decided = {answer and (answer.covered == "not-covered", answer.pa_needed) for answer in answers}
    if len(decided) == 1:
        return with_rules[0] if with_rules else None
    nothing = replace(with_rules[0], doc_needed=None, doc_purpose=None, satisfied_id=None, dependencies=())
    return replace(nothing, covered="conditional", pa_needed="conditional", info_needed=("timeframe",))


def _rows(order: OrderFacts, payer: Payer, here: Circumstances) -> Iterable[Policy]:
    """Return the rows for the code that is billed, the first of the order that the payer has rules for."""
    return next(filter(None, (here.policies.of_code(payer.id, code) for _, code in order.codes)), ())


def _on_day(order: OrderFacts, coverage: Json, payer: Payer, here: Circumstances, day: date) -> Determination | None:
    reference = f"Coverage/{coverage.get('id')}"
    nothing = Determination(payer, reference, order.reference, "conditional")
    billed = next((code for code in order.codes if here.policies.of_code(payer.id, code[1])), None)
    if billed is None and not order.is_too_coarse:
        return None
    if not is_in_force(coverage, day):
        return replace(nothing, code=billed, info_needed=("contract-window",))
    if billed is None:
        return replace(
            nothing,
            pa_needed="conditional",
            doc_needed=CLINICAL,
            doc_purpose="withpa",
            info_needed=("OTH",),
            reason="detail-code",
        )
    here = replace(here, subject=replace(here.subject, day=day, requester=order.requester))
    return _by_policy(replace(nothing, code=billed), order, here)


def _by_policy(nothing: Determination, order: OrderFacts, here: Circumstances) -> Determination | None:
    """Return the answer by the rows for the code: the list that is in force on the day, and criteria."""
    assert nothing.code is not None  # noqa: S101 - set by the caller
    rows, day = here.policies.of_code(nothing.payer.id, nothing.code[1]), here.subject.day
    in_force = [row for row in rows if row.is_in_force(day)]
    excluded = next((row for row in in_force if row.basis == "not-covered"), None)
    if excluded is not None:
        return replace(nothing, covered="not-covered", policy=excluded)
    policy = in_force[-1] if in_force else rows[-1]
    if not in_force and policy.basis not in ("listed", "open"):
        return None  # before the first rule for the code, or after the last: another entry was in force
    criteria = here.policies.criteria_of(policy) if policy.criteria else None
    judged, response = _judge(criteria, policy, here)
    is_evidenced = criteria is not None and _holds(criteria, judged)
    answer = replace(nothing, policy=policy, criteria=criteria, judged=judged, response=response)
    answer = replace(answer, **_authorization(policy, order, here, is_listed=bool(in_force)))
    if answer.pa_needed == "satisfied":
        return replace(answer, covered="covered", criteria=None, judged=())
    if answer.pa_needed in ("auth-needed", "performpa") and policy.is_waived and is_evidenced:
        answer = replace(answer, pa_needed="no-auth")
    asks = answer.pa_needed != "no-auth"
    is_covered = is_evidenced if answer.criteria is not None else not (asks or answer.reason)
    answer = replace(answer, covered="covered" if is_covered and not answer.info_needed else "conditional")
    if not asks and answer.covered == "covered":
        return answer
    return replace(answer, doc_needed=CLINICAL, doc_purpose="withpa" if asks else "retain-doc")


def _authorization(policy: Policy, order: OrderFacts, here: Circumstances, *, is_listed: bool) -> dict[str, Any]:
    """Return what is said of prior authorization: needed, satisfied, not needed, or what has to be known first."""
    if not is_listed or policy.pa_needed == "no-auth":
        return {"pa_needed": "no-auth"}
    if policy.places and order.places and not order.places & policy.places:
        return {"pa_needed": "no-auth"}
    partners: tuple[str, ...] = ()
    if policy.paired_with:
        partners = tuple(
            name for name, codes in here.together.items() if name != order.reference and codes & policy.paired_with
        )
        if not partners and not {code for _, code in order.codes} & policy.paired_with:
            return {"pa_needed": "no-auth"}
    if policy.states and here.state is not None and here.state not in policy.states:
        return {"pa_needed": "no-auth"}
    number = affirmed_number(policy, here.authorizations, here.subject.day)
    if number is not None:
        return {"pa_needed": "satisfied", "satisfied_id": number, "dependencies": partners}
    if (policy.places and not order.places) or (policy.states and here.state is None):
        return {"pa_needed": "conditional", "info_needed": ("location",), "dependencies": partners}
    if policy.places and (order.sites | {"all"}) & here.policies.exempt_hospitals:
        return {"pa_needed": "no-auth", "reason": "gold-card", "dependencies": partners}
    return {"pa_needed": policy.pa_needed, "dependencies": partners}


# Criteria


def _judge(criteria: CriteriaSet | None, policy: Policy, here: Circumstances) -> tuple[tuple[Judged, ...], str | None]:
    if criteria is None:
        return (), None
    affirmed, source = here.answers.get(policy.payer, {}).get(criteria.id, (frozenset[str](), ""))
    judged, response, anything_else = [], None, replace(here.subject, is_complete=False)
    for criterion in criteria.criteria:
        if not criterion.applies(policy.code, here.subject.day):
            continue
        holds = criterion.predicate.test(here.subject)
        # A clinician's answer says what the chart does not; it does not go before what the chart says.
        if not holds and criterion.id in affirmed and criterion.predicate.test(anything_else) is None:
            holds, response = True, source
        judged.append(Judged(criterion, holds))
    return tuple(judged), response


def _holds(criteria: CriteriaSet, judged: Sequence[Judged]) -> bool:
    """Whether in every group as many criteria are evidenced as it asks for; a group that asks for nothing holds."""
    for group, rule in criteria.groups.items():
        results = [entry.holds is True for entry in judged if entry.criterion.group == group]
        if results and not (all(results) if rule == "all" else any(results)):
            return False
    return True


def _missing(criteria: CriteriaSet, judged: Sequence[Judged]) -> tuple[Criterion, ...]:
    missing: list[Criterion] = []
    for group, rule in criteria.groups.items():
        of_group = [entry for entry in judged if entry.criterion.group == group]
        if rule == "any" and any(entry.holds for entry in of_group):
            continue
        missing += [entry.criterion for entry in of_group if entry.holds is not True]
    return tuple(missing)
