"""What a payer answers to an order under a coverage: covered, prior authorization, what is missing and why.

`covered` only where every criterion is evidenced or there is none; `conditional` where any is not, whatever the reason;
`not-covered` only where a policy excludes the code itself. There is no denial, and nothing is said on necessity.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from cards.coverage.evidence import Seen, Subject, evaluate
from cards.coverage.order import Json, OrderFacts
from cards.coverage.policy import CriteriaSet, Criterion, Payer, Policies, Policy
from fhir.record.datatypes import parse_time

Covered = Literal["covered", "conditional", "not-covered"]
CLINICAL: Final = "clinical"
_AFFIRMED: Final = frozenset({"A1"})
_REVIEW: Final = "codesystem.x12.org/005010/306"
_GREGORIAN: Final = "0001-01-01"


class Judged(Struct, frozen=True):
    """One criterion and whether the chart, or a clinician's answer, shows it."""

    criterion: Criterion
    seen: Seen


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
    """The QuestionnaireResponse that a criterion rests on."""

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

    A name that is none of a payer's own is that of another payer, whatever else looks alike.
    """
    names, identifiers = set[str](), set[str]()
    for payor in _dicts(coverage.get("payor")):
        organization = organizations.get(str(payor.get("reference", "")), {})
        names |= {_plain(text) for text in (payor.get("display"), organization.get("name")) if isinstance(text, str)}
        for identifier in (payor.get("identifier"), *_dicts(organization.get("identifier"))):
            if isinstance(identifier, dict) and isinstance(identifier.get("value"), str):
                identifiers.add(identifier["value"])
    plans = {_plain(text) for entry in _dicts(coverage.get("class")) for text in _texts(entry)}
    words = set(" ".join((*plans, *names)).replace("(", " ").replace(")", " ").split())
    for payer in policies.payers.values():
        is_named = bool(names & payer.names) or bool(identifiers & payer.identifiers)
        if not names and not identifiers:
            is_named = bool(plans & payer.plans)
        is_other = any(word in words or any(word in plan for plan in plans if " " in word) for word in payer.not_plans)
        if is_named and not is_other:
            return payer
    return None


def _texts(entry: Json) -> Iterable[str]:
    return [text for text in (entry.get("value"), entry.get("name")) if isinstance(text, str)]


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def _dicts(value: Any) -> list[Json]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def is_in_force(coverage: Json, day: date) -> bool:
    """Whether the day of service lies in the period of the coverage, which is open where it names no end."""
    period = coverage.get("period")
    if coverage.get("status") == "cancelled":
        return False
    if not isinstance(period, dict):
        return True
    begin, end = (parse_time(str(period.get(name) or _GREGORIAN)) for name in ("start", "end"))
    if begin is not None and begin.first_day > day:
        return False
    return not period.get("end") or end is None or end.last_day >= day


def determine(order: OrderFacts, coverage: Json, payer: Payer, here: Circumstances) -> Determination | None:
    """Return the answer; None where the payer has no rule for what is ordered.

    Where an order names a span of days at whose ends different lists are in force, the answer says that the day is
    needed.
    """
    first = here.subject.day if not order.days else order.days[0]
    answer = _on_day(order, coverage, payer, here, first)
    if answer is None or not order.days or order.days[-1] == first:
        return answer
    last = _on_day(order, coverage, payer, here, order.days[-1])
    if last is None or last.pa_needed == answer.pa_needed:
        return answer
    return replace(answer, covered="conditional", pa_needed="conditional", info_needed=("timeframe",))


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
    """The answer by the rows for the code: the list that is in force on the day, and criteria."""
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
    return _with_documents(answer, is_evidenced=is_evidenced)


def _with_documents(answer: Determination, *, is_evidenced: bool) -> Determination:
    asks = answer.pa_needed != "no-auth"
    is_covered = is_evidenced if answer.criteria is not None else not (asks or answer.reason)
    if answer.info_needed:
        is_covered = False
    if asks:
        return replace(
            answer, covered="covered" if is_covered else "conditional", doc_needed=CLINICAL, doc_purpose="withpa"
        )
    if is_covered:
        return replace(answer, covered="covered")
    return replace(answer, covered="conditional", doc_needed=CLINICAL, doc_purpose="retain-doc")


def _authorization(policy: Policy, order: OrderFacts, here: Circumstances, *, is_listed: bool) -> dict[str, Any]:
    """What is said of prior authorization: needed, satisfied, not needed, or what has to be known first."""
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
    if policy.places and _is_exempt(order, here):
        return {"pa_needed": "no-auth", "reason": "gold-card", "dependencies": partners}
    return {"pa_needed": policy.pa_needed, "dependencies": partners}


def _is_exempt(order: OrderFacts, here: Circumstances) -> bool:
    exempt = here.policies.exempt_hospitals
    if "all" in exempt:
        return True
    hospitals = set[str]()
    for entry in (*_dicts(order.resource.get("locationReference")), *_dicts(order.resource.get("performer"))):
        identifier = entry.get("identifier")
        if isinstance(identifier, dict):
            hospitals.add(str(identifier.get("value", "")).lower())
        hospitals.add(str(entry.get("reference", "")).lower())
    return bool(hospitals & exempt)


def affirmed_number(policy: Policy, authorizations: Iterable[Json], day: date) -> str | None:
    """Return the number of an affirmed prior authorization for the code that is valid on the day of service."""
    for response in authorizations:
        number = response.get("preAuthRef")
        if response.get("use") != "preauthorization" or response.get("status") != "active":
            continue
        if not isinstance(number, str) or not number or response.get("outcome") not in ("complete", "partial"):
            continue
        if _names_code(response, policy.code) and _is_valid(response, policy, day) and _is_affirmed(response):
            return number
    return None


def _is_affirmed(response: Json) -> bool:
    """Whether every review decision in it is a certification: any other leaves it open."""
    decisions = [
        str(coding.get("code"))
        for item in (*_dicts(response.get("item")), response)
        for adjudication in _dicts(item.get("adjudication"))
        for coding in _dicts((adjudication.get("reason") or {}).get("coding"))
        if _REVIEW in str(coding.get("system", ""))
    ]
    for item in _dicts(response.get("item")):  # as PAS says it: an extension of the adjudication
        for adjudication in _dicts(item.get("adjudication")):
            decisions += _review_codes(adjudication.get("extension"))
    return bool(decisions) and set(decisions) <= _AFFIRMED


def _review_codes(extensions: Any) -> Iterable[str]:
    for extension in _dicts(extensions):
        yield from _review_codes(extension.get("extension"))
        for coding in _dicts((extension.get("valueCodeableConcept") or {}).get("coding")):
            if _REVIEW in str(coding.get("system", "")):
                yield str(coding.get("code"))


def _names_code(response: Json, code: str) -> bool:
    """Whether the response is about the code: in an added item, an extension, or the words of its disposition."""
    codings = [
        coding
        for item in _dicts(response.get("addItem"))
        for coding in _dicts((item.get("productOrService") or {}).get("coding"))
    ]
    codings += list(_item_codings(response))
    if codings:
        return any(str(coding.get("code", "")).upper() == code for coding in codings)
    words = "".join(letter if letter.isalnum() else " " for letter in str(response.get("disposition", "")).upper())
    return code in words.split()


def _item_codings(response: Json) -> Iterable[Json]:
    for item in _dicts(response.get("item")):
        for extension in _dicts(item.get("extension")):
            for coding in _dicts((extension.get("valueCodeableConcept") or {}).get("coding")):
                if _REVIEW not in str(coding.get("system", "")):
                    yield coding


def _is_valid(response: Json, policy: Policy, day: date) -> bool:
    """Whether the day lies in its period; where it has none, in the days that the policy gives from its creation on."""
    period = response.get("preAuthPeriod")
    if isinstance(period, dict) and (period.get("start") or period.get("end")):
        begin = parse_time(str(period.get("start") or response.get("created") or ""))
        end = parse_time(str(period.get("end") or ""))
        if begin is not None and begin.first_day > day:
            return False
        if end is not None:
            return end.last_day >= day
        return begin is not None and _lasts(begin.first_day, policy, day)
    created = parse_time(str(response.get("created") or ""))
    return created is not None and created.first_day <= day and _lasts(created.first_day, policy, day)


def _lasts(begin: date, policy: Policy, day: date) -> bool:
    return policy.pa_valid_days is not None and (day - begin).days <= policy.pa_valid_days


# Criteria


def _judge(criteria: CriteriaSet | None, policy: Policy, here: Circumstances) -> tuple[tuple[Judged, ...], str | None]:
    if criteria is None:
        return (), None
    affirmed, source = here.answers.get(policy.payer, {}).get(criteria.id, (frozenset[str](), ""))
    judged, response = [], None
    for criterion in criteria.criteria:
        if not criterion.applies(policy.code, here.subject.day):
            continue
        seen = evaluate(criterion.test, here.subject)
        is_contradicted = seen.holds is False and bool(seen.sources)
        if seen.holds is not True and not is_contradicted and criterion.id in affirmed:
            seen, response = Seen(True, (source,)), source
        judged.append(Judged(criterion, seen))
    return tuple(judged), response


def _holds(criteria: CriteriaSet, judged: Sequence[Judged]) -> bool:
    """Whether in every group as many criteria are evidenced as it asks for; a group that asks for nothing holds."""
    for group, rule in criteria.groups.items():
        results = [entry.seen.holds is True for entry in judged if entry.criterion.group == group]
        if results and not (all(results) if rule == "all" else any(results)):
            return False
    return True


def _missing(criteria: CriteriaSet, judged: Sequence[Judged]) -> tuple[Criterion, ...]:
    missing: list[Criterion] = []
    for group, rule in criteria.groups.items():
        of_group = [entry for entry in judged if entry.criterion.group == group]
        if rule == "any" and any(entry.seen.holds for entry in of_group):
            continue
        missing += [entry.criterion for entry in of_group if entry.seen.holds is not True]
    return tuple(missing)
