"""Turns a release of CDC's CDSi supporting data (a folder of XML files) into the project's own knowledge files.

Run by `python -m maintenance.knowledge vaccines`. The elements that decide are kept; CDC's explanatory texts,
spreadsheets and change histories are not. Empty elements are left out, and vaccines that share their ages stand in one
entry.
"""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

Entry = dict[str, Any]

_INTERVAL_PERIODS = {
    "absolute_minimum": "absMinInt",
    "minimum": "minInt",
    "earliest_recommended": "earliestRecInt",
    "latest_recommended": "latestRecInt",
}
_AGE_PERIODS = {
    "absolute_minimum": "absMinAge",
    "minimum": "minAge",
    "earliest_recommended": "earliestRecAge",
    "latest_recommended": "latestRecAge",
    "maximum": "maxAge",
}


def import_release(folder: Path, version: str, released: str, source: str) -> dict[str, str]:
    """Return the knowledge files of a release: file name to its JSON text.

    Arguments:
        folder: the XML files of one CDC release.
        version: CDC's version, such as 4.64.
        released: the date of the release, YYYY-MM-DD.
        source: where the release was read, as it is cited.
    """
    head = {"source": source, "version": version, "date": released}
    written = {"schedule.json": _dump(head | _schedule(_root(folder / "ScheduleSupportingData.xml")))}
    for path in sorted(folder.glob("AntigenSupportingData- *.xml")):
        antigen = _antigen(_root(path))
        name = antigen["antigen"].lower().replace(" ", "_").replace("-", "_")
        written[f"{name}.json"] = _dump({"antigen": antigen.pop("antigen")} | head | antigen)
    return written


def _root(path: Path) -> ElementTree.Element:
    return ElementTree.parse(path).getroot()  # noqa: S314 -- a file that the operator chose


def _dump(entry: Entry) -> str:
    """JSON with one line per element of the top two levels, so that a release's changes read as changed lines."""
    lines = []
    for key, value in entry.items():
        if isinstance(value, list) and value:
            inner = ",\n  ".join(_dump_series(item) for item in value)
            lines.append(f"{json.dumps(key)}: [\n  {inner}\n ]")
        elif isinstance(value, dict):
            inner = ",\n  ".join(f"{json.dumps(k)}: {_line(v)}" for k, v in value.items())
            lines.append(f"{json.dumps(key)}: {{\n  {inner}\n }}")
        else:
            lines.append(f"{json.dumps(key)}: {_line(value)}")
    return "{\n " + ",\n ".join(lines) + "\n}\n"


def _dump_series(item: Any) -> str:
    if not isinstance(item, dict) or "doses" not in item:
        return _line(item)
    head = _line({key: value for key, value in item.items() if key != "doses"})[:-1]
    return head + ', "doses": [\n   ' + ",\n   ".join(_line(dose) for dose in item["doses"]) + "\n  ]}"


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=False)


def _text(element: ElementTree.Element | None, path: str) -> str:
    """Return the text at a path with single spaces; "n/a" means the same as nothing."""
    text = " ".join((element.findtext(path) or "").split()) if element is not None else ""
    return "" if text.lower() == "n/a" else text


def _day(text: str) -> str:
    """CDC writes dates as 20230911 and as 01/01/1957."""
    for form in ("%Y%m%d", "%m/%d/%Y"):
        try:
            return datetime.strptime(text, form).date().isoformat()  # noqa: DTZ007 -- a date without a time
        except ValueError:
            continue
    return ""


def _without_empty(**members: Any) -> Entry:
    """Return the entry of these members without what is empty."""
    return {key: value for key, value in members.items() if value not in ("", None, [], {}, False)}


def _frame(element: ElementTree.Element) -> Entry:
    return {"effective": _day(_text(element, "effectiveDate")), "cessation": _day(_text(element, "cessationDate"))}


def _codes(text: str) -> list[str]:
    return [code.strip() for code in text.replace(",", ";").split(";") if code.strip()]


