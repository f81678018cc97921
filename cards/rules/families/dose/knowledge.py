"""The dose knowledge: maximum doses, recommended maxima that catch ten-fold errors, and their sources, read once.

`limits.csv` holds maximum doses by form, age, condition and setting; an empty cell does not narrow the row. `is_firm`
"no": the source gives a target or a usual dose, and what goes over it is information, unless it is far over.
`labelled_from` is the age in years under which the source says that the drug is not for children.

`leads.csv` has what was read on other pages than labels (`page` names the page) and waits for a label: only a dose five
times over one of its rows (four times for each kilogram) is told, as an alarm by plausibility that cites no such page
(`ALARM`). It has the same columns, and `route` (empty: every one but an injection), `population` ("first order": the
drug was not taken before; "continued": more than one dose; "daily": on most days and not once a cycle; "one dose":
given in doses, since a drip is a bag and no dose; "drip": ordered by a rate; "drip start": the rate with which it
begins), weights, and amounts of a week. None of its rows is firm; "narrow" begins to be far over earlier, because the
drug is seldom given in more; "wide" later, because some uses of the drug reach twice what the source says, as does
"usual", an adult's amount of a day of which nothing is told up to that; "alarm" tells nothing but a dose of
`ten_fold_from` and more, because the source has a usual dose and no maximum.

`label_limits.csv` has rows of labels by route ("local": what acts where it is put), weight and population, in
milligrams, units, mEq, or puffs, drops and grams of the product (`unit`), and of the rate of an infusion (`max_hourly`;
by weight in `limits.csv`) and of one dose for each square metre of body surface (`max_single_m2`); `set_id` is that of
the label in DailyMed, `section` where it says so (empty: section 2), `quote` its words with the number; `page` names a
copy of a label that was read. `ten_fold_from` is ten times a usual dose. `without_taken` are ingredients and classes
beside which a row does not hold, `setting` words of words.csv that the order must have, or ("not anesthesia") must not.
`plausibility.csv` and `plausibility_more.csv` hold FDA's recommended maximum in mg a day at 60 kg; `left_out` says why
a row is not used. `lifetime.csv` holds the doses of a lifetime, `sources.csv` the documents.
"""

import re
from collections.abc import Mapping
from math import inf
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from cards.rules.language.rule import Evidence, RuleError
from cards.rules.language.site import site_head, site_rows
from cards.rules.language.sources import dated, is_lead, label_evidence
from fhir.terminology.caching import remembered
from fhir.terminology.package_tables import package_rows

_PACKAGE = "cards.rules.families.dose"
_OLDEST = 200
ADULT_YEARS = 18
"""The age in years from which limits are those of adults."""


DRIPS: Final = frozenset({"drip", "drip start"})
"""The populations of rows about what runs by a rate."""


class Limit(Struct, frozen=True):
    """One row of limits.csv: for whom it holds, and the most in one dose or in a day, in mg or in mg/kg."""

    drug: str
    rxcui: str
    route: str
    form: str
    population: str
    ages: range
    """Completed years."""
    condition: str
    without_condition: str
    setting: str
    weight_from_kg: float | None
    weight_to_kg: float | None
    most: float
    per_dose: bool
    per_kg: bool
    per_week: bool
    is_firm: bool
    is_narrow: bool
    is_wide: bool
    labelled_from: int | None
    note: str
    source: str
    page: str
    unit: str = "mg"
    """ "unit" and "meq" for a dose without mass; "actuation", "drop" and "g" are numbers and grams of the product."""
    without_taken: tuple[str, ...] = ()
    per_hour: bool = False
    """A rate: one dose by the hours over which it runs."""
    per_area: bool = False
    """For each square metre of body surface."""
    is_lead: bool = False
    """Read on a page that is neither a label nor a guideline: it waits, and only a dose far over it is told."""
    set_id: str = ""
    """The label in DailyMed that holds `quote`, with the number in it; empty: `page` names the copy that was read."""
    section: str = ""
    """Where in the label `quote` stands; empty: section 2, dosage and administration."""
    label_of: str = ""
    """The drug whose label was read, where it is another one of the class."""
    quote: str = ""
    is_alarm: bool = False
    """The source gives a usual dose alone: nothing is told but ten times that, as an alarm by plausibility."""
    is_usual: bool = False
    """An adult's usual amount of a day that some uses of the drug reach twice: nothing is told up to that."""
    ten_fold_from: float | None = None
    """Ten times the usual dose of the source, which an error of unit or decimal point makes."""

    @property
    def is_usual_start(self) -> bool:
        """Whether it is an adult's usual first dose that no label makes a limit: many have taken more for years.

        Where no other row of the drug is about adults it is all that is known of a dose that cannot be meant.
        """
        is_limit = self.is_firm or self.is_alarm or self.is_wide or (self.is_narrow and not self.is_lead)
        if is_limit or self.population != "first order" or not self.is_for_adults:
            return False
        return any(row.is_for_adults and row.population != "first order" for row in LIMITS[self.rxcui])

    @property
    def is_of_drips(self) -> bool:
        """Whether it limits what runs into a vein: a rate, or a day of what is injected."""
        is_of_day = self.route in ("injected", "intravenous") and not (self.per_dose or self.per_hour or self.per_week)
        return self.population in DRIPS or is_of_day

    @property
    def is_for_adults(self) -> bool:
        """Whether it holds for adults: an adult's maximum is not a child's dose, but more is too much."""
        return ADULT_YEARS in self.ages


