"""What a candidate would have changed: a model, a rule, a rules file or a setting, tried on decisions of the record.

Each decision is computed twice, as the site is now and with the candidate, so that nothing else that changed since the
decision is counted.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice, tee
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from cards.extension import EXTENSION_KEY
from cards.rules.engine.governance import all_rule_versions
from cds_hooks.evidence.replay.replaying import AT_ONCE, Replayed, Replayer
from cds_hooks.evidence.replay.simulated_orders import NOT_KNOWN, group_of, group_words
from cds_hooks.evidence.replay.site import ReplaySite, open_site
from cds_hooks.evidence.storage.decision import Decision
from cds_hooks.people.governance.terminology import SUFFIX, index_in_force, use_terminology
from cds_hooks.settings import SETTINGS, Settings, with_settings
from models_onnx.artifact.folder import MANIFEST, VERSION_SIGN, load_artifact
from models_onnx.serving.registry import load_model
from models_onnx.serving.runtime import Model

_EXAMPLES: Final = 5


class NoCandidate(Exception):
    """What was named is no candidate; one sentence."""


def candidate_site(configured: Settings, candidates: Iterable[str]) -> ReplaySite:
    """Return the site with each candidate in place: a model's folder, rules file, index, CDS_NAME=value or RULE=off.

    Raises:
        NoCandidate: It is none of these.
        pydantic.ValidationError, RulesFileError, ArtifactRefused: It is one, and cannot be used.
    """
    changed: dict[str, Any] = {}
    models: dict[str, Model] = {}
    tried: dict[str, bool] = {}
    for candidate in candidates:
        name, _, value = candidate.partition("=")
        path = Path(candidate)
        if name.startswith("CDS_") and name.removeprefix("CDS_").lower() in SETTINGS:
            changed[name.removeprefix("CDS_").lower()] = value
        elif value in ("on", "off") and name in all_rule_versions():
            tried[name] = value == "on"
        elif (path / MANIFEST).is_file():
            # a version beside a model is there also where the one in use is that of the package
            is_version = VERSION_SIGN in path.name
            model = Model(load_artifact(path, signed=True)) if is_version else load_model(path.name, path.parent)
            models[model.manifest.id] = model
        elif path.suffix == SUFFIX and path.is_file():
            changed["terminology"] = path
        elif path.suffix == ".toml" and path.is_file():
            changed["rules_file"] = path
        elif not value and ("/" in candidate or path.suffix) and not path.exists():
            raise NoCandidate(f"{candidate} is not there; name a folder or a file that exists.")
        else:
            raise NoCandidate(
                f"{candidate} must be the folder of a model, a rules file (.toml), a terminology index (.idx), a "
                "setting as CDS_NAME=value, or a rule as RULE=on or RULE=off"
            )
    site = open_site(with_settings(configured, changed), models, tried)
    for model_id, model in models.items():
        served = site.served_model(model_id)
        if served is None:
            raise NoCandidate(f"no service here uses the model {model_id}")
        if served.features != model.features:
            raise NoCandidate(f"the candidate {model_id} has other inputs than the model in its place")
    return site


class Change(Struct, frozen=True):
    """What the candidate changes about one decision; `more` and `fewer` name rules, models or kinds of card."""

    decision: str
    service: str
    group: str
    more: tuple[str, ...] = ()
    fewer: tuple[str, ...] = ()
    is_other: bool = False
    """Whether a score or the words of a card differ."""
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    """What each card was about, as the site is now and with the candidate."""


class NotReplayed(Struct, frozen=True):
    """A decision of which nothing can be said, and why."""

    because: str


class ChangeReport(Struct):
    """Counts of what the candidate changes, and examples to open."""

    decisions: int = 0
    not_replayed: int = 0
    trials: int = 0
    """Calls from /try and about sample patients, which are left out: nobody is treated by their cards."""
    by_service: dict[str, Counter[str]] = {}
    by_card: dict[str, Counter[str]] = {}
    by_group: dict[str, Counter[str]] = {}
    cards: dict[str, Counter[str]] = {}
    """How many cards of each rule's band, model or kind there are `now` and `after` the change."""
    examples: dict[str, list[str]] = {}

    def take(self, change: Change | NotReplayed) -> None:
        """Count one decision."""
        if isinstance(change, NotReplayed):
            self.not_replayed += 1
            return
        self.decisions += 1
        for counted, name in ((self.by_service, change.service), (self.by_group, change.group)):
            counts = counted.setdefault(name, Counter())
            counts["decisions"] += 1
            counts["more"] += len(change.more)
            counts["fewer"] += len(change.fewer)
            counts["other"] += change.is_other
        for moment, names in (("now", change.before), ("after", change.after)):
            for name in names:
                self.cards.setdefault(name, Counter())[moment] += 1
        for kind, names in (("more", change.more), ("fewer", change.fewer)):
            for name in names:
                self.by_card.setdefault(name, Counter())[kind] += 1
                self._keep(f"{kind} {name}", change.decision)
        if change.is_other:
            self._keep(f"other {change.service}", change.decision)

    def _keep(self, name: str, decision: str) -> None:
        examples = self.examples.setdefault(name, [])
        if len(examples) < _EXAMPLES:
            examples.append(decision)


