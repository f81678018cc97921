"""The typed form of a medication rule as its file declares it.

The file is JSON. `{"use": NAME}` in a list of suggestions, missing-data entries or reasons to stay silent stands for
the family's shared entry of that name, `{"named": NAME}` for a shared condition. The form is documented in
docs/rules/README.md and checked by these types; what types cannot see is checked by
cards/rules/engine/lint.py.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import reduce
from operator import getitem
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Struct

from cards.card import WebAddress
from fhir.record.refusals import describe_decoder_error
from fhir.terminology.package_tables import package_rows

BandIndicator = Literal["silent", "info", "warning", "critical"]
Asks = Literal["end", "change", "steps"]
"""What a finding asks for: an end of the drug; another dose, a value or watching instead; an end or a lower dose in
steps."""
Forbids = Literal["yes", "no"]
Verification = Literal["source read", "search", "knowledge", "needs label check"]


T = TypeVar("T")
Basis = Annotated[str, Meta(pattern="^(label|guideline|consensus|payer|regulator|study|reference|policy|package)$")]
Text = Annotated[str, Meta(min_length=1)]
Day = Annotated[str, Meta(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
Code = Annotated[str, Meta(pattern="^([0-9]+|atc-[A-Z0-9]+|cvx-[0-9]+)$")]
Label = Annotated[str, Meta(min_length=1, max_length=80)]
Summary = Annotated[str, Meta(min_length=1, max_length=139)]
Some = Annotated[tuple[T, ...], Meta(min_length=1)]
Positive = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]
Path: TypeAlias = tuple[str | int, ...]
"""Where something stands in a family's table: member names and positions, ("rules", 3, "bands", 0, "when")."""


class RuleError(ValueError):
    """A rule that cannot be used. `text` says what is wrong, `path` where, from the part that was being read."""

    what_cannot_be_used: ClassVar[str] = "A medication rule"
    """How a command that it ends begins its sentence."""

    def __init__(self, text: str, path: Path = ()) -> None:
        super().__init__(text)
        self.text = text
        self.path = path


@contextmanager
def within(*path: str | int) -> Iterator[None]:
    """Whatever is wrong inside is a RuleError under this path."""
    try:
        yield
    except RuleError as error:
        raise RuleError(error.text, (*path, *error.path)) from error
    except KeyError as error:
        raise RuleError(f"{error.args[0]!r} is missing", path) from error
    except (ValueError, TypeError) as error:
        raise RuleError(str(error), path) from error


CANCEL_ORDER, STOP_ORDER = "Cancel this order", "Stop this order"
"""The label of a suggestion that removes a draft, and the one that it has where the order is active already."""


_LONGEST_LIST = 200
"""Of longer lists of allowed values an error names none."""
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")


def typed(value: Any, kind: type[T], *path: str | int) -> T:
    """Return what a file says as this type. RuleError with the path of the part that is not of its form."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        text, _, location = str(error).partition(" - at `$")
        steps = [step[1] or int(step[2]) for step in _STEP.finditer(location)]
        member = reduce(getitem, steps, value)
        if text.startswith("Invalid enum value"):
            allowed = describe_decoder_error(error, of=kind, came=value)
            text = allowed if len(allowed) <= _LONGEST_LIST else text
        elif isinstance(member, str | int | float):
            received = f"; received {member!r}"
            wanted = describe_decoder_error(error).partition("; received ")
            text = f"{wanted[0]}{received}" if wanted[1] else f"{text}{received}"
        raise RuleError(text, (*path, *steps)) from error


class Declared(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Ground of the declared things: a misspelt member stops the start."""


SET_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DOI = (re.compile(r"\bdoi:? (10\.\d{4,9}/[^\s,;]+?)(?=[,;)]*(?:\s|$))"), "https://doi.org/")
_AT_DAILYMED = (SET_ID, "https://dailymed.nlm.nih.gov/dailymed/drugInfo.cfm?setid=")
_HOST = re.compile(r"https://(?:www\.)?([\w.-]+)/")
_HOSTS = {row["host"]: row["of"] for row in package_rows(__package__, "link_hosts.csv")}