class PlausibleDose(Struct, frozen=True):
    """One row of plausibility.csv: FDA's recommended maximum in mg a day."""

    drug: str
    recommended_mg_day: float


def _rows(name: str) -> list[dict[str, str]]:
    return package_rows(_PACKAGE, name)


_SITE_SOURCE = "site"
_READ: Final = "2026-11-28"
"""When the labels of label_limits.csv were read."""


def _evidence_of_site() -> dict[str, Evidence]:
    """Return what the hospital's own maximum doses are based on: the hospital."""
    hospital = site_head().get("hospital")
    if hospital is None:
        return {}
    label = f"{hospital}: own maximum doses"
    return {_SITE_SOURCE: Evidence(label, hospital, "", "limits.csv of the site", label, "own", "own", "guideline")}


EVIDENCE: Final[Mapping[str, Evidence]] = {
    row["id"]: dated(
        Evidence(
            row["document"],
            row["organisation"],
            row["year"],
            row["section"],
            row["label"],
            row["grade"],
            row["grade"],
            row["basis"],
        ),
        row["read"],
    )
    for row in _rows("sources.csv")
} | _evidence_of_site()
"""The documents by their key in limits.csv."""

ALARM: Final = EVIDENCE["ten_fold"]
"""What a dose far over a lead is told on: that it can hardly be meant, and on no page that the lead was read on."""

LEADS: Final = frozenset(source for source, evidence in EVIDENCE.items() if is_lead([evidence]))
"""Documents that raise no card of their own: labels known by quotation only, consumer pages, answers, foreign lists."""


def _read_limits() -> Mapping[str, tuple[Limit, ...]]:
    by_drug: dict[str, tuple[Limit, ...]] = {}
    for row in (*_rows("limits.csv"), *_rows("leads.csv")):
        by_drug[row["rxcui"]] = (*by_drug.get(row["rxcui"], ()), _limit(row))
    for row in _rows("label_limits.csv"):
        amounts = {column: row.get(column.replace("_mg", "", 1), "") for column in (*_AMOUNTS, *_OTHER_AMOUNTS)}
        by_drug[row["rxcui"]] = (*by_drug.get(row["rxcui"], ()), _limit(_EMPTY | row | amounts))
    of_site: dict[str, tuple[Limit, ...]] = {}
    for row in site_rows("limits.csv"):
        of_site[row["rxcui"]] = (*of_site.get(row["rxcui"], ()), _limit_of_site(row))
    return by_drug | of_site


def _limit_of_site(row: Mapping[str, str]) -> Limit:
    amounts = [row[name] for name in _AMOUNTS if row.get(name)]
    if row.get("form") and row["form"] not in FORMS:
        raise RuleError(f"{row['location']}: form is empty or one of {', '.join(FORMS)}, not {row['form'][:40]!r}")
    try:
        limit = _limit({**_EMPTY, **row, "source": _SITE_SOURCE}) if len(amounts) == 1 else None
    except ValueError:
        limit = None
    if limit is None or not 0 < float(amounts[0]) < inf or not limit.ages:
        columns = ", ".join(_AMOUNTS)
        given = ", ".join(f"{name} {row[name][:40]!r}" for name in _AMOUNTS if row.get(name)) or "none of them"
        raise RuleError(
            f"{row['location']}: exactly one of {columns} must be a number over 0; received {given}. Ages and weights "
            "must be numbers, the lower one first"
        )
    return limit


