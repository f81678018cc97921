"""What a payer's rules ask for over the orders of its own cases, which nobody calls about."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, Final

from cards.coverage.determination import Circumstances, Determination, determine
from cards.coverage.order import ORDER_TYPES, Json, OrderFacts, dicts, read_order
from cards.coverage.policy import Payer, Policies, PolicyFault
from cards.coverage.questionnaire import answers_of
from cards.coverage.seen import Subject
from cards.coverage.words import participants_of
from fhir.record.record import record_from_resources

_ORDERS: Final = ORDER_TYPES[:6]
_IN_FORCE: Final[Json] = {"id": "simulated", "status": "active"}


def judge_chart(resources: list[Json], rules: Policies, payer: Payer, as_of: datetime) -> Iterator[Determination]:
    """Yield the answer to each order among the resources of one patient that the payer has a rule for.

    The coverage is that of the chart where it has one, else one without an end. Without one patient nothing is judged.
    """
    by_type: dict[str, list[Json]] = {}
    for resource in resources:
        by_type.setdefault(str(resource.get("resourceType")), []).append(resource)
    patients = by_type.get("Patient", [])
    if len(patients) != 1:
        return
    record = record_from_resources(resources, str(patients[0].get("id")), as_of)
    sites = {
        f"{kind}/{site.get('id')}": site for kind in ("Location", "Organization") for site in by_type.get(kind, ())
    }
    facts = (read_order(resource, sites) for kind in _ORDERS for resource in by_type.get(kind, ()))
    orders = [order for order in facts if order is not None]
    states = [address.get("state") for address in dicts(patients[0].get("address")) if address.get("state")]
    here = Circumstances(
        rules,
        Subject(record, as_of.date(), None, participants_of(by_type.get("Encounter", []))),
        str(states[0]) if states else None,
        by_type.get("ClaimResponse", []),
        answers_of(by_type.get("QuestionnaireResponse", []), rules, record.patient_id),
        {order.reference: _codes(order) for order in orders},
    )
    coverage = next(iter(by_type.get("Coverage", [])), _IN_FORCE)
    for order in orders:
        answer = determine(order, coverage, payer, here)
        if answer is not None:
            yield answer


def _codes(order: OrderFacts) -> frozenset[str]:
    return frozenset(code for _, code in order.codes)


# A payer's own cases

_CASE: Final = frozenset({"id", "payer", "day", "chart", "expected"})


def wrong_cases(folder: Path, rules: Policies) -> tuple[int, list[str]]:
    """Run the cases of a payer's folder (`cases/*.json`); return how many there are, and a sentence for each fault.

    Raises:
        PolicyFault: A case cannot be read.
    """
    cases = [(path, case) for path in sorted((folder / "cases").glob("*.json")) for case in _cases(path)]
    return len(cases), [fault for path, case in cases for fault in _faults(path, case, rules)]


def _cases(path: Path) -> list[Json]:
    try:
        cases = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise PolicyFault(f"{path.name}: not valid JSON ({error})") from error
    if not isinstance(cases, list) or any(not isinstance(case, dict) or set(case) != _CASE for case in cases):
        raise PolicyFault(f"{path.name}: a list of cases with {', '.join(sorted(_CASE))}, and nothing else")
    return cases


def _faults(path: Path, case: Json, rules: Policies) -> Iterator[str]:
    where = f"{path.name}, {case['id']}"
    if case["payer"] not in rules.payers:
        raise PolicyFault(f"{where}: the payer {case['payer']!r} is not in payers.csv")
    try:
        as_of = datetime.combine(date.fromisoformat(case["day"]), time(12), UTC)
    except (TypeError, ValueError) as error:
        raise PolicyFault(f"{where}: day is written as YYYY-MM-DD") from error
    judged = judge_chart(case["chart"], rules, rules.payers[case["payer"]], as_of)
    answers = {answer.order: decided(answer) for answer in judged}
    if answers != case["expected"]:
        yield f"{where}: expected {json.dumps(case['expected'])}, answered {json.dumps(answers)}"


def decided(answer: Determination) -> dict[str, Any]:
    """Return what an answer decides, by the names of the parts of coverage-information."""
    parts = {
        "covered": answer.covered,
        "pa-needed": answer.pa_needed,
        "doc-needed": answer.doc_needed,
        "info-needed": list(answer.info_needed),
        "reason": answer.reason,
        "satisfied-pa-id": answer.satisfied_id,
    }
    return {name: value for name, value in parts.items() if value}