class Evidence(Declared, frozen=True):
    """A document that a rule is based on; `label` is what a card cites, `url` stands only where it is really known.

    `rxcui`: the drug whose label it is, where it was read for the rule (label_quotes.csv).
    """

    document: Text
    organisation: Text
    year: Text
    section: Text
    label: Annotated[str, Meta(min_length=1, max_length=120)]
    grade: Text
    grade_scheme: Text
    basis: Basis
    url: WebAddress | None = None
    rxcui: Code | None = None

    @property
    def link(self) -> str | None:
        """The address that a card shows, by the document's set id or DOI or at its publisher; None of a mere copy."""
        is_official = self.basis in ("label", "regulator")
        pattern, place = _AT_DAILYMED if is_official else _DOI
        numbers = set(pattern.findall(self.document))
        if len(numbers) == 1:
            return f"{place}{numbers.pop()}"
        host = _HOST.match(self.url or "")
        is_at_authority = host is not None and _HOSTS.get(host[1]) == "authority"
        return self.url if is_at_authority or not is_official else None


class Drug(Declared, frozen=True):
    """An ingredient or a product by its RxNorm code."""

    rxcui: Code
    name: Text


class DeclaredSelector(Declared, frozen=True):
    """A drug selector: any of the ingredients, any of the classes (or `any_drug`), narrowed by the rest.

    `washout_days`, of a pair's side only: it counts so long after its end, where the end is known.
    """

    ingredients: Some[Drug] = ()
    classes: Some[Text] = ()
    exclude_classes: Some[Text] = ()
    systemic: bool | None = None
    route: (
        Literal[
            "oral",
            "injected",
            "not injected",
            "intrathecal",
            "epidural",
            "intravenous",
            "pushed",
            "subcutaneous",
            "intramuscular",
            "sublingual",
        ]
        | None
    ) = None
    dose_form_any: Some[Text] = ()
    washout_days: Annotated[float, Meta(gt=0, le=35)] | None = None
    any_drug: bool = False


class Trigger(Declared, frozen=True):
    """Which drafts the rule is asked about.

    One that any of `draft` selects; or a drug of one side of `pair` where a drug of the other side is taken or
    drafted, one finding for all partners of the worst band.

    Or an ordered study or test of one of the groups `tests` (fhir/mapping/studies.py).

    Local forms never do unless the selector says `"systemic": false`, or the trigger `local_forms`. With
    `same_ingredient` the partners of a draft are what else holds an ingredient of it, with `same_class` what else is of
    a class that the selectors name; of the latter there is nothing to say without a partner.

    With `stops` the rule is asked about drafts that end or withhold such a drug, and never about those that order it.
    """

    draft: Some[DeclaredSelector] = ()
    pair: tuple[tuple[DeclaredSelector, ...], ...] = ()
    tests: Some[Text] = ()
    local_forms: bool = False
    same_ingredient: bool = False
    same_class: bool = False
    stops: bool = False


class Sig(Declared, frozen=True):
    """How a drug is to be taken; without a dose only the text is given and the dose is left to the clinician.

    `dose_share` is a part of the drafted dose, in the unit in which that was written; `times_per_week` on `weekday`;
    `is_written`: the text is put into the order also where that had none.
    """

    text: Text
    dose_mg: float | None = None
    dose_share: Annotated[float, Meta(gt=0, le=1)] | None = None
    times_per_week: Count | None = None
    weekday: Annotated[str, Meta(pattern="^(mon|tue|wed|thu|fri|sat|sun)$")] | None = None
    is_written: bool = False
    dose_mg_high: float | None = None
    times_per_day: Count | None = None
    every_hours: Count | None = None
    when: Literal["HS", "CM", "CD", "CV"] | None = None
    as_needed: bool = False
    once: bool = False
    max_mg_per_day: float | None = None


class Product(Declared, frozen=True):
    """A product to order.

    It has the strength of one unit in mg (None: an ingredient, the product is left to the clinician) and says whether
    it releases slowly.
    `source` says where the code is from when it is not in fhir/terminology/tables/orderables.csv.
    """

    rxcui: Code
    name: Text
    strength_mg: Positive | None = None
    slow_release: bool = False
    source: str | None = None


class DosePart(Declared, frozen=True):
    """A part of the drafted dose, at the same times: the greatest multiple of `step_mg` that is at most that share.

    Not offered where that is under `least` of the drafted dose, or where that dose is not exactly known.
    """

    most: Positive
    least: Positive
    step_mg: Positive


