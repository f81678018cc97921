"""Pairs of drugs that labels name: the table, and the words of the one rule that reads it.

`pairs.csv` has in `a_key` and `b_key` ingredients (RxNorm) or classes, with `;` between them where one sentence holds
for several; `danger` is what the headline says and `cause` how one drug changes the other, which the detail says;
`ends` is which side the row asks to end or replace; `severity` is how it is shown (`start` is a warning for a new start
and information afterwards), `unless` what stays silent ("said": orders of which one has these words, "first_said" the
one of the first drug; "unsaid": orders that have not all of those between " & ", "unsaid_locally" with local forms);
`sources.csv` has the documents. A pair of which a rule of its own speaks does not stand here.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from typing import Final, cast

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from cards.card import HEADLINE_LENGTH, Indicator
from cards.rules.conditions.condition import (
    MEDICATION_LISTS,
    Truth,
    flag,
    one_of,
    with_value,
)
from cards.rules.engine.family import Family, Placeholder, TableRow
from cards.rules.language.rule import Asks, Evidence
from cards.rules.language.sources import class_of, country_of, dated, harms, is_lead, may_be_critical, pair_quotes
from cards.rules.patient.context import RuleContext
from cards.rules.patient.orders import CurrentMedication
from cards.text import capitalized
from fhir.mapping.medications.daily_dose import DailyDose
from fhir.mapping.medications.identity import MedicationIdentity, Order
from fhir.terminology.country import own_country
from fhir.terminology.medications import INGREDIENTS, classes_of
from fhir.terminology.package_tables import package_rows

_PACKAGE: Final = "cards.rules.families.pairs"
_FLUCONAZOLE: Final = "4450"
_DOSE: Final = re.compile(r"(from|over|always over|over or unknown|under or unknown) ([\d.]+) mg(?: a day)?")
"""The doses that a row is about, those of the drug on its first side; a loading dose is not over a dose a day, and what
is taken as needed is not always over it."""
_SAYS: Final = {
    "contraindicated": " is contraindicated: {}.",
    "avoid": ": {}. Avoid the pair.",
    "preferably": ": {}. Avoid the pair if possible.",
}
"""What follows on the names of the two drugs: the danger, then what to do; "preferably" is the word of a row whose
advice says how both are given all the same. Of any other word it is the advice itself."""
_NOT_TOGETHER: Final = frozenset({"contraindicated", "avoid", "preferably"})
"""The words of rows that say not to give the pair."""
_ENDS: Final = {"a": ("a",), "b": ("b",), "either": ("a", "b"), "neither": ()}
"""Which side a row asks to end or replace: "hold the statin for the course" ends neither."""
_SEVERITIES: Final = ("critical", "warning", "start", "info")


class Pair(Struct, frozen=True):
    """One row: the two drugs by ingredient or class, how it is shown, and what it is based on."""

    keys: frozenset[str]
    severity: str
    words: str
    danger: str
    cause: str
    advice: str
    ends: frozenset[str]
    unless: str
    evidence: Evidence
    first: str

    @property
    def says(self) -> str:
        """What the summary says after the names of the two drugs."""
        return _SAYS.get(self.words, ": {}.").format(self.danger)

    @property
    def advises(self) -> str:
        """What the detail says: the advice, and the way in which one drug changes the other where the row tells it."""
        return f"{capitalized(self.advice)}.{f' The cause is {self.cause}.' if self.cause else ''}"

    def ends_order(self, context: RuleContext) -> bool:
        """Whether the draft is one to end: if the pair is contraindicated, either drug, unless one is to be checked."""
        is_either = self.words == "contraindicated" and not self.advice.startswith("check ")
        return not self.ends.isdisjoint(self.keys if is_either else context.medication.keys)

    def is_meant(self, context: RuleContext, partner: CurrentMedication) -> bool:
        """Whether this patient is given none of the two in the way that the row leaves out."""
        drugs = (context.medication, partner.medication)
        how, _, words = self.unless.partition(" ")
        for drug in drugs:
            counts = how in ("local_too", "unsaid_locally") or (how == "on_skin" and _is_on_mucosa(drug))
            if drug.systemic is False and not counts:
                return False
        if how in ("said", "first_said", "unsaid", "unsaid_locally"):
            of_drug = self.first if how == "first_said" else ""
            said = (_says(context, partner, re.compile(part, re.IGNORECASE), of_drug) for part in words.split(" & "))
            return all(said) is how.startswith("unsaid")
        orders = ((context.medication, context.drafted.dose), (partner.medication, partner.dose))
        if self.unless == "injected":
            return not any(drug.is_injected for drug in drugs)
        if self.unless == "rescue":
            is_once = [dose.single for drug, dose in orders if drug.is_injected]
            return not is_once or not (any(is_once) or _says(context, partner, _SEIZURE, self.first))
        if self.unless == "injected_only":
            return all(drug.is_injected for drug in drugs)
        single_counts = self.unless != "single_fluconazole" and "cyp3a4_inhibitor_moderate" not in self.keys
        if not single_counts and any(drug.has(_FLUCONAZOLE) and dose.single for drug, dose in orders):
            return False
        if match := _DOSE.fullmatch(self.unless):
            doses = (dose for drug, dose in orders if drug.has(self.first))
            is_meant = any(_is_meant_dose(dose, self.first, match[1], float(match[2])) for dose in doses)
            return is_meant or (self.first == _METHOTREXATE and _says(context, partner, _HIGH_DOSE))
        if self.unless == "opioid_up_to_7_days":
            begun_lately = context.session.is_recent_start(partner.medication, 7.0)
            return "opioid" in partner.medication.keys and begun_lately is not True
        if self.unless == "draft_buprenorphine":
            return context.medication.has(_BUPRENORPHINE) and not partner.medication.has(_BUPRENORPHINE)
        if self.unless in _UP_TO_DAYS:
            born, as_of = context.session.record.birth_date, context.session.record.as_of_epoch
            return born is not None and born.whole_days(as_of) <= _UP_TO_DAYS[self.unless]
        return True


_SEIZURE: Final = re.compile(
    r"seiz|convuls|comitial|status epi|krampf|cris(?:e|is) (?:d['’e] ?)?[eé]pil", re.IGNORECASE
)
_HIGH_DOSE: Final = re.compile(r"high[- ]dose|\bhd-?mtx\b|\d ?m?g ?/ ?m(?:2|²)", re.IGNORECASE)
_METHOTREXATE: Final = "6851"
_BUPRENORPHINE: Final = "1819"


def _is_meant_dose(dose: DailyDose, rxcui: str, how: str, mg: float) -> bool:
    if how == "from":
        single = dose.per_dose_of(rxcui)
        return single is not None and single.high >= mg
    day = dose.daily(rxcui)
    if day is None:
        return how.endswith("or unknown")
    if how.startswith("under"):
        return day.low < mg
    return (day.low if how == "always over" else day.high) > mg and not dose.single


def _says(context: RuleContext, partner: CurrentMedication, pattern: re.Pattern[str], rxcui: str = "") -> bool:
    """Whether the words of one of the two orders, or of that of one drug, have what the pattern looks for."""
    orders = ((context.medication, context.drafted.order), (partner.medication, partner.order))
    said = (_words_of(drug, order) for drug, order in orders if not rxcui or drug.has(rxcui))
    return any(pattern.search(words) is not None for words in said)


def _words_of(drug: MedicationIdentity, order: Order) -> str:
    return " ".join([drug.words, *(dosage.text for dosage in order.dosageInstruction)])[:1000]


# A gel of the mouth, a vaginal form, what is inhaled and a depot in a joint reach the blood; the skin hardly lets pass.
_MUCOSA: Final = re.compile(
    r"\b(?:vagina\w*|oral|buccal|mouth|oromucosal|gel|pessar\w*|ovule|inhal\w*|nasal\w*|diskus|ellipta|respimat"
    r"|inhub|puffs?|intra-?articular|joint|knee|shoulder|hip|epidural|bursa|tendon|trigger point)\b",
    re.IGNORECASE,
)


def _is_on_mucosa(drug: MedicationIdentity) -> bool:
    return _MUCOSA.search(f"{drug.route} {drug.dose_form} {drug.words}") is not None


_UP_TO_DAYS: Final = {"from_29_days": 28.0, "from_1_year": 365.0}


def _read_pairs() -> Mapping[frozenset[str], tuple[Pair, ...]]:
    documents = {row.pop("id"): row for row in package_rows(_PACKAGE, "sources.csv")}
    pairs: dict[frozenset[str], tuple[Pair, ...]] = {}
    quotes = pair_quotes()
    for row in package_rows(_PACKAGE, "pairs.csv"):
        document = documents[row["source"]]
        section = row["section"] or document["section"]
        sides = (zip(row[name].split(";"), row[f"{name}_key"].split(";"), strict=True) for name in "ab")
        for (a, a_key), (b, b_key) in product(*sides):
            either = " or ".join(name for name, key in ((a, a_key), (b, b_key)) if key.isdigit() or row["section"])
            label = f"{capitalized(either)} label, section {section}" if row["section"] else document["label"]
            label = label.replace("Label,", f"{capitalized(either)} label,")
            evidence = msgspec.convert(
                {**document, "section": section, "label": label, "url": row["url"] or document["url"] or None}, Evidence
            )
            evidence = dated(evidence, row["read"])
            keys = frozenset((a_key, b_key))
            quote = quotes.get(keys, evidence)
            # A label of the own country stands before the quotes, which are of labels of the United States.
            is_own = country_of(f"{evidence.document} {evidence.organisation}") in own_country().holds_for - {"US"}
            is_closer = is_own and class_of(evidence) <= class_of(quote)
            evidence = quote if class_of(quote) <= class_of(evidence) and not is_closer else evidence
            if is_lead([evidence]):
                continue  # it waits on the page of what is to be read
            is_lower = row["severity"] == "critical" and not may_be_critical([evidence])
            severity, words = ("warning", "avoid") if is_lower else (row["severity"], row["words"])
            danger, cause, advice = (row[name].format(a=a, b=b) for name in ("danger", "cause", "advice"))
            if harm := harms().get({"{a} levels rise": a_key, "{b} levels rise": b_key}.get(row["danger"], "")):
                danger = f"{harm} ({danger})"
            danger = f"{danger}, it may fail" if danger.endswith(" levels fall") else danger
            ends = frozenset({"a": a_key, "b": b_key}[side] for side in _ENDS[row["ends"]])
            pair = Pair(keys, severity, words, danger, cause, advice, ends, row["unless"], evidence, a_key)
            pairs[keys] = (*pairs.get(keys, ()), pair)
    return pairs


PAIRS: Final = _read_pairs()
"""The rows by the two keys."""


def _pairs_by_one_key() -> Mapping[str, tuple[frozenset[str], ...]]:
    pairs: dict[str, list[frozenset[str]]] = {}
    for keys in PAIRS:
        for key in keys:
            pairs.setdefault(key, []).append(keys)
    return {key: tuple(of_key) for key, of_key in pairs.items()}


_BY_ONE_KEY: Final = _pairs_by_one_key()


def _pairs_with(medication: MedicationIdentity) -> Iterable[frozenset[str]]:
    return dict.fromkeys(keys for key in medication.keys for keys in _BY_ONE_KEY.get(key, ()))


def _named_beside(medication: MedicationIdentity) -> frozenset[str]:
    return frozenset().union(*(keys.difference(medication.keys) or keys for keys in _pairs_with(medication)))


def _pair_with(context: RuleContext, partner: CurrentMedication) -> Pair | None:
    return context.session.derive(
        ("pair-label", context.drafted.draft.name, partner.source), lambda: _worst(context, partner)
    )


def _by_danger(context: RuleContext) -> list[tuple[Pair, RuleContext]]:
    """The rows that speak, each with the partners of which it says the same: one danger is not said of all of them."""
    partners: dict[str, list[CurrentMedication]] = {}
    rows: dict[str, Pair] = {}
    for partner in context.partners:
        pair = _pair_with(context, partner)
        if pair is not None:
            rows.setdefault(pair.says + pair.advises, pair)
            partners.setdefault(pair.says + pair.advises, []).append(partner)
    return [(pair, replace(context, partners=tuple(partners[says]))) for says, pair in rows.items()]


def _worst(context: RuleContext, partner: CurrentMedication) -> Pair | None:
    keys = product(*(filter(_BY_ONE_KEY.get, drug.keys) for drug in (context.medication, partner.medication)))
    rows = (row for both in keys for row in PAIRS.get(frozenset(both), ()) if row.is_meant(context, partner))
    # Of two as severe, the row that names both drugs stands before that of a class.
    return min(
        rows,
        key=lambda row: (_SEVERITIES.index(row.severity), not row.keys <= INGREDIENTS.keys()),
        default=None,
    )


def _label_pair(severity: str, context: RuleContext) -> Truth:
    pair = _pair_with(context, context.partners[0]) if context.partners else None
    return pair is not None and pair.severity == severity


def _summary(context: RuleContext) -> str | None:
    rows = _by_danger(context)
    if not rows:
        return None
    pair, same = rows[0]
    names = same.partner_names()
    ours_name = _own_name(pair, context)
    summary = f"{ours_name} with {' and '.join(names)}{pair.says}"
    if len(names) > 1 and (len(names) > 2 or len(summary) > HEADLINE_LENGTH):
        summary = f"{ours_name} with {names[0]} and {len(names) - 1} more{pair.says}"
    with_advice = f"{summary} {_advice(pair, same).partition(' The cause is ')[0]}"
    return summary if pair.words in _SAYS or len(with_advice) > HEADLINE_LENGTH else with_advice


def _own_name(pair: Pair, context: RuleContext) -> str:
    drugs = context.medication.ingredients
    ours = (drug for drug in drugs if not pair.keys.isdisjoint({drug.rxcui, *classes_of((drug,))}))
    return next(ours, context.ingredient).name


def _detail(context: RuleContext) -> str | None:
    rows = _by_danger(context)
    if not rows:
        return None
    first, *others = rows
    told = [_advice(*first)]
    for pair, same in others:
        advice = _advice(pair, same)
        if pair.cause == first[0].cause:
            advice = advice.removesuffix(f" The cause is {pair.cause}.")
        told.append(f"With {' and '.join(same.partner_names())}{pair.says} {advice}")
    return " ".join(told)


def _advice(pair: Pair, context: RuleContext) -> str:
    """Return what the row advises, for the draft first; "the inducer" and "the inhibitor" by its name."""
    drugs = (context.medication, *(partner.medication for partner in context.partners))
    advice = pair.advises
    is_other = pair.ends.isdisjoint(context.medication.keys) and pair.ends_order(context)
    if is_other and "calcineurin_inhibitor" not in context.medication.keys:  # a transplant can depend on it
        advice = f"Replace {_own_name(pair, context)}, or {advice[0].lower()}{advice[1:]}"
    for words, part in (("the inducer", "inducer"), ("the inhibitor", "cyp3a4_inhibitor")):
        names = {drug.name for drug in drugs if any(part in one for one in classes_of(drug.ingredients))}
        advice = advice.replace(words, names.pop()) if len(names) == 1 else advice
    return advice


def _asks(context: RuleContext) -> Asks:
    return "end" if all(pair.ends_order(context) for pair, _ in _by_danger(context)) else "change"


def _forbids(context: RuleContext) -> bool:
    """Whether a row says not to give the pair, and the rows ask to end the draft or the gravest contraindicates it."""
    words = [pair.words for pair, _ in _by_danger(context)]
    is_asked = words[:1] == ["contraindicated"] or _asks(context) == "end"
    return is_asked and not _NOT_TOGETHER.isdisjoint(words)


def _ends_draft(context: RuleContext) -> Truth:
    return any(pair.ends_order(context) for pair, _ in _by_danger(context))


def _evidence(context: RuleContext) -> tuple[Evidence, ...]:
    return tuple(dict.fromkeys(pair.evidence for pair, _ in _by_danger(context)))


def _pairs_of(medication: MedicationIdentity) -> int:
    return sum(len(PAIRS[keys]) for keys in _pairs_with(medication))


def _rows_of(medication: MedicationIdentity) -> Iterator[TableRow]:
    for keys, pairs in PAIRS.items():
        if own_keys := keys.intersection(medication.keys):
            partner = next(iter(keys - own_keys), min(keys))
            name = INGREDIENTS[partner].name if partner in INGREDIENTS else partner.replace("_", " ")
            for pair in pairs:
                indicator = cast("Indicator", "warning" if pair.severity == "start" else pair.severity)
                says = f"{capitalized(pair.says.lstrip(': '))} {pair.advises}"
                yield TableRow(f"with {name}", says, pair.evidence, indicator)


def _nothing_found(_rule: str, _context: RuleContext) -> tuple[str, str]:
    return "no-pair", "no row names the drugs that are taken with it."


LABEL_PAIR = with_value(
    "label_pair",
    one_of(*_SEVERITIES),
    _label_pair,
    "a row of pairs.csv ({}) names the two drugs".format,
    "a row of pairs.csv of this severity names the draft and the partner",
    frozenset({"active"}),
    needs=MEDICATION_LISTS,
)

ENDS_DRAFT = flag(
    "label_pair_ends_draft",
    _ends_draft,
    "the row of pairs.csv asks to end or replace the drafted drug",
    frozenset({"active"}),
    needs=MEDICATION_LISTS,
)

FAMILY = Family(
    "pairs",
    placeholders={"pair_summary": Placeholder(_summary, "x" * 130), "pair_detail": Placeholder(_detail, "x" * 120)},
    conditions=(LABEL_PAIR, ENDS_DRAFT),
    evidence={"pair-label": _evidence},
    covers={"pair-label": _pairs_of},
    partners={"pair-label": _named_beside},
    rows={"pair-label": _rows_of},
    nothing_found=_nothing_found,
    asks=_asks,
    forbids=_forbids,
)
