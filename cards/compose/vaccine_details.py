"""Writes the detail of the card of the vaccines due: each vaccine with its dated doses, and what was not judged."""

import re
from collections.abc import Iterable
from datetime import date
from typing import Final

from cards.compose.model import WHY
from cards.compose.vaccine_orders import Offered, preferred_codings, unspecified_doses
from cards.text import capitalized, escape, joined
from cards.vaccines.course import DoseStatus, Evaluation
from cards.vaccines.due import (
    INFLUENZA,
    RSV,
    ForbiddenVaccine,
    UncodedVaccine,
    VaccinesDue,
    is_for_rsv_antibody,
)
from cards.vaccines.groups import GroupForecast
from cards.vaccines.knowledge import VaccineKnowledge
from cards.vaccines.patient import ChartedPerson, PatientObservation

# A reference to another document of CDC within a contraindication.
_SEE = re.compile(r"\s?[(\[]See [^)\]]{0,200}[)\]]")
_SENTENCE_END = re.compile(r"(?<=\.) (?=[A-Z])")
# An older date is that of an age alone, before there was a vaccine perhaps; without a dose it always is.
_DATED_DAYS, _DATED_DAYS_OF_AGE = 5 * 365, 365
_LINES = 6
_SHOWN_DOSES = 4


def vaccine_detail(
    due: VaccinesDue, offered: Offered, charted: ChartedPerson, not_judged: list[str], knowledge: VaccineKnowledge
) -> list[str]:
    """Return the lines: what is due, what is held back and why, what the forecast is based on, what was not judged."""
    lines = list(_due_lines(offered.due[:_LINES], knowledge, has_doses=bool(charted.history.days)))
    for group, end in due.of_season:
        if group == INFLUENZA and group not in offered.season:
            continue
        is_for_antibody = group == RSV and is_for_rsv_antibody(charted.person, due.as_of)
        lines.append(_antibody_line(end) if is_for_antibody else _season_line(group, end))
    if more := offered.due[_LINES:]:
        lines.append(f"- Also due: {'; '.join(_short(item) for item in more)}.")
    lines += _catch_up_lines([item for item in due.catch_up if item.label not in offered.to_check])
    if due.tetanus_waits:
        lines.append(
            "- Tdap/Td: Give Tdap in weeks 27 to 36 of this pregnancy. If never vaccinated, give Td now and after 4 "
            "weeks (ACIP 2018)."
        )
    lines += _unspecified_lines(due, charted, knowledge)
    lines += [_uncoded_line(item) for item in due.uncoded]
    if due.declined:
        names = ", ".join(f"{item.group} ({item.when})" for item in due.declined)
        lines.append(f"- Declined by the patient within a year: {names}.")
    if due.ordered:
        lines.append(f"- Ordered already: {', '.join(due.ordered)}.")
    lines += _forbidden_lines(due.forbidden)
    for check in due.to_check:
        applies = "Not now:" if check.is_whole else "This applies to"
        lines.append(
            f"- Check first: {_observed([check.observation])}. "
            f"{escape(_SENTENCE_END.split(_SEE.sub('', check.text))[0], 160)} {applies} {', '.join(check.groups)}."
        )
    named_seasons = {group for group, _ in due.of_season}
    if charted.guillain_barre is not None and INFLUENZA in {item.group for item in due.due} | named_seasons:
        lines.append(
            f"- Check first: {_observed([charted.guillain_barre])}. Within 6 weeks of an earlier dose it is a "
            "precaution (ACIP 2024). Not now: Influenza."
        )
    lines += ["", f"{WHY} {_basis(charted)}"]
    if due.to_discuss:
        lines.append(f"Shared decision: {', '.join(item.label for item in due.to_discuss)}.")
    ended = [
        f"{group} (the schedule used here ended {end})" for group, end in due.seasons_over if group not in named_seasons
    ]
    if ended:
        not_judged = [", ".join(ended), *not_judged]
    if not_judged:
        lines.append(f"Not judged: {'; '.join(not_judged)}.")
    return lines


