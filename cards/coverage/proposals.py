"""What a payer proposes beside its answer, as rows of its own folder, and the resources that a click makes of a row.

`proposals.csv`: an order that goes with another (`companion`), one that can take its place (`alternate`), a form for
somebody to fill in (`form`). `members.csv`: what the payer knows of a coverage. No row is ours: no public rule has one.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Final, Literal, get_args

from msgspec import Struct

from cards.coverage.annotation import CRD_CODES, URL
from cards.coverage.order import Json, dicts
from cards.coverage.policy import SYSTEMS, Payer, PolicyFault, check_payer, read_day, read_rows

Kind = Literal["companion", "alternate", "form"]
_KINDS: Final = get_args(Kind)
_SDC: Final = "http://hl7.org/fhir/uv/sdc/CodeSystem/temp"
_CLASS: Final = "http://terminology.hl7.org/CodeSystem/coverage-class"
_MEMBER: Final = "http://terminology.hl7.org/CodeSystem/v2-0203"
_AFTER: Final = ("prior-auth-include", "initial-claim-include", "all-claims-include")
_STEERS: Final = ("deni", "deny", "necess", "reject", "refus", "instead of", "must not", "do not order")
_ORDERED: Final = {
    "DeviceRequest": "codeCodeableConcept",
    "ServiceRequest": "code",
    "MedicationRequest": "medicationCodeableConcept",
}


class Proposal(Struct, frozen=True):
    """One row: for a code, in a span of days, another order or a form."""

    kind: Kind
    payer: str
    code: str
    system: str
    value: str
    """The code of the other order; of a form what is done with it when it is completed."""
    resource: str
    text: str
    effective_from: date
    effective_to: date | None
    source: str

    def is_in_force(self, day: date) -> bool:
        """Whether the day of service lies in its span."""
        return self.effective_from <= day and (self.effective_to is None or day <= self.effective_to)


class Member(Struct, frozen=True):
    """What a payer knows of the coverage of one person."""

    payer: str
    number: str
    birth_date: str
    plan: str
    plan_name: str
    start: str
    end: str


class Proposals(Struct, frozen=True):
    """All rows of a payer's own folder."""

    by_code: Mapping[tuple[str, str], tuple[Proposal, ...]] = {}
    members: Mapping[tuple[str, str], Member] = {}
    """By payer and number."""


def load_proposals(folder: Path | None, payers: Mapping[str, Payer]) -> Proposals:
    """Read the proposals and members of a payer's own folder; nothing where there are no such files.

    Raises:
        PolicyFault: A file cannot be used.
    """
    if folder is None:
        return Proposals()
    rows: dict[tuple[str, str], tuple[Proposal, ...]] = {}
    for proposal in _proposals(folder / "proposals.csv", payers):
        key = proposal.payer, proposal.code
        rows[key] = (*rows.get(key, ()), proposal)
    return Proposals(rows, {(row.payer, row.number): row for row in _members(folder / "members.csv", payers)})


def _proposals(path: Path, payers: Mapping[str, Payer]) -> Iterator[Proposal]:
    needed = ("payer", "kind", "code", "system", "value", "resource", "text", "effective_from", "source")
    for line, row in read_rows(path, needed):
        where = f"{path.name}, line {line}"
        kind, text = row["kind"], row["text"].strip()
        check_payer(row, payers, where)
        if kind not in _KINDS:
            raise PolicyFault(f"{where}: kind is one of {', '.join(_KINDS)}")
        if kind == "form" and row["value"] not in _AFTER:
            raise PolicyFault(f"{where}: value of a form is one of {', '.join(_AFTER)}")
        if kind != "form" and (row["system"] not in SYSTEMS or row["resource"] not in _ORDERED or not row["value"]):
            raise PolicyFault(f"{where}: system is one of {', '.join(SYSTEMS)}, resource one of {', '.join(_ORDERED)}")
        if not text or not row["source"].strip():
            raise PolicyFault(f"{where}: text and source are required")
        if any(word in text.lower() for word in _STEERS):
            raise PolicyFault(f"{where}: text refuses care or speaks of its necessity; a proposal only offers")
        begin, end = read_day(row["effective_from"], where), row.get("effective_to", "")
        until = read_day(end, where) if end else None
        yield Proposal(
            kind, row["payer"], row["code"].upper(), row["system"], row["value"], row["resource"], text, begin, until,  # type: ignore[arg-type]  # looked up above
            row["source"],
        )  # fmt: skip


def _members(path: Path, payers: Mapping[str, Payer]) -> Iterator[Member]:
    for line, row in read_rows(path, ("payer", "number", "birth_date", "plan", "plan_name", "start")):
        where = f"{path.name}, line {line}"
        check_payer(row, payers, where)
        for day in (row["birth_date"], row["start"], *filter(None, [row.get("end")])):
            read_day(day, where)
        if not row["number"] or not row["plan"]:
            raise PolicyFault(f"{where}: number and plan are required")
        yield Member(
            row["payer"], row["number"], row["birth_date"], row["plan"], row["plan_name"], row["start"],
            row.get("end", ""),
        )  # fmt: skip


