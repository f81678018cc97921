"""A family of rules: what its module declares beside its rules, and how the families are found."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.resources import files
from operator import attrgetter
from typing import Generic, NamedTuple, TypeVar

from msgspec import Struct

from cards.card import Indicator
from cards.rules.conditions.condition import Condition, Vocabulary, common_vocabulary
from cards.rules.language.rule import Asks, Evidence, OrderChange
from cards.rules.language.site import SITE, site_folders
from cards.rules.patient.context import RuleContext
from fhir.mapping.medications.identity import MedicationIdentity
from models_onnx.declarations import find_declared

_FAMILIES = "cards.rules.families"
T = TypeVar("T")

Fill = Callable[[RuleContext], str | None]
"""The text for a {name} of a template in this context; None when it is not known."""
Gap = Callable[[RuleContext], tuple[str, str] | None]
"""Why a fact is not known: reason code and sentence, None when it is known."""
Correction = Callable[[RuleContext], OrderChange | None]
"""Works out a change for this draft; None where none can be offered."""
NothingFound = Callable[[str, RuleContext], tuple[str, str]]
"""What is said where no band of a rule (its id) matches: reason and sentence."""
NotCompared = Callable[[str, RuleContext], tuple[str, str] | None]
"""What a rule (its id) that found nothing could not compare: reason and sentence, None where it compared all."""
Coverage = Callable[[MedicationIdentity], int]
"""How many rows of a rule's knowledge table are about a medication in its form and by its route."""
Ages = Callable[[MedicationIdentity], tuple[range, ...]]
"""The ages in years of the rows of a rule's knowledge table about a medication; empty where they are for every age."""
Partners = Callable[[MedicationIdentity], frozenset[str]]
"""The ingredients and classes that the rows of a rule's knowledge table name beside a medication."""
RowEvidence = Callable[[RuleContext], tuple[Evidence, ...]]
"""The sources of the row of a knowledge table that decided; empty where the rule's own evidence is meant."""


AnyFill = TypeVar("AnyFill", bound=Callable[..., str | None])


class Placeholder(NamedTuple, Generic[AnyFill]):
    """What fills a {name} of a template, and the longest text that it becomes, with which the lint fills summaries."""

    fill: AnyFill
    longest: str | None = None


def written(read: Callable[[RuleContext], T | None], write: Callable[[T], str]) -> Fill:
    """Return the text that is written of what is read in a context; None where nothing is there to read."""

    def word(context: RuleContext) -> str | None:
        value = read(context)
        return write(value) if value is not None else None

    return word


def for_drug(texts: Mapping[str, str]) -> Fill:
    """Return what is to be said of the draft and the other drugs of a pair, by name, and of no other drug of a class.

    "" where nothing is.
    """

    def word(context: RuleContext) -> str:
        names = dict.fromkeys((*context.side_names(0), *context.side_names(1), context.ingredient.name))
        return " ".join(texts[name] for name in names if name in texts)

    return word


class TableRow(Struct, frozen=True):
    """One row of a rule's knowledge table in words: for whom or with what, what it says, its severity and source."""

    about: str
    says: str
    evidence: Evidence
    indicator: Indicator | None = None


TableRows = Callable[[MedicationIdentity], Iterable[TableRow]]
"""The rows of a rule's knowledge table about a medication."""


@dataclass(frozen=True)
class Family:
    """A family: its name, which is that of its folder, and what only it uses, declared by its module `family.py`.

    `placeholders` fill its texts. `conditions` are its own words of conditions; `gaps` says for a kind of fact (a name
    in `uses`) of its own why it is not known; `changes` are the functions that a change may name as `computed`. Where
    the knowledge of a rule is a table, `evidence` gives by the rule's id what the row is based on that decided.
    `covers` counts, by the rule's id, the rows of that table about a medication: what no row is about is not said to
    have been looked for. `ages` gives the ages in years of these rows, where they are not for every age. `partners`
    gives for a rule about pairs what these rows name beside the medication; beside other drugs it finds nothing.
    `rows` gives these rows in words, for the page of a drug.
    `nothing_found` is for rules that compare no limit: what they say where they have nothing to report.
    `not_compared` says where a rule that found nothing had no limit for the patient.
    `asks` says by the row of a table that decided what a finding asks for, `forbids` whether it forbids the order; of a
    family without them the band says so.
    """

    name: str
    placeholders: Mapping[str, Placeholder[Fill]] = field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()
    gaps: Mapping[str, Gap] = field(default_factory=dict)
    changes: Mapping[str, Correction] = field(default_factory=dict)
    evidence: Mapping[str, RowEvidence] = field(default_factory=dict)
    covers: Mapping[str, Coverage] = field(default_factory=dict)
    ages: Mapping[str, Ages] = field(default_factory=dict)
    partners: Mapping[str, Partners] = field(default_factory=dict)
    rows: Mapping[str, TableRows] = field(default_factory=dict)
    nothing_found: NothingFound | None = None
    not_compared: NotCompared | None = None
    asks: Callable[[RuleContext], Asks] | None = None
    forbids: Callable[[RuleContext], bool] | None = None

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The words that its conditions may use: the common ones and its own."""
        return common_vocabulary().extended(self.conditions)


@cache
def rule_families() -> tuple[Family, ...]:
    """Every family: each is a folder of cards/rules/families with a `family.json`, the last ones the hospital's own.

    Its module `family.py` declares FAMILY where it needs more than the common words; most rules do not.

    Raises:
        DeclarationError: a module `family.py` declares no family, or two families have one name.
    """
    declared = find_declared(_FAMILIES, "FAMILY", Family, id_of=attrgetter("name"), inner="family")
    folders = {folder.name for folder in files(_FAMILIES).iterdir() if folder.joinpath("family.json").is_file()}
    names = folders | set(declared) - {SITE} | set(site_folders())
    return tuple(declared.get(name) or Family(name) for name in sorted(names))


def family_named(name: str) -> Family:
    """Return the family of this name; policies of payers, which are not a family, have the common words alone."""
    return {rule_family.name: rule_family for rule_family in rule_families()}.get(name) or Family(name)