def _season_line(group: str, end: date) -> str:
    """Return a vaccine of a season, where the release ends before this one: what is no longer known is said."""
    if group == RSV:
        return (
            "- Check first: RSV in this pregnancy, no dose on record. ACIP recommends one at 32 to 36 weeks from "
            f"September to January. The data here end on {end}: check the current recommendation."
        )
    return f"- **{group}**: no dose on record since {end}."


def _antibody_line(end: date) -> str:
    return (
        "- Check first: RSV antibody of the first season, none on record. ACIP recommends one under 8 months from "
        "October to March, unless the mother was vaccinated at least 14 days before the birth. The data here end on "
        f"{end}: check the current recommendation."
    )


def _unspecified_lines(due: VaccinesDue, charted: ChartedPerson, knowledge: VaccineKnowledge) -> Iterable[str]:
    for label, days in unspecified_doses(due, charted, knowledge).items():
        yield (
            f"- {label}: the formulation of the dose of {', '.join(days)} is not recorded (unspecified), so it cannot "
            "be judged. Look for the product before another dose."
        )


def _uncoded_line(item: UncodedVaccine) -> str:
    """Return what is recorded without a code or a day, for which the group is not offered."""
    doses = "; ".join(dict.fromkeys(f"{escape(dose.words, 40)}, {dose.given or 'no date'}" for dose in item.doses[:3]))
    return f"- {item.label}: not offered, recorded without a vaccine code or a date ({doses}). Check what is missing."


_LIVE: Final = ("MMR", "Varicella")


def _catch_up_lines(items: list[GroupForecast]) -> Iterable[str]:
    """Yield what an adult should have had as a child: groups without any dose, and tetanus with adult doses only."""
    without = [item.label for item in items if not item.counted_days]
    if without:
        names = ", ".join(without)
        live = " and ".join(name for name in _LIVE if any(item.label == name for item in items))
        first = f" Before {live} (live) ask about pregnancy and immunosuppression." if live else ""
        yield f"- To catch up, no valid dose: {names}. Ask the registry.{first}"
    for item in items:
        if item.counted_days:
            days = _days(item.evaluations)
            yield (
                f"- To catch up, {item.label}: only adult doses are on record ({days}). Ask the registry for earlier "
                f"ones; without them, dose {item.dose_number} is due."
            )


def _due_lines(items: Iterable[GroupForecast], knowledge: VaccineKnowledge, *, has_doses: bool) -> Iterable[str]:
    """Yield the vaccines, those of which the same is said on one line."""
    named: dict[tuple[str, str], list[str]] = {}
    for item in items:
        date_shown = item.reason_since if f"since {item.reason_since}" in _dated(item) else None
        doses = f" {_whatever_before(item)}" if item.for_pregnancy else _doses(item, has_doses=has_doses)
        said = f"{_dated(item)}.{doses}", _observed(item.reasons, date_shown)
        named.setdefault(said, []).append(_name_of_dose(item, knowledge))
    before = ""
    for (text, why), names in named.items():
        reason = "" if not why else " Same reason." if why == before else f" Because of {why}.".replace("….", "…")
        before = why
        yield f"- **{'; '.join(names)}**: {text}{reason}"


def _name_of_dose(item: GroupForecast, knowledge: VaccineKnowledge) -> str:
    if item.for_pregnancy:
        return "Tdap in this pregnancy"
    products = [
        escape(coding["display"].removeprefix("Pneumococcal conjugate ").replace("PCV ", "PCV"), 40)
        for coding in preferred_codings(item, knowledge)
    ]
    preferred = f" ({joined(products, 'or')})" if products and products != [item.label] else ""
    return f"{item.label}{preferred}{f', dose {item.dose_number}' if (item.dose_number or 1) > 1 else ''}"


def _short(item: GroupForecast) -> str:
    """Return a vaccine in a list of several: with the dose that does not count, which is why it is due again."""
    not_counted = _not_counted(item.evaluations)
    return f"{item.label} dose {item.dose_number}{f' ({not_counted})' if not_counted else ''}"


