"""Shows the coverage rules of payers with their sources and days, who approved or changed what, and tries an order."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from typing import Annotated, Any, Final

from fastapi import Query
from msgspec import Struct
from pydantic import BaseModel, BeforeValidator, StringConstraints
from starlette.responses import Response
from starlette.routing import Route

from cards.coverage.approval import rule_of
from cards.coverage.cards import describe, next_steps
from cards.coverage.determination import Determination
from cards.coverage.order import Json
from cards.coverage.policy import SYSTEMS, Payer, Policies, Policy
from cards.coverage.simulation import judge_chart
from cards.coverage.store import policies
from cards.rules.engine.governance import all_rule_versions
from cds_hooks.kit.samples import list_samples, load_patient
from cds_hooks.pages.server import PageServer
from cds_hooks.web.markdown import render_markdown

_PLACES: Final = (
    ("11", "office"),
    ("12", "home"),
    ("19", "off-campus hospital"),
    ("22", "on-campus hospital"),
    ("24", "surgical center"),
)
_PLACE_SYSTEM: Final = "https://www.cms.gov/Medicare/Coding/place-of-service-codes/Place_of_Service_Code_Set"
_HELD: Final = {True: "shown by the chart", False: "not shown", None: "not known"}
_MOST_STANDINGS: Final = 100


_Short = Annotated[str, StringConstraints(max_length=60)]


class PayerSearch(BaseModel):
    """What the forms of the page ask for: the rules of a payer, and what an order would be answered."""

    payer: _Short = ""
    what: _Short = ""
    trial_payer: _Short = ""
    code: Annotated[_Short, StringConstraints(strip_whitespace=True, to_upper=True)] = ""
    day: Annotated[date | None, BeforeValidator(lambda text: text or None)] = None
    place_of_service: _Short = ""
    chart: _Short = ""


class RuleRow(Struct, frozen=True):
    """Codes with the same rule: what is asked, in which days, by which source, and when somebody read it."""

    payer: str
    category: str
    codes: tuple[str, ...]
    asks: str
    days: str
    criteria: tuple[str, ...]
    sources: tuple[str, ...]
    reviewed: str


class Trial(Struct, frozen=True):
    """What an order would be answered: in words, what is missing, the rule, and each criterion on the chart."""

    words: str
    steps: tuple[str, ...]
    rule: RuleRow | None
    criteria: tuple[tuple[str, str], ...]


class _Payers:
    def __init__(self, server: PageServer) -> None:
        self._server = server

    def show(self, search: Annotated[PayerSearch, Query()]) -> Response:
        """Show the page; the fields of its forms come as the query, since nothing of them is kept."""
        rules, today = policies(), self._server.now().date()
        return self._server.page(
            "payers/payers.html",
            payers=list(rules.payers.values()),
            counts=[(payer.name, *_counts(rules, payer)) for payer in rules.payers.values()],
            version=rules.version,
            fields=search,
            rows=list(_rows(rules, _wanted(rules, search.payer, search.what.lower()))),
            standings=self._standings(rules),
            own_payers=sorted(rules.own_payers),
            samples=[(sample.id, sample.title) for sample in list_samples()],
            places=_PLACES,
            today=today,
            trial=_trial(rules, search, today) if search.code else None,
        )

    def _standings(self, rules: Policies) -> list[tuple[str, str, Any]]:
        """How the policies of a payer's own stand at this site: state, approvals and the acts about them."""
        versions = all_rule_versions()
        rule_ids = [rule_of(policy) for policy in rules.every() if policy.payer in rules.own_payers]
        rule_ids = [rule for rule in rule_ids if rule in versions][:_MOST_STANDINGS]
        return [(rule, versions[rule].rule.title, self._server.committee.rule(versions[rule])) for rule in rule_ids]


def _counts(rules: Policies, payer: Payer) -> tuple[int, int, int, int]:
    """How many codes of a payer have a rule, ask for authorization, have criteria, and are no benefit."""
    rows = [row for row in rules.every() if row.payer == payer.id]
    asking = {row.code for row in rows if row.pa_needed in ("performpa", "auth-needed") and row.effective_to is None}
    excluded = {row.code for row in rows if row.basis == "not-covered"}
    return len({row.code for row in rows}), len(asking), len({row.code for row in rows if row.criteria}), len(excluded)