def _antigen(root: ElementTree.Element) -> Entry:
    first = root.find("series")
    immunity = root.findall("immunity/dateOfBirth")
    return {
        "antigen": _text(first, "targetDisease"),
        "immune_observations": [_text(item, "guidelineCode") for item in root.findall("immunity/clinicalHistory")],
        "immune_births": [
            _without_empty(
                born_before=_day(_text(item, "immunityBirthDate")),
                country=_text(item, "birthCountry"),
                unless=[_text(out, "exclusionCode") for out in item.findall("exclusion")],
            )
            for item in immunity
            if _text(item, "immunityBirthDate")
        ],
        "contraindications": list(_contraindications(root, "vaccineGroup")),
        "vaccine_contraindications": list(_contraindications(root, "vaccine")),
        "series": [_series(item) for item in root.findall("series")],
    }


def _contraindications(root: ElementTree.Element, level: str) -> Iterator[Entry]:
    for item in root.findall(f"contraindications/{level}/contraindication"):
        if _text(item, "observationCode"):
            yield _without_empty(
                observation=_text(item, "observationCode"),
                text=_text(item, "contraindicationText"),
                begin_age=_text(item, "beginAge"),
                end_age=_text(item, "endAge"),
                vaccines=_vaccines(item.findall("contraindicatedVaccine")),
            )


def _series(item: ElementTree.Element) -> Entry:
    choose = item.find("selectSeries")
    preference = _text(choose, "seriesPreference")
    return _without_empty(
        name=_text(item, "seriesName"),
        type=_text(item, "seriesType"),
        vaccine_group=_text(item, "vaccineGroup"),
        genders=[text for gender in item.findall("requiredGender") if (text := (gender.text or "").strip())],
        group=_text(choose, "seriesGroup"),
        equivalent_groups=_codes(_text(item, "equivalentSeriesGroups")),
        default=_text(choose, "defaultSeries") == "Yes",
        product=_text(choose, "productPath") == "Yes",
        priority=_text(choose, "seriesPriority"),
        preference=int(preference) if preference else 0,
        min_age_to_start=_text(choose, "minAgeToStart"),
        max_age_to_start=_text(choose, "maxAgeToStart"),
        indications=[
            _without_empty(
                observation=_text(indication, "observationCode/code"),
                begin_age=_text(indication, "beginAge"),
                end_age=_text(indication, "endAge"),
            )
            for indication in item.findall("indication")
            if _text(indication, "observationCode/code")
        ],
        doses=[_dose(dose) for dose in item.findall("seriesDose")],
    )


def _dose(dose: ElementTree.Element) -> Entry:
    ages = [
        _without_empty(
            **{ours: _text(age, theirs) for ours, theirs in _AGE_PERIODS.items()},
            **_frame(age),
        )
        for age in dose.findall("age")
    ]
    return _without_empty(
        ages=[age for age in ages if age],
        intervals=[interval for item in dose.findall("interval") if (interval := _interval(item))],
        allowable_intervals=[interval for item in dose.findall("allowableInterval") if (interval := _interval(item))],
        preferable=_vaccines(dose.findall("preferableVaccine")),
        allowable=_vaccines(dose.findall("allowableVaccine")),
        inadvertent=[code for item in dose.findall("inadvertentVaccine") if (code := _text(item, "cvx"))],
        skips=[_skip(item) for item in dose.findall("conditionalSkip") if _text(item, "context")],
        recurring=_text(dose, "recurringDose") == "Yes",
        season_start=_day(_text(dose, "seasonalRecommendation/startDate")),
        season_end=_day(_text(dose, "seasonalRecommendation/endDate")),
    )


def _interval(item: ElementTree.Element) -> Entry | None:
    target = _text(item, "fromTargetDose")
    entry = _without_empty(
        from_previous=_text(item, "fromPrevious") == "Y",
        from_target_dose=int(target) if target else None,
        from_most_recent=_codes(_text(item, "fromMostRecent")),
        from_observation=_text(item, "fromRelevantObs/code"),
        **{ours: _text(item, theirs) for ours, theirs in _INTERVAL_PERIODS.items()},
        priority=_text(item, "intervalPriority") == "override",
        **_frame(item),
    )
    return entry or None


