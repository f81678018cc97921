"""Reads a site's rules file, or says in sentences what is wrong with it; writes an approval into it."""

import json
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import date
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from cards.rules.governance import NEEDS_NOTE, Approval, SiteRules, Switch, Version, every_version

_HEAD = """# What this site says of the medication rules (docs/rules/governance.md).
version = 1
"""


class RulesFileError(Exception):
    """The file cannot be used; the message is one sentence for each mistake."""

    def __init__(self, path: Path, *problems: str) -> None:
        super().__init__(f"{path}: " + "; ".join(problems))
        self.problems = problems


def read_rules_file(path: Path, versions: Mapping[str, Version] | None = None) -> SiteRules:
    """What the file says; RulesFileError with every mistake that was found."""
    known = every_version() if versions is None else versions
    document = _document(path)
    problems = [_said(error) for error in _validator().iter_errors(document)]
    problems = problems or list(_problems(document, known))
    if problems:
        raise RulesFileError(path, *problems)
    switches: defaultdict[str, list[Switch]] = defaultdict(list)
    for each in document.get("switch", ()):
        switches[each["rule"]].append(_switch(each))
    return SiteRules(
        {each["rule"]: _approval(each) for each in document.get("approval", ())},
        {rule: tuple(found) for rule, found in switches.items()},
        document.get("quiet_days", {}),
    )


def write_approval(path: Path, approval: Approval) -> None:
    """Adds the approval at the end of the file, which is made if need be; RulesFileError where it cannot be.

    The newest approval of a rule counts; those before it stay to be read.
    """
    version = every_version().get(approval.rule)
    if version is None:
        raise RulesFileError(path, _no_rule(approval.rule))
    if fault := _unfit(approval, version):
        raise RulesFileError(path, fault)
    if path.exists():
        read_rules_file(path)
    members = {name: getattr(approval, name) for name in ("rule", "digest", "by", "role")}
    members |= {"on": approval.on.isoformat()} | ({"note": approval.note} if approval.note else {})
    entry = "\n".join(f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in members.items())
    before = path.read_text(encoding="utf-8").rstrip() + "\n" if path.exists() else _HEAD
    try:
        path.write_text(f"{before}\n[[approval]]\n{entry}\n", encoding="utf-8")
    except OSError as error:
        raise RulesFileError(path, f"cannot be written ({error.strerror})") from error


def _document(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RulesFileError(path, f"cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RulesFileError(path, f"is no TOML ({error})") from error


@cache
def _validator() -> Draft202012Validator:
    schema = json.loads((files("cds_hooks.governance") / "rules.schema.json").read_text(encoding="utf-8"))
    return Draft202012Validator(schema)


def _said(error: Any) -> str:
    where = "/".join(str(part) for part in error.absolute_path)
    return f"{where}: {error.message}" if where else str(error.message)


def _problems(document: Mapping[str, Any], known: Mapping[str, Version]) -> Iterator[str]:
    for each in (*document.get("approval", ()), *document.get("switch", ())):
        if each["rule"] not in known:
            yield _no_rule(each["rule"])
    for each in document.get("approval", ()):
        try:
            date.fromisoformat(each["on"])
        except ValueError:
            yield f"approval of {each['rule']}: {each['on']} is no date"
    for each in document.get("switch", ()):
        if each["rule"] in known:
            yield from _band_problems(each, known[each["rule"]])


def _band_problems(switch: Mapping[str, Any], version: Version) -> Iterator[str]:
    bands = {band.id: band.indicator for band in version.rule.bands}
    for band in switch.get("bands_off", ()):
        if band not in bands and band != "missing":
            yield f"{switch['rule']} has no band {band}; it has {', '.join(bands)}"
        elif bands.get(band) == "critical":
            yield f"{switch['rule']}: the band {band} is critical and cannot be switched off alone, only the whole rule"


def _no_rule(name: str) -> str:
    return f"there is no rule {name}; cds-hooks rules list shows those there are"


def _unfit(approval: Approval, version: Version) -> str | None:
    if approval.digest != version.digest:
        return f"{approval.rule} is in version {version.digest}, not {approval.digest}: read it again, then approve it"
    if version.rule.audit.verified == NEEDS_NOTE and not approval.note.strip():
        return f"{approval.rule} still needs a label check: say in --note how and by whom the label was checked"
    return None


def _approval(each: Mapping[str, Any]) -> Approval:
    on = date.fromisoformat(each["on"])
    return Approval(each["rule"], each["digest"], each["by"], each["role"], on, each.get("note", ""))


def _switch(each: Mapping[str, Any]) -> Switch:
    return Switch(
        each["rule"],
        each["note"],
        each.get("off", False),
        each.get("speak_from"),
        frozenset(each.get("bands_off", ())),
        frozenset(each.get("clients", ())),
        frozenset(each.get("units", ())),
    )
