"""The pages of the rules: the list with what waits for a second person and the checks of a drug, and a rule.

What waits for a second person, and the forms of /rules by which people approve, switch and release.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from anyio import CapacityLimiter
from fastapi import Depends, Query
from msgspec import Struct
from pydantic import BaseModel, Field, StringConstraints, TypeAdapter
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cards.card import SEVERITY
from cards.rules.engine.coverage import CHECKS, checks_by_name, checks_of_study
from cards.rules.engine.family import TableRow, family_named
from cards.rules.engine.governance import RuleVersion, all_rule_versions
from cards.rules.engine.rule_book import rule_book
from cds_hooks.call.hold_back.released import KNOWLEDGE, Key
from cds_hooks.call.hold_back.site_file import RulesFileError
from cds_hooks.call.services import every_service
from cds_hooks.evidence.storage.queries import DecisionFilter, find_decisions
from cds_hooks.people.governance.act_desk import (
    APPROVED,
    ActDesk,
    LoggedIn,
    Recorded,
    ServedHere,
    WantedAct,
    read_review,
    waiver_version,
)
from cds_hooks.people.governance.acts import (
    Act,
    ApprovalRefused,
    Statement,
    Subject,
    rule_subject,
    service_subject,
    waiver_subject,
    words_of,
)
from cds_hooks.people.governance.approvals import NEEDED, ApprovalBook
from cds_hooks.people.governance.releases import Releases
from cds_hooks.people.governance.standing import SIGNS
from cds_hooks.people.governance.terminology import whole_indexes
from cds_hooks.people.pages.model_files import ModelFiles
from cds_hooks.people.pages.rules.standing import COUNTED_DAYS, ActForm, RuleRow
from cds_hooks.people.pages.server import PageServer
from cds_hooks.people.web.site import Failure, PageRefusal
from cds_hooks.people.web.visitor import visiting
from cds_hooks.telemetry.logs import log
from fhir.mapping.medications.identity import MedicationIdentity, identify_concept
from fhir.record.datatypes import CodeableConcept
from fhir.terminology.allergens import ALLERGEN_CLASSES, allergen_of_words
from fhir.terminology.analytes import analyte_of_name
from fhir.terminology.medication_names import read_order_name
from fhir.terminology.medications import CLASS_MEMBERS, INGREDIENTS
from models_onnx.artifact.folder import VERSION_SIGN
from models_onnx.artifact.release_file import Release

_NO_RULE: Final = Failure("No such rule", "No medication rule of this name is here.", "/rules lists those there are.")


def _version(rule_id: str) -> RuleVersion:
    version = all_rule_versions().get(rule_id)
    if version is None:
        raise PageRefusal(_NO_RULE)
    return version


ROWS_ON_A_PAGE: Final = 50
KINDS: Final = {"": "All"} | {state: word for state, (_, word) in SIGNS.items()}
"""The states by which the list of rules is filtered."""
Short = Annotated[str, StringConstraints(strip_whitespace=True, max_length=100)]


class WantedRules(BaseModel, frozen=True):
    """What the list of rules is narrowed to, and the row that it begins with."""

    family: Short = ""
    kind: Short = ""
    what: Short = ""
    drug: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)] = ""
    start: Annotated[int, Field(ge=0, lt=100_000)] = 0

    def takes(self, row: RuleRow) -> bool:
        """Return whether a rule is of the family and state and has the words; the drug is asked elsewhere."""
        rule = row.version.rule
        return (
            self.family in ("", row.version.table.title)
            and self.kind in ("", row.now.state)
            and self.what.casefold() in f"{rule.title} {rule.id}".casefold()
        )

    def query(self, start: int) -> str:
        """Return the query of the address of the list from another row."""
        return urlencode(self.model_dump(exclude_defaults=True) | {"start": start})


class _Rules:
    """The pages of one server."""

    def __init__(self, server: PageServer) -> None:
        self._server = server
        self._book = server.approvals
        self._releases = server.components.releases
        indexes = partial(whole_indexes, server.settings)
        served = ServedHere(
            server.served, every_service(server.services), *_models(server.files), why_too_early, indexes
        )
        self._desk = ActDesk(server.settings.database_url, served)

    def show_all(self, request: Request, wanted: Annotated[WantedRules, Query()]) -> Response:
        """Show the rules, and what waits for a second person; what was clicked is taken first."""
        if request.method == "POST":
            approvals, status = self._take(request.state.form)
        else:
            approvals, status = self._values(), 200
        drug = describe_drug(wanted.drug) if wanted.drug else None
        if wanted.drug and drug is None:
            status = 404
        committee = self._server.committee
        every = committee.rules()
        rows = [row for row in every if wanted.takes(row) and (drug is None or row.version.rule.id in drug.rules)]
        return self._server.page(
            "rules/rules.html",
            status=status,
            rows=rows[wanted.start : wanted.start + ROWS_ON_A_PAGE],
            total=len(rows),
            step=ROWS_ON_A_PAGE,
            families=sorted({row.version.table.title for row in every}),
            wanted=wanted,
            days=COUNTED_DAYS,
            note=self._server.counts.counted().note,
            kinds=KINDS,
            drug=drug,
            classes=CLASSES,
            **approvals,
        )

    def show(self, version: Annotated[RuleVersion, Depends(_version)]) -> Response:
        """Show one rule."""
        say = family_named(version.table.family).vocabulary.say
        standing = self._server.committee.rule(version)
        values: dict[str, Any] = {"version": version, "rule": version.rule, "standing": standing, "say": say}
        return self._server.page("rules/rule.html", days=COUNTED_DAYS, **values)

    def _values(self, recorded: list[Recorded] | None = None, problem: str = "") -> dict[str, Any]:
        """Return what the template shows, with what was recorded just now."""
        # those of this process have that a moment later
        book, releases = self._desk.on_record() if recorded else (self._book, self._releases)
        batches = rule_batches(book)
        return {
            "waiting": _waiting(book, releases, self._server, batches),
            "batches": batches,
            "published": _published(self._server.served, releases),
            "declared": _declared(self._server, book),
            "refused": [*(book.refused if book is not None else ()), *releases.refused],
            "taken": recorded or [],
            "problem": problem,
            "needs_approval": book is not None,
        }

    def _take(self, form: Mapping[str, str]) -> tuple[dict[str, Any], int]:
        """Take what somebody clicked; return what the template shows of it, and the status of the answer."""
        try:
            recorded = self._recorded(form)
        except (ApprovalRefused, RulesFileError) as fault:
            log().info("act refused", status=400)
            text = "; ".join(fault.problems) if isinstance(fault, RulesFileError) else str(fault)
            return self._values(problem=text), 400
        return self._values(recorded), 200

    def _recorded(self, form: Mapping[str, str]) -> list[Recorded]:
        visitor = visiting().visitor
        if self._book is None:
            raise ApprovalRefused(_NOT_NEEDED)
        if visitor is None:
            raise ApprovalRefused(_NOBODY)
        person = LoggedIn(visitor.name, visitor.actor, visitor.issuer, visitor.roles)
        recorded = self._desk.take(_wanted(form, self._book), person, datetime.now(UTC))
        log().info("acts recorded", count=len(recorded))
        return recorded


def routes(server: PageServer) -> list[Route]:
    """Return their addresses."""
    pages = _Rules(server)
    limiter = CapacityLimiter(1)
    return [
        server.route("/rules", pages.show_all),
        server.route("/rules", pages.show_all, ["POST"], limiter=limiter, upload=True, most_bytes=MOST_BYTES),
        server.route("/rules/{rule_id}", pages.show),
    ]


# The checks that exist for an ingredient, brand or class, and those that do not


CLASSES: Final = tuple(sorted(name.replace("_", " ") for name in CLASS_MEMBERS))
"""The names of the classes of drugs."""
_WORD: Final = re.compile(r"[a-z0-9]+")


class DrugChecks(Struct, frozen=True):
    """What the tables make of the words: how they were read, and the ids of the rules about them.

    `members` are the drugs of a class or the parts of a product, `rows` what the tables of rules say about a drug.
    """

    read_as: str
    members: tuple[str, ...]
    rules: Collection[str]
    rows: tuple[tuple[RuleVersion, tuple[TableRow, ...]], ...]

    @property
    def checks(self) -> Collection[str]:
        """The names of the checks that exist."""
        return checks_by_name(rule for rule in rule_book().rules if rule.id in self.rules)

    @property
    def lacks(self) -> tuple[str, ...]:
        """The checks that do not exist."""
        return tuple(check for check in CHECKS if check not in self.checks)


def describe_drug(query: str) -> DrugChecks | None:
    """Return what there is for a drug, a product, a class or an order of a test; None where the tables know none."""
    names = tuple(ingredient.name for ingredient in read_order_name(query).ingredients)
    if names:
        rules = _rules_of(query)
        rows = _rows_about(identify_concept(CodeableConcept(text=query)), rules)
        return DrugChecks("/".join(names), names, rules, rows)
    checks, asking = checks_of_study(query, rule_book().rules), rules_on_result(query)
    if checks is not None or asking:
        rules = asking.union(*(checks or {}).values())
        read_as = "a test: its orders, and the rules that use its result" if checks else "a test result that rules use"
        return DrugChecks(read_as, (), rules, ())
    class_name, codes = _class_of(query)
    if not codes:
        return None
    members = tuple(sorted(INGREDIENTS[code].name for code in codes if code in INGREDIENTS))
    return DrugChecks(f"the class {class_name}", members, set().union(*map(_rules_of, members)), ())


_MADE_FROM: Final = {"creatinine": ("egfr", "egfr_best", "crcl_cockcroft_gault")}
"""What rules ask that is computed from a result."""


def rules_on_result(query: str) -> set[str]:
    """Return the rules of which a condition asks a result of this name, its last order, or what is computed from it."""
    analyte = analyte_of_name(query) or analyte_of_name(query.lower())
    if analyte is None:
        return set()
    names = "|".join((f"{analyte}(?:_now|_high|_low|_stable|_ordered)?", *_MADE_FROM.get(analyte, ())))
    asked = re.compile(f"'(?:order_)?(?:{names})'")
    rules = (version.rule for version in all_rule_versions().values())
    return {rule.id for rule in rules if asked.search(repr((rule.bands, rule.silent_when, rule.missing_data)))}


def _class_of(query: str) -> tuple[str, frozenset[str]]:
    """Return the class that the words name, by its own name or as an allergy list has it, and its ingredients."""
    words = [word.removesuffix("s") if len(word) > 4 else word for word in _WORD.findall(query.lower())]
    if members := CLASS_MEMBERS.get("_".join(words)):
        return " ".join(words), members
    classes = [ALLERGEN_CLASSES[name] for name in sorted(allergen_of_words(query).named_classes)]
    codes = frozenset[str]().union(*(allergen_class.members for allergen_class in classes))
    codes = codes.union(
        *(CLASS_MEMBERS[name] for allergen_class in classes for name in allergen_class.medication_classes)
    )
    return " and ".join(allergen_class.name for allergen_class in classes), codes


def _rules_of(words: str) -> set[str]:
    return {activated.rule.id for activated in rule_book().rules_for(identify_concept(CodeableConcept(text=words)))}


def _rows_about(
    medication: MedicationIdentity, rules: Iterable[str]
) -> tuple[tuple[RuleVersion, tuple[TableRow, ...]], ...]:
    """Return each of these rules whose knowledge is a table, with its rows about a drug, the gravest first."""
    about = []
    for rule in sorted(rules):
        version = all_rule_versions()[rule]
        if rows_of := family_named(version.table.family).rows.get(rule):
            rows = sorted(rows_of(medication), key=lambda row: (-SEVERITY.get(row.indicator or "info", 0), row.about))
            about += [(version, tuple(rows))] if rows else []
    return tuple(about)


_WANTED: Final = TypeAdapter(WantedAct)
MOST_BYTES: Final = 1_000_000
"""Of a form: a reviewed list of every rule has some 20,000."""
_NOT_NEEDED: Final = "in the development profile no approval counts and none is needed: nothing was recorded"
_NOBODY: Final = "people who have logged in approve and release, so set CDS_LOGIN: nothing was recorded"


def _wanted(form: Mapping[str, str], book: ApprovalBook) -> list[WantedAct]:
    """Return what a form asks for: one act, the approval of a batch, or of every rule of a reviewed list."""
    if form.get("kind") == BATCH:
        batch = next((batch for batch in rule_batches(book) if batch.version == form.get("version")), None)
        if batch is None:
            raise ApprovalRefused("these rules, or their approvals, have changed since the page was opened; look again")
        return [WantedAct("rule", rule, APPROVED, digest, form.get("why", "")) for rule, digest in batch.rules]
    if "reviewed" in form:
        return [WantedAct("rule", rule, APPROVED, digest, note) for rule, digest, note in read_review(form["reviewed"])]
    return [_WANTED.validate_python(form)]


class PublishedRow(Struct, frozen=True):
    """An artifact of published knowledge at this server, and whether its cards are shown."""

    kind: str
    name: str
    version: str
    state: str


def _published(served: Mapping[Key, str], releases: Releases) -> list[PublishedRow]:
    words = releases.current.words
    return [
        PublishedRow(kind, name, version, words.get(f"{kind} {name}", "computed and not shown"))
        for (kind, name), version in served.items()
        if kind == KNOWLEDGE
    ]


class DeclaredRow(Struct, frozen=True):
    """A service that the site declares: its words, what is missing of two approvals, and the form."""

    title: str
    words: str
    missing: str | None
    form: ActForm


def _declared(server: PageServer, book: ApprovalBook | None) -> list[DeclaredRow]:
    if book is None:
        return []
    rows, today = [], datetime.now(UTC).date()
    for advisor in (advisor for service in server.services.values() for advisor in service.advisors if advisor.words):
        digest = advisor.words_digest
        missing = book.why_not_approved("service", service_subject(advisor.id, digest), today)
        form = ActForm("service", advisor.id, digest, missing is not None, visiting().visitor is not None)
        rows.append(DeclaredRow(advisor.title, advisor.words, missing, form))
    return rows


BATCH: Final = "rules"
LEAST_OF_A_BATCH: Final = 5
"""So many rules that wait in the same way are one row."""


class RuleBatch(Struct, frozen=True):
    """The rules that wait in the same way: for a first person, or for another one after `by`; `version` is of them all.

    `changed` are those that two people approved in an earlier version.
    """

    rules: tuple[tuple[str, str], ...]
    """Id and digest of each."""
    families: tuple[tuple[str, int], ...]
    changed: tuple[str, ...]
    by: str = ""
    since: str = ""

    @property
    def version(self) -> str:
        """The digest of all of them in these versions."""
        return hashlib.sha256(repr(self.rules).encode()).hexdigest()[:12]


def rule_batches(book: ApprovalBook | None) -> list[RuleBatch]:
    """Return the rules that are not approved here, by who approved them first; a few of them are no batch."""
    if book is None:
        return []
    waiting: dict[str, list[tuple[RuleVersion, Statement | None]]] = {}
    for rule, version in all_rule_versions().items():
        approvals = book.approvals("rule", rule_subject(rule, version.digest))
        if len(approvals) < NEEDED:
            first = approvals[0] if approvals else None
            waiting.setdefault(first.person if first is not None else "", []).append((version, first))
    before = book.rules_approved()
    return [_batch(rows, before) for _, rows in sorted(waiting.items()) if len(rows) >= LEAST_OF_A_BATCH]


def _batch(rows: Sequence[tuple[RuleVersion, Statement | None]], before: Collection[str]) -> RuleBatch:
    first = rows[0][1]
    return RuleBatch(
        tuple(sorted((version.rule.id, version.digest) for version, _ in rows)),
        tuple(Counter(version.table.title for version, _ in rows).most_common()),
        tuple(version.rule.title for version, _ in rows if version.rule.id in before),
        first.signer if first is not None else "",
        first.at[:10] if first is not None else "",
    )


class WaitingRow(Struct, frozen=True):
    """Something that one person did and that does not count yet: by whom, and what is missing; `wanted` repeats it."""

    what: str
    by: Statement | Act
    note: str
    missing: str
    wanted: dict[str, str]


def _waiting(
    book: ApprovalBook | None, releases: Releases, server: PageServer, batches: Iterable[RuleBatch]
) -> list[WaitingRow]:
    """Return what one person did and another one has to; the approvals first."""
    if book is None:
        return []
    rows = []
    today = datetime.now(UTC).date()
    batched = {rule for batch in batches for rule, _ in batch.rules}
    for statement in book.everything():
        kind, subject = statement.kind, statement.subject
        if kind == "rule" and (subject["rule"] in batched or not _is_served(subject)):
            continue
        if kind == "service" and server.served.get((kind, subject["service"])) != subject["digest"]:
            continue
        missing = book.why_not_approved(kind, subject, today)
        if missing is not None:
            wanted = {"kind": kind, "state": APPROVED, **_version_of(statement, server.files)}
            rows.append(WaitingRow(words_of(kind, subject), statement, statement.note, missing, wanted))
    for act in releases.waiting_for_second():
        wanted = {name: f"{getattr(act, name)}" for name in ("kind", "state", "name", "version", "share")}
        rows.append(WaitingRow(act.words, act, act.why, "another person in another role does the same", wanted))
    return rows


def _is_served(rule: Subject) -> bool:
    """Return whether the rule of an approval is here in that version; no other one waits for anybody."""
    version = all_rule_versions().get(str(rule["rule"]))
    return version is not None and version.digest == rule["digest"]


def _version_of(statement: Statement, files: ModelFiles) -> dict[str, str]:
    """Return name and version of what was approved, as the forms name them."""
    subject = statement.subject
    version = waiver_version(subject) if statement.kind == "waiver" else str(subject["digest"])
    name = str(subject[statement.kind if statement.kind in ("rule", "service") else "model"])
    beside = f"{name}{VERSION_SIGN}{subject.get('version')}"
    return {"name": beside if files.folder(beside) else name, "version": version}


def _models(files: ModelFiles) -> tuple[Callable[[str], Release | None], Callable[[str], list[Subject]]]:
    def waivers(model: str) -> list[Subject]:
        release, card = files.release(model), files.card(model) or {}
        written = card.get("product", {}).get("waivers", [])
        return [waiver_subject(model, release.version, waiver) for waiver in written] if release is not None else []

    return files.release, waivers


LEAST_PREDICTIONS: Final = 500
LEAST_DAYS: Final = 7


def why_too_early(url: str, sha256: str, since: str, now: datetime) -> str | None:
    """Why a model that is in shadow since this ISO time should not show cards yet, in a sentence; None where it may.

    Raises:
        RecordUnavailable: The record cannot be read.
    """
    start = datetime.fromisoformat(since)
    days = (now - start.astimezone(UTC)).total_seconds() / 86_400
    if days < LEAST_DAYS:
        return f"it is in shadow for {days:.1f} of at least {LEAST_DAYS} days"
    wanted = DecisionFilter(since=int(start.timestamp() * 1e6), has_trials=False)
    computed = (decision for decision in find_decisions(url, wanted) if sha256.encode() in decision.models)
    count = sum(1 for _ in islice(computed, LEAST_PREDICTIONS))
    if count == LEAST_PREDICTIONS:
        return None
    return f"it computed {count} of at least {LEAST_PREDICTIONS} estimates in shadow"