def changes(
    now: ReplaySite, candidate: ReplaySite, url: str, decisions: Iterable[Decision]
) -> Iterator[Change | NotReplayed]:
    """Yield what the candidate changes about each decision, or why it cannot be replayed."""
    for old, new in _both(now, candidate, url, decisions):
        if old.answer is None or new.answer is None:
            yield NotReplayed(old.because or new.because)
            continue
        before = Counter(_subjects(old))
        is_same = old.answer == new.answer
        after = before if is_same else Counter(_subjects(new))
        more, fewer = tuple((after - before).elements()), tuple((before - after).elements())
        is_other = not (more or fewer) and (old.scores != new.scores or (not is_same and old.response != new.response))
        cards = tuple(before.elements()), tuple(after.elements())
        yield Change(old.decision.id, old.decision.service, _group(old), more, fewer, is_other, *cards)


def _both(
    now: ReplaySite, candidate: ReplaySite, url: str, decisions: Iterable[Decision]
) -> Iterator[tuple[Replayed, Replayed]]:
    """Each decision computed twice; with another index a batch at a time, since a process reads one of them."""
    indexes = [index_in_force(site.components.settings, site.components.releases.current) for site in (now, candidate)]
    if indexes[0] == indexes[1]:
        first, second = tee(decisions)
        yield from zip(Replayer(now, url).replayed(first), Replayer(candidate, url).replayed(second), strict=True)
        return
    source = iter(decisions)
    try:
        while batch := list(islice(source, AT_ONCE)):
            rows = []
            for site, index in zip((now, candidate), indexes, strict=True):
                use_terminology(index)
                rows.append(list(Replayer(site, url).replayed(batch)))
            yield from zip(*rows, strict=True)
    finally:
        use_terminology(indexes[0])


def _subjects(row: Replayed) -> Iterator[str]:
    """Yield what each card is about: its rules, its model, or its kind."""
    for card in (row.response or {}).get("cards") or []:
        extension = card.get("extension", {}).get(EXTENSION_KEY, {})
        rules = [f"{finding['rule']}/{finding['band']}" for finding in extension.get("findings", [])]
        model = (extension.get("model") or {}).get("id")
        yield from rules or [model or extension.get("output") or row.decision.service]


def _group(row: Replayed) -> str:
    """Sex and age of the patient, as far as the record has them."""
    features = row.basis.features
    if "age_years" in features and "sex_male" in features:
        return group_words("male" if features["sex_male"][0] else "female", features["age_years"][0])
    if row.patient is not None:
        return group_of(row.patient.gender, row.patient.birthDate, row.basis.as_of.date())
    return NOT_KNOWN