def _wanted(rules: Policies, payer: str, what: str) -> list[Policy]:
    return [row for row in rules.every() if payer in ("", row.payer) and what in f"{row.code} {row.category}".lower()]


def _rows(rules: Policies, wanted: Iterable[Policy]) -> Iterable[RuleRow]:
    groups: dict[tuple[Any, ...], list[Policy]] = {}
    for row in wanted:
        key = (row.payer, row.category, row.basis, row.pa_needed, row.effective_from, row.effective_to, row.source)
        groups.setdefault(key, []).append(row)
    for key in sorted(groups, key=lambda key: (key[0], key[1], key[4])):
        row, codes = groups[key][0], tuple(sorted(policy.code for policy in groups[key]))
        criteria = rules.criteria_of(row) if row.criteria else None
        until = f" to {row.effective_to}" if row.effective_to else " on"
        statements = tuple(criterion.text for criterion in criteria.criteria) if criteria is not None else ()
        name, sources = rules.payers[row.payer].name, tuple(row.source.split(" ; "))
        days = f"{row.effective_from}{until}"
        yield RuleRow(name, row.category, codes, _asks(row), days, statements, sources, row.reviewed or "not said")


def _asks(row: Policy) -> str:
    words = {
        "performpa": "prior authorization, by the supplier",
        "auth-needed": "prior authorization",
        "no-auth": "no prior authorization",
        "": "no benefit",
    }[row.pa_needed]
    limits = [*(f"place {code}" for code in sorted(row.places)), *sorted(row.states)]
    return f"{words} ({', '.join(limits)})" if limits else words


# A trial


def _trial(rules: Policies, search: PayerSearch, today: date) -> Trial | str:
    """Return what an order of this code would be answered; a sentence where it is not answered."""
    payer = rules.payers.get(search.trial_payer) or next(iter(rules.payers.values()))
    code, day = search.code, search.day or today
    samples = {sample.id for sample in list_samples()}
    as_of = datetime.combine(today, time(12), UTC)
    if search.chart in samples:
        chart = [entry["resource"] for entry in load_patient(search.chart, as_of)["entry"]]
        chart = [resource for resource in chart if resource["resourceType"] not in ("Coverage", "ServiceRequest")]
    else:
        chart = [{"resourceType": "Patient", "id": "trial"}]
    rows = rules.of_code(payer.id, code)
    system = SYSTEMS[rows[0].system] if rows else SYSTEMS["HCPCS"]
    order: Json = {
        "resourceType": "ServiceRequest",
        "id": "trial",
        "status": "draft",
        "intent": "order",
        "code": {"coding": [{"system": system, "code": code}]},
        "subject": {"reference": f"Patient/{chart[0]['id']}"},
        "occurrenceDateTime": day.isoformat(),
    }
    if search.place_of_service:
        order["locationCode"] = [{"coding": [{"system": _PLACE_SYSTEM, "code": search.place_of_service}]}]
    answers = judge_chart([*chart, order], rules, payer, as_of)
    answer = next((entry for entry in answers if entry.order == "ServiceRequest/trial"), None)
    if answer is None:
        return f"There is no rule of {payer.name} here for {code} on {day}: nothing would be answered."
    rule = next(iter(_rows(rules, [answer.policy])), None) if answer.policy is not None else None
    return Trial(describe(answer), tuple(map(render_markdown, next_steps(answer))), rule, tuple(_judged(answer)))


def _judged(answer: Determination) -> Iterable[tuple[str, str]]:
    for entry in answer.judged:
        sources = ", ".join(entry.seen.sources[:3])
        yield entry.criterion.text, f"{_HELD[entry.seen.holds]}{f' ({sources})' if sources else ''}"


def routes(server: PageServer) -> list[Route]:
    """Return the address of the page."""
    return [server.route("/payers", _Payers(server).show)]