class OrderChange(Declared, frozen=True):
    """What is changed in the draft; everything else in it stays.

    A `product` replaces the draft's unless that has the same strength; one of `products_if_split` only where the new
    dose would be a part of the draft's unit. `duration_days` is that of the whole course: there are no refills;
    `start_in_hours` counts from the instant of the call.
    `test` is the code of the study or test that is ordered instead, in a draft that orders one.
    `computed` names the family's function that works the change out for this draft; the rest stays empty then. It may
    give a `second` instruction beside the first: 400 mg and 200 mg on alternate days; of a study or test the day
    (`occurrence`, an ISO date); and a `label` that says what was worked out. Only a change that `raises` may give more
    a day than was ordered: one dose too few a day, a dose under the label's.
    """

    sig: Sig | None = None
    second: Sig | None = None
    part: DosePart | None = None
    product: Product | None = None
    products_if_split: tuple[Product, ...] = ()
    duration_days: Count | None = None
    start_in_hours: Count | None = None
    test: "LabOrder | None" = None
    occurrence: str | None = None
    label: str | None = None
    computed: str | None = None
    raises: bool = False

    @property
    def writes_dose(self) -> bool:
        """Whether it says how much is taken or how often."""
        return self.sig is not None or self.part is not None or self.product is not None

    @property
    def is_of_study(self) -> bool:
        """Whether it changes an order of a study or test, not of a medication."""
        return self.test is not None or self.occurrence is not None


class NewOrder(Declared, frozen=True):
    """A medication order to create."""

    product: Product
    sig: Sig


class LabOrder(Declared, frozen=True):
    """A test to order, `in_days` from now, where `only_if` holds; panels that `answered_by` names hold it too."""

    loinc: Annotated[str, Meta(pattern="^[0-9]+-[0-9]$")]
    name: Text
    in_days: int = 0
    answered_by: tuple[str, ...] = ()
    only_if: Any = None


class SuggestionTemplate(Declared, frozen=True, kw_only=True):
    """What can be offered: some of removing or holding the draft, changing it, another order instead, a test.

    Of several orders to `create` the first one that no rule objects to is offered. `from_estimate` marks a dose that
    is derived from an estimate of kidney function: it is not offered while that is unstable or on dialysis. `answers`
    says where its tests and added medications may already stand so that the finding has been answered and is not shown:
    among the drafts of this session ("draft"), or also among the active orders of the record ("any"). `stop_partner`
    and `change_partner` are about the order on the other side of a pair; such a suggestion is never preselected.
    `active_label` is its label where the order is active already, at discharge: that order is stopped, not canceled.
    `in_steps`: its change is a step towards what the finding asks for in steps.
    `id` is accepted and not used: rule files of hospitals had it, and it stands first so that their versions stay.
    """

    id: str | None = None
    label: Label
    active_label: Label | None = None
    cancel: bool = False
    hold: bool = False
    change: OrderChange | None = None
    stop_partner: Literal["stopped", "on-hold"] | None = None
    change_partner: OrderChange | None = None
    create: Some[NewOrder] = ()
    orders: Some[LabOrder] = ()
    recommended: Any = False
    only_if: Any = None
    from_estimate: bool = False
    answers: Literal["", "draft", "any"] = ""
    in_steps: bool = False

    def label_of(self, *, is_active: bool) -> str:
        """Return the label of an order that is a draft or, with `is_active`, is active already (at discharge)."""
        if not is_active:
            return self.label
        return self.active_label or (STOP_ORDER if self.only_removes else self.label)

    @property
    def takes_draft_away(self) -> bool:
        """Whether the draft is no longer to be given after it: removed, or put on hold."""
        return self.cancel or self.hold

    @property
    def acts_on_hazard(self) -> bool:
        """Whether it changes what the patient gets. A test alone does not."""
        acts = self.takes_draft_away or self.change is not None or self.change_partner is not None
        return acts or self.stop_partner is not None or bool(self.create)

    @property
    def keeps_draft(self) -> bool:
        """Whether it changes or adds something with which the draft is given."""
        return self.acts_on_hazard and not self.takes_draft_away

    @property
    def only_removes(self) -> bool:
        """Whether it removes the draft and orders nothing in its place."""
        return self.cancel and not self.create