def _vaccines(items: Iterable[ElementTree.Element]) -> list[Entry]:
    """Vaccines with the same ages and conditions in one entry, codes in the order of the release."""
    grouped: dict[str, Entry] = {}
    for item in items:
        if not _text(item, "cvx"):
            continue
        entry = _without_empty(
            begin_age=_text(item, "beginAge"),
            end_age=_text(item, "endAge"),
            manufacturer=_text(item, "mvx"),
            trade_name=_text(item, "tradeName"),
            forecast=_text(item, "forecastVaccineType") == "Y",
        )
        grouped.setdefault(_line(entry), {"cvx": []} | entry)["cvx"].append(_text(item, "cvx"))
    return list(grouped.values())


def _skip(item: ElementTree.Element) -> Entry:
    return _without_empty(
        context=_text(item, "context"),
        logic=_text(item, "setLogic").upper(),
        sets=[
            _without_empty(
                **_frame(part),
                logic=_text(part, "conditionLogic").upper(),
                conditions=[_condition(condition) for condition in part.findall("condition")],
            )
            for part in item.findall("set")
        ],
    )


def _condition(item: ElementTree.Element) -> Entry:
    kind = _text(item, "conditionType").lower()
    return _without_empty(
        kind="vaccine count" if kind.startswith("vaccine count") else kind,
        start=_day(_text(item, "startDate")),
        end=_day(_text(item, "endDate")),
        begin_age=_text(item, "beginAge"),
        end_age=_text(item, "endAge"),
        interval=_text(item, "interval"),
        count=int(_text(item, "doseCount") or 0),
        count_logic=_text(item, "doseCountLogic").lower(),
        valid_only=_text(item, "doseType").lower() == "valid",
        cvx=_codes(_text(item, "vaccineTypes")),
        series_groups=_codes(_text(item, "seriesGroups")),
    )


def _schedule(root: ElementTree.Element) -> Entry:
    full = {
        _text(item, "name"): _text(item, "administerFullVaccineGroup") == "Yes"
        for item in root.findall("vaccineGroups/vaccineGroup")
    }
    return {
        "groups": {
            (name := _text(item, "name")): _without_empty(
                antigens=[(antigen.text or "").strip() for antigen in item.findall("antigen")],
                full=full.get(name, False),
            )
            for item in root.findall("vaccineGroupToAntigenMap/vaccineGroupMap")
        },
        "vaccines": {_text(item, "cvx"): _vaccine(item) for item in root.findall("cvxToAntigenMap/cvxMap")},
        "conflicts": _conflicts(root),
        "observations": {
            _text(item, "observationCode"): _observation(item) for item in root.findall("observations/observation")
        },
    }


def _vaccine(item: ElementTree.Element) -> Entry:
    return {
        "name": _text(item, "shortDescription"),
        "antigens": [
            _without_empty(
                antigen=_text(part, "antigen"),
                begin_age=_text(part, "associationBeginAge"),
                end_age=_text(part, "associationEndAge"),
            )
            for part in item.findall("association")
        ],
    }


def _conflicts(root: ElementTree.Element) -> list[Entry]:
    """Pairs of vaccines gathered twice: first by the earlier vaccine, then by equal lists of later ones."""
    later: dict[tuple[str, str, str, str], list[str]] = {}
    for item in root.findall("liveVirusConflicts/liveVirusConflict"):
        times = (
            _text(item, "conflictBeginInterval"),
            _text(item, "minConflictEndInterval"),
            _text(item, "conflictEndInterval"),
        )
        later.setdefault((_text(item, "previous/cvx"), *times), []).append(_text(item, "current/cvx"))
    gathered: dict[str, Entry] = {}
    for (previous, begin, minimum_end, end), current in later.items():
        entry = {"current": sorted(current), "begin": begin, "minimum_end": minimum_end, "end": end}
        gathered.setdefault(_line(entry), {"previous": []} | entry)["previous"].append(previous)
    return list(gathered.values())


def _observation(item: ElementTree.Element) -> Entry:
    codes: dict[str, list[str]] = {}
    for coded in item.findall("codedValues/codedValue"):
        codes.setdefault(_text(coded, "codeSystem"), []).append(_text(coded, "code"))
    return _without_empty(
        title=_text(item, "observationTitle"),
        codes=codes,
    )