# Resources


def companion_order(proposal: Proposal, order: Json) -> Json:
    """Return the order that goes with another: for the same patient, by the same clinician, under the same coverage."""
    kept = ["subject", "encounter", "requester", "insurance", "authoredOn", "reasonCode"]
    if proposal.resource != "MedicationRequest":
        kept.append("occurrenceDateTime")
    copied = {name: order[name] for name in kept if name in order}
    intent = {"resourceType": proposal.resource, "status": "draft", "intent": "order"}
    return intent | copied | {_ORDERED[proposal.resource]: _concept(proposal)}


def alternate_order(proposal: Proposal, order: Json) -> Json | None:
    """Return the order with the other code in place of its own; None where the two are of different types."""
    if proposal.resource != order.get("resourceType"):
        return None
    notes = [entry for entry in dicts(order.get("extension")) if entry.get("url") != URL]  # they are about the other
    kept = {name: value for name, value in order.items() if name != "extension"}
    return kept | ({"extension": notes} if notes else {}) | {_ORDERED[proposal.resource]: _concept(proposal)}


def _concept(proposal: Proposal) -> Json:
    coding = {"system": SYSTEMS[proposal.system], "code": proposal.value}
    return {"coding": [coding], "text": proposal.text}


def form_task(proposal: Proposal, payer: Payer, order: Json, form: Json, patient_id: str, today: date) -> Json:
    """Return the Task to complete a form (CRD's profile-taskquestionnaire)."""
    canonical = f"{form['url']}|{form['version']}"
    inputs = [
        {"type": _coding(_SDC, "questionnaire"), "valueCanonical": canonical},
        {
            "type": _coding(CRD_CODES, "after-completion-action"),
            "valueCodeableConcept": _coding(CRD_CODES, proposal.value),
        },
    ]
    encounter = {"encounter": order["encounter"]} if isinstance(order.get("encounter"), dict) else {}
    return {
        "resourceType": "Task",
        "basedOn": [{"reference": f"{order['resourceType']}/{order['id']}"}],
        "status": "ready",
        "intent": "order",
        "code": _coding(_SDC, "complete-questionnaire"),
        "description": proposal.text,
        "for": {"reference": f"Patient/{patient_id}"},
        "authoredOn": today.isoformat(),
        "requester": {"display": payer.name},
        "reasonCode": _coding(CRD_CODES, "reason-prior-auth"),
        "input": inputs,
    } | encounter


def _coding(system: str, code: str) -> Json:
    return {"coding": [{"system": system, "code": code}]}


# Coverage


def known_coverage(proposals: Proposals, payer: Payer, coverage: Json, birth_date: str) -> Json | None:
    """Return the Coverage as the payer knows it, where that differs; None where nothing is known or it is the same."""
    numbers = [coverage.get("subscriberId"), *(entry.get("value") for entry in dicts(coverage.get("identifier")))]
    member = _member(proposals, payer, numbers, birth_date)
    if member is None:
        return None
    plans, period = (
        [entry for entry in dicts(coverage.get("class")) if _has_type(entry, "plan")],
        coverage.get("period"),
    )
    days = (period.get("start"), period.get("end") or "") if isinstance(period, dict) else ("", "")
    if [entry.get("value") for entry in plans] == [member.plan] and days == (member.start, member.end):
        return None
    return {**coverage, **_facts(member, [entry for entry in dicts(coverage.get("class")) if entry not in plans])}


def new_coverage(proposals: Proposals, payer: Payer, patient: Json) -> Json | None:
    """Return a Coverage for a patient whose member number (identifier of type MB) the payer knows; else None."""
    numbers = [entry.get("value") for entry in dicts(patient.get("identifier")) if _has_type(entry, "MB")]
    member = _member(proposals, payer, numbers, str(patient.get("birthDate")))
    if member is None:
        return None
    return {
        "resourceType": "Coverage",
        "identifier": [{"type": _coding(_MEMBER, "MB"), "value": member.number}],
        "status": "active",
        "subscriberId": member.number,
        "beneficiary": {"reference": f"Patient/{patient['id']}"},
        "payor": [{"display": payer.name}],
        **_facts(member, []),
    }


def _member(proposals: Proposals, payer: Payer, numbers: Iterable[Any], birth_date: str) -> Member | None:
    """Return the person of one of these numbers, where the day of birth is the same: a number alone may be mistyped."""
    rows = (proposals.members.get((payer.id, str(number))) for number in numbers if number)
    return next((row for row in rows if row is not None and row.birth_date == birth_date), None)


def _facts(member: Member, others: list[Json]) -> dict[str, Any]:
    plan = {"type": _coding(_CLASS, "plan"), "value": member.plan}
    plan |= {"name": member.plan_name} if member.plan_name else {}
    period = {"start": member.start} | ({"end": member.end} if member.end else {})
    return {"period": period, "class": [*others, plan]}


def _has_type(entry: Json, code: str) -> bool:
    return any(coding.get("code") == code for coding in dicts((entry.get("type") or {}).get("coding")))