FORMS: Final = {"immediate": "immediate release", "slow": "extended release", "12 h": "SR", "24 h": "XL"}
"""The forms that a row of limits may be about, in words."""
_COLUMNS = ["form", "condition", "without_condition", "setting", "note", "weight_to_kg", "labelled_from"]
_EMPTY = dict.fromkeys([*_COLUMNS, "age_to"], "") | {"age_from": "18", "is_firm": "yes"}
_AMOUNTS = ("max_daily_mg", "max_single_mg", "max_weekly_mg", "max_daily_mg_kg", "max_single_mg_kg")
_OTHER_AMOUNTS = ("max_hourly_mg", "max_hourly_mg_kg", "max_single_mg_m2")


def _limit(row: Mapping[str, str]) -> Limit:
    column = next(name for name in (*_AMOUNTS, *_OTHER_AMOUNTS) if row.get(name))
    return Limit(
        row["drug"],
        row["rxcui"],
        row.get("route", ""),
        row["form"],
        row.get("population", ""),
        range(int(row["age_from"] or 0), int(row["age_to"] or _OLDEST) + 1),
        row["condition"],
        row["without_condition"],
        row["setting"],
        float(row["weight_from_kg"]) if row.get("weight_from_kg") else None,
        float(row["weight_to_kg"]) if row["weight_to_kg"] else None,
        float(row[column]),
        "single" in column or "hourly" in column,
        column.endswith("_kg"),
        "weekly" in column,
        row["is_firm"] == "yes" and row["source"] not in LEADS,
        row["is_firm"] == "narrow",
        row["is_firm"] in ("wide", "usual"),
        int(row["labelled_from"]) if row["labelled_from"] else None,
        row["note"],
        row["source"],
        row.get("page", ""),
        row.get("unit", "mg"),
        tuple(row.get("without_taken", "").split()),
        "hourly" in column,
        column.endswith("_m2"),
        is_lead=row["source"] in LEADS,
        set_id=row.get("set_id", ""),
        section=row.get("section", ""),
        label_of=row.get("label_of", ""),
        quote=row.get("quote", ""),
        is_alarm=row["is_firm"] == "alarm",
        is_usual=row["is_firm"] == "usual",
        ten_fold_from=float(row["ten_fold_from"]) if row.get("ten_fold_from") else None,
    )


def _read_plausible_doses() -> Mapping[str, PlausibleDose]:
    tables = ("plausibility.csv", "plausibility_more.csv")
    rows = (row for table in tables for row in _rows(table) if not row["left_out"])
    return {row["rxcui"]: PlausibleDose(row["drug"], float(row["recommended_mg_day"])) for row in rows}


def evidence_of(limit: Limit) -> Evidence:
    """Return what a row is based on: the label or leaflet that it quotes, by its number or a copy; or its document."""
    evidence = EVIDENCE[limit.source]
    if not limit.quote:
        return replace(evidence, section=limit.page) if limit.page else evidence
    if evidence.basis == "package":
        label = f"{limit.page}, {evidence.label}, section 3"
        return replace(evidence, section=f"section 3: {limit.quote}", label=label)
    return label_evidence(
        drug=limit.label_of or limit.drug,
        set_id=limit.set_id,
        section=limit.section or "2",
        quote=limit.quote,
        read=_READ,
        page=limit.page,
    )


LIMITS: Final[Mapping[str, tuple[Limit, ...]]] = _read_limits()
"""The maximum doses by RxNorm ingredient."""


class Words(Struct, frozen=True):
    """One row of words.csv: what words of a drug or an order mean, and where a rule may ask for them."""

    name: str
    condition: Literal["", "drug", "order"]
    meaning: str
    pattern: re.Pattern[str]


WORDS: Final[Mapping[str, Words]] = {
    row["name"]: Words(row["name"], row["condition"], row["meaning"], re.compile(row["words"], re.IGNORECASE))  # type: ignore[arg-type]  # our own table
    for row in _rows("words.csv")
}


# Each question about an order asks the same words again.
@remembered("words of drugs and orders", entries=4096, longest=2000)
def says(name: str, text: str) -> bool:
    """Return whether a text has the words of this row of words.csv."""
    return WORDS[name].pattern.search(text) is not None


LIFETIME_MG_M2: Final[Mapping[str, float]] = {row["rxcui"]: float(row["most_mg_m2"]) for row in _rows("lifetime.csv")}
"""The cumulative dose for each square metre above which the label tells of more heart failure, by ingredient."""

PLAUSIBLE_DOSES: Final[Mapping[str, PlausibleDose]] = _read_plausible_doses()
"""FDA's recommended maxima by RxNorm ingredient, without the rows that are left out."""
