"""What answers calls at a site: settings, models, rules, knowledge and code, each by its digest.

Every decision names the digest of the whole (`config` in its basis), and the whole is an event of the record, written
once. So a replay can say what was another then: which model, which rule, which setting, which table, which code.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from importlib.metadata import version
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlalchemy import select

from cards.rules.engine.governance import SiteRules, all_rule_versions
from cds_hooks.call.hold_back.released import Key, Released, words_name
from cds_hooks.call.hold_back.restraint import Restraint
from cds_hooks.call.model_versions import ModelVersions
from cds_hooks.call.services import Service
from cds_hooks.call.trusted_models import AbsentModel
from cds_hooks.evidence.storage.decision import RecordUnavailable
from cds_hooks.evidence.storage.entries import add_event
from cds_hooks.evidence.storage.queries import read_rows
from cds_hooks.evidence.storage.tables import events
from cds_hooks.settings import Settings
from fhir.terminology.imported import InUse, in_use
from models_onnx.equations.declaration import find_equations
from models_onnx.packages import packages

EVENT: Final = "configuration"
ANSWERING: Final = (
    "alert_share", "country", "public_url",
    "model_state", "explain_pages", "dialect",
    "opt_out_flags", "login",
    "protocol_version", "terminology",
)  # fmt: skip
"""The settings that can change an answer; the others say where things are and how much is taken at a time."""

Content = Mapping[str, Mapping[str, Any]]
"""By kind (setting, model, rule, site, release, package, knowledge, code) and name: a value or a digest."""

_KNOWLEDGE: Final = {
    "setting": "setting",
    "model": "model",
    "rule": "rule",
    "published": "published knowledge",
    "site": "rules file",
    "release": "release of",
    "terminology": "terminology:",
}
_DIGITS: Final = 16
_ROOTS: Final = {
    "cds_hooks": ("call",),
    "cards": ("",),
    "models_onnx": ("serving", "equations"),
    "fhir": ("record", "mapping", "terminology"),
}
_TOP: Final = Path(__file__).parents[2]
_encode = msgspec.json.Encoder(order="deterministic", enc_hook=sorted).encode


def digest_of(content: Content) -> str:
    """16 hexadecimal digits of SHA-256 over everything that is in force."""
    return hashlib.sha256(_encode(content)).hexdigest()[:_DIGITS]


def content_in_force(
    configured: Settings, services: Mapping[str, Service], beside: ModelVersions, site: SiteRules
) -> Content:
    """Everything that can change an answer of this server; reads the files of the package once (0.1 s)."""
    return {
        "setting": settings_in_force(configured),
        "model": {model.name if isinstance(model, AbsentModel) else model.manifest.id: _model(model)
                  for service in services.values() for model in service.models}
                 | {version.name: _model(version.model) for version in beside.all},
        "rule": {rule: rule_version.digest for rule, rule_version in all_rule_versions().items()},
        "published": {
            advisor.id: advisor.knowledge
            for service in services.values() for advisor in service.advisors if advisor.knowledge
        },
        "site": site_in_force(site),
        "package": {package.name: f"{package.version} sha256 {package.digest}" for package in packages()},
        **_of_package(),
    }  # fmt: skip


def served_versions(services: Mapping[str, Service], beside: ModelVersions) -> dict[Key, str]:
    """Return the version of every rule, model and equation that this server has, as an act of release names it."""
    served: dict[Key, str] = beside.served | {
        ("rule", rule): rule_version.digest for rule, rule_version in all_rule_versions().items()
    }
    served |= {("equation", name): equation.version for name, equation in find_equations().items()}
    for service in services.values():
        for model in service.models:
            if not isinstance(model, AbsentModel):
                served["model", model.manifest.id] = model.manifest.file.sha256
        for advisor in service.advisors:
            if advisor.knowledge:
                served["knowledge", advisor.id] = advisor.knowledge
            if advisor.words:
                served["service", advisor.id] = advisor.words_digest
    return served


def service_approval_counts(services: Mapping[str, Service], restraint: Restraint) -> dict[str, int] | None:
    """How many services that the site declares show cards and how many wait for two approvals of their words.

    None where there are none, or no approval is needed.
    """
    advisors = (advisor for service in services.values() for advisor in service.advisors if advisor.words)
    words = {(advisor.id, advisor.words_digest) for advisor in advisors}
    if not words or not restraint.needs_approval:
        return None
    approved = sum(restraint.site.is_approved(words_name(name, digest), digest) for name, digest in words)
    return {"approved": approved, "not_approved": len(words) - approved}


def prompt_versions(configured: Settings) -> dict[Key, str]:
    """Return the prompts that may be released here; the text part is imported only where the site has a file for it.

    None where that file cannot be used, of which the commands and the page of summaries tell.
    """
    versions: dict[Key, tuple[str, str]] = {}
    if configured.text_file is not None:
        with suppress(ValueError):
            versions = import_module("cds_hooks.add_ons.text.released").prompt_versions(configured)
    return {key: version for key, (version, _) in versions.items()}


def settings_in_force(configured: Settings) -> Mapping[str, Any]:
    """Return the settings that can change an answer, by the name of their variable."""
    return {f"CDS_{name.upper()}": _value_or_digest(getattr(configured, name)) for name in ANSWERING}


def _value_or_digest(value: Any) -> Any:
    """Return the value of a setting; of a file, such as an index of terminologies, what its content is."""
    if not isinstance(value, Path):
        return value
    if value.is_dir():
        return "a folder: what is in force is an act"
    with value.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:_DIGITS]


def site_in_force(site: SiteRules) -> Mapping[str, Any]:
    """Return what the site says of the rules: the approved version, the switches, and for how long an answer counts."""
    content: dict[str, Any] = {f"approval of {rule}": approval.digest for rule, approval in site.approvals.items()}
    for rule, switches in site.switches.items():
        content[f"switch of {rule}"] = hashlib.sha256(_encode(switches)).hexdigest()[:_DIGITS]
    content |= {f"days of an answer to {indicator}": days for indicator, days in site.quiet_days.items()}
    content |= {f"orders of the role {role}": sorted(kinds) for role, kinds in site.orders.items()}
    return content | {f"budget {number}": budget.words for number, budget in enumerate(site.budgets, 1)}


def differences(then: Content, now: Content) -> Iterator[tuple[str, str, str]]:
    """Yield what is another now: its kind, its name, and a sentence that says how."""
    for kind in ("model", "rule", "site", "release", "package", "terminology", "setting", "knowledge", "code"):
        before, after = then.get(kind, {}), now.get(kind, {})
        for name in sorted({*before, *after}):
            old, new = before.get(name), after.get(name)
            if old != new:
                where = "set" if kind == "setting" else "there"
                yield kind, name, f"{_KNOWLEDGE.get(kind, kind)} {name}: {_change(old, new, where)}"


def _change(old: Any, new: Any, where: str) -> str:
    if old is None:
        return f"was not {where}, is {new}"
    return f"was {old}, is not {where}" if new is None else f"was {old}, is {new}"


def _model(model: Any) -> str:
    if isinstance(model, AbsentModel):
        return "absent"
    release = model.artifact.release
    state = release.state if release is not None else "draft"
    return f"{model.manifest.version} sha256 {model.manifest.file.sha256} {state}"


def _of_package() -> dict[str, dict[str, str]]:
    """Digests of the tables one by one, and of code and other files by folder."""
    folders: dict[tuple[str, str], Any] = {}
    tables: dict[str, str] = {}
    for name, path in _files():
        with open(path, "rb", buffering=0) as file:
            content = file.read()
        if name.endswith(".csv"):
            tables[name] = hashlib.sha256(content).hexdigest()[:_DIGITS]
        else:
            kind = "code" if name.endswith(".py") else "knowledge"
            of_folder = folders.setdefault((kind, name.rpartition("/")[0]), hashlib.sha256())
            of_folder.update(name.encode() + hashlib.sha256(content).digest())
    digests: dict[str, dict[str, str]] = {"knowledge": tables, "code": {"cds-hooks-onnx": version("cds-hooks-onnx")}}
    for (kind, folder), digest in folders.items():
        digests[kind][folder] = digest.hexdigest()[:_DIGITS]
    return digests


def _files() -> Iterator[tuple[str, str]]:
    """Yield the files that answer calls, by package and path below it; without pathlib, which takes twice as long."""
    for package, parts in _ROOTS.items():
        for part in parts:
            start = str(_TOP / package / part)
            name = f"{package}/{part}".removesuffix("/")
            yield from _files_below(name, start) if os.path.isdir(start) else ((name, start),)


def _files_below(name: str, folder: str) -> Iterator[tuple[str, str]]:
    with os.scandir(folder) as directory:
        entries = sorted(directory, key=attrgetter("name"))
    for entry in entries:
        if entry.name == "__pycache__" or entry.name.endswith(".pyc"):
            continue
        below = f"{name}/{entry.name}"
        if entry.is_dir():
            yield from _files_below(below, entry.path)
        else:
            yield below, entry.path


class InForce:
    """What is in force in one server process. Every call asks for its digest, which only compares two objects."""

    def __init__(self, content: Callable[[], Content], restraint: Restraint) -> None:
        """`content` makes the whole once, off the event loop; `restraint` says what the rules file says now."""
        self._make = content
        self._restraint = restraint
        self._said: SiteRules | None = None
        self._released = Released()
        self._terminology = InUse()
        self._content: Content = {}
        self._unrecorded: dict[str, Content] = {}
        self._digest = ""

    def digest_with(self, released: Released) -> str:
        """Return the digest of what is in force now with this state of releases; empty until `start` has read it."""
        site = self._restraint.site
        is_other = site is not self._said or released is not self._released or self._terminology is not in_use()
        if is_other and self._content:
            self._take(site, released)
        return self._digest

    @property
    def content(self) -> Content:
        """What is in force now, by kind and name."""
        return self._content

    def start(self) -> None:
        """Read everything; called once, on a thread."""
        site = self._restraint.site
        self._content = self._make()
        self._take(site, self._released)

    def _take(self, site: SiteRules, released: Released) -> None:
        self._terminology = in_use()
        self._content = {
            **self._content,
            "site": site_in_force(site),
            "release": released.words,
            "terminology": self._terminology.words,
        }
        self._said, self._released, self._digest = site, released, digest_of(self._content)
        self._unrecorded[self._digest] = self._content

    def record(self, url: str) -> None:
        """Write what is in force into the record where it is not there yet; tried again by the next call."""
        for digest, content in list(self._unrecorded.items()):
            with suppress(RecordUnavailable):
                if read_content(url, digest) is None:
                    add_event(url, EVENT, "cds-hooks", {"digest": digest, "content": msgspec.Raw(_encode(content))})
                self._unrecorded.pop(digest, None)


def read_content(url: str, digest: str) -> Content | None:
    """Return what was in force under this digest; None where the record does not have it.

    Raises:
        RecordUnavailable: The record cannot be read.
    """
    query = select(events.c.detail).where(events.c.kind == EVENT, events.c.detail.startswith(f'{{"digest":"{digest}"'))
    rows: Sequence[Any] = read_rows(url, query.limit(1))
    if not rows:
        return None
    content: Content = msgspec.json.decode(rows[0].detail)["content"]
    return content