def _dated(item: GroupForecast) -> str:
    """Since when it is due; a risk dose not before the reason for it, whatever date the age alone would give."""
    recommended, since, as_of = item.recommended, item.reason_since, item.as_of
    if recommended is not None and item.reasons and (since is None or recommended < since):
        # A reason may be older than the recommendation that is based on it: its date is not that of the vaccine.
        is_recent = since is not None and (as_of - since).days <= _DATED_DAYS_OF_AGE
        return f"due since {since}" if is_recent else "due"
    dated_days = _DATED_DAYS if item.counted_days or item.is_overdue else _DATED_DAYS_OF_AGE
    if recommended is not None and (as_of - recommended).days > dated_days:
        return "overdue" if item.is_overdue else "due"
    state = f"overdue since {item.past_due}" if item.is_overdue else "due"
    last = item.last_day
    return f"{state} (recommended {recommended}){f', not after {last}' if last is not None else ''}"


def _whatever_before(item: GroupForecast) -> str:
    days = sorted({evaluation.dose.given.isoformat() for evaluation in item.evaluations})
    before = f" (last {days[-1]})" if days else ""
    return f"One dose in each pregnancy, whatever was given before it{before}."


def _doses(item: GroupForecast, *, has_doses: bool) -> str:
    """Which doses count; where the chart has no vaccination at all, the basis of the card says it once."""
    if not item.evaluations:
        return " No dose on record." if has_doses else ""
    counts = bool(item.counted_days)
    sentences = [f"Doses that count: {_days(item.evaluations)}." if counts else "No dose on record counts."]
    if not_counted := _not_counted(item.evaluations):
        sentences.append(f"{capitalized(not_counted)}.")
    return f" {' '.join(sentences)}"


def _not_counted(evaluations: tuple[Evaluation, ...]) -> str:
    """Return the last dose that does not count and why, '' where all count."""
    not_counted = [item for item in evaluations if item.status is not DoseStatus.VALID]
    if not not_counted:
        return ""
    reason = not_counted[-1].reason.partition(": ")[2] or not_counted[-1].reason or not_counted[-1].status.value
    return f"the dose of {not_counted[-1].dose.given} does not count ({reason.lower()})"


def _days(evaluations: tuple[Evaluation, ...]) -> str:
    """Return the days of the doses that count, the last ones written out."""
    counted = [item for item in evaluations if item.status is DoseStatus.VALID]
    days = list(dict.fromkeys(item.dose.given.isoformat() for item in counted))
    left_out = len(days) - _SHOWN_DOSES
    return ", ".join([*([f"{left_out} earlier"] if left_out > 0 else []), *days[-_SHOWN_DOSES:]])


def _observed(items: Iterable[PatientObservation], date_shown: date | None = None) -> str:
    """Return what was observed and since when; `date_shown` is a date that the sentence has already."""
    return "; ".join(
        dict.fromkeys(
            f"{escape(item.words or item.code, 40)}{f' ({item.since})' if item.since not in (None, date_shown) else ''}"
            for item in items
        )
    )


def _forbidden_lines(items: Iterable[ForbiddenVaccine]) -> Iterable[str]:
    """One line for the vaccine groups that the same entries of the chart forbid."""
    groups: dict[str, list[str]] = {}
    for item in items:
        is_allergy = all(one.source.startswith("AllergyIntolerance/") for one in item.against)
        entries = f"{'an allergy: ' if is_allergy else ''}{_observed(item.against)}"
        reason = f" because of {entries}" if item.against else ""
        groups.setdefault(reason, []).append(item.group)
    for reason, names in groups.items():
        yield f"- Contraindicated: {', '.join(names)}{reason}."


def _basis(charted: ChartedPerson) -> str:
    """Return what the forecast is based on, and what a chart does not show."""
    days = charted.history.days
    number = f"{len(days)} day{'s' if len(days) > 1 else ''}"
    none = f"No vaccination {'with a code and a day ' if charted.history.to_check else ''}is on record"
    seen = f"Vaccinations on {number} are on record" if days else none
    return f"{seen}. Doses elsewhere, travel, occupation: unknown."