class Band(Declared, frozen=True):
    """One step of a rule.

    `unsure_summary` is said instead of `summary` when the facts are old or contradict; `cites` are the positions of the
    rule's evidence that this band is based on, the first one named as the card's source (none given: all of it).
    A drug that is taken already gets no button that ends it where the band `asks` for a "change", and none that lowers
    its dose at once where it asks for "steps" and the drug is tapered. With `unsure_summary` it asks for a "change".
    `forbids`: whether the order as it is written is not to be given, so that no other finding about it offers a dose or
    an addition with which it would be given. Where it is not said, a critical band that asks for an end forbids it,
    as long as nothing makes it a warning.
    A child's card leaves out what stands in [brackets] in its texts, which are the amounts of adults, unless the
    condition asks for the age or the amounts are `for_every_age`.
    """

    id: Annotated[str, Meta(pattern="^[a-z0-9_]+$")]
    when: Any
    indicator: BandIndicator
    summary: Summary = ""
    detail: str = ""
    unsure_summary: Summary | None = None
    cites: Some[Annotated[int, Meta(ge=0)]] = ()
    suggestions: tuple[SuggestionTemplate, ...] = ()
    asks: Asks = "end"
    forbids: Forbids | None = None
    for_every_age: bool = False

    @property
    def forbids_order(self) -> bool:
        """Whether the order as it is written is not to be given."""
        return self.forbids == "yes" if self.forbids else self.indicator == "critical" and self.asks == "end"


class SilentWhen(Declared, frozen=True):
    """A reason to keep quiet. Without `when` it says in words what the bands already do.

    `instead` "info": the finding is shown, as info only, with the text beside it; "warning": the same, as a warning
    where it would be critical.
    """

    code: Annotated[str, Meta(pattern="^[a-z_0-9]+$")]
    text: Text
    when: Any = None
    except_bands: Some[Text] = ()
    instead: Literal["silence", "info", "warning"] = "silence"


class MissingData(Declared, frozen=True):
    """The text that is shown when a band named in `bands` cannot be decided and `when` holds.

    `bands` ["critical"] means every critical band of the rule; info unless `indicator` says otherwise.
    """

    id: str
    when: Any
    bands: Some[Text]
    summary: Summary
    detail: Text
    suggestions: tuple[SuggestionTemplate, ...] = ()
    indicator: Literal["info", "warning"] = "info"


class Question(Declared, frozen=True):
    """A condition that no request carries, put to the clinician as a question when `when` holds."""

    text: Text
    when: Any


class Audit(Declared, frozen=True):
    """How the rule was checked and by what, and how our wording of it differs from the file it came from."""

    verified: Verification
    source: Text
    date: Day
    differs: str | None = None


class Rule(Declared, frozen=True):
    """One medication rule. Bands are read from top to bottom, the first that is true wins.

    `quiet_days`: for how long a clinician's answer to a finding counts, where that is shorter than usual. A finding of
    the rule has no line of its own where one of `yields_to` (a rule, or "rule/band") is found about the same order and
    is no milder. `covers_use` is false for single interactions, programs, pregnancy and breastfeeding: who checks only
    these has not checked the drug's use.
    `template`: the name of the file, of a rule that stands for a row of a table (cards/rules/language/table.py).
    """

    id: Annotated[str, Meta(pattern="^[a-z]+(-[a-z0-9_]+)+$")]
    title: Text
    priority: Annotated[int, Meta(ge=0, le=99)]
    trigger: Trigger
    evidence: Some[Evidence]
    audit: Audit
    bands: Some[Band]
    silent_when: Some[SilentWhen] = ()
    missing_data: tuple[MissingData, ...] = ()
    questions: tuple[Question, ...] = ()
    quiet_days: Annotated[int, Meta(ge=1, le=90)] | None = None
    yields_to: Some[Text] = ()
    template: str | None = None
    covers_use: bool = True


class DeclaredOverrideReason(Declared, frozen=True):
    """A reason that a clinician may give for going on."""

    code: Text
    display: Text


class RuleTable(Declared, frozen=True):
    """A family of rules.

    `when_unsure` is offered first where a finding is based on old or contradicting values; `unstable_summary` is said
    instead of the summary of a band that changes a dose while kidney function is unstable. Rules `for_review` are about
    what is taken already: only a medication review asks them, never an order.
    """

    family: Annotated[str, Meta(pattern="^[a-z]+$")]
    title: Text
    reviewed: Day
    status: Text
    source: Text
    override_reasons: Some[DeclaredOverrideReason]
    rules: tuple[Rule, ...]
    when_unsure: SuggestionTemplate | None = None
    unstable_summary: Summary | None = None
    for_review: bool = False
