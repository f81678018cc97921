"""Tries a change to a rule or a model on the newest decisions of the record, while who asked waits for the answer.

Both sides are computed now, so that nothing else that changed in the meantime is counted. What takes longer is computed
by `cds-hooks decisions replay --against`, whose report has the same form.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Literal

from msgspec import Struct

from cds_hooks.pages.model_files import ModelFiles
from cds_hooks.replay.candidates import Report, candidate_site, changes
from cds_hooks.replay.site import Site, open_site
from cds_hooks.settings import Settings, with_settings
from cds_hooks.settings.checks import parts_of
from cds_hooks.storage.decision import Decision
from cds_hooks.storage.queries import DecisionFilter, find_decisions


class Trial(Struct, frozen=True):
    """What is tried. `value` is the version (name of its folder) or the share in per cent of a model's trial."""

    kind: Literal["rule", "model"]
    name: str
    title: str
    change: Literal["speaks", "off", "version", "share"]
    most: int
    value: str = ""

    @property
    def words(self) -> str:
        """What is changed, in words: "switched off"."""
        return {
            "speaks": "it shows its cards",
            "off": "switched off",
            "version": f"version {self.value}",
            "share": f"cards for {self.value} in 100 patients",
        }[self.change]

    def is_about(self, card: str) -> bool:
        """Return whether a card that is about this is one of the rule or model."""
        return (card if self.kind == "model" else card.partition("/")[0]) == self.name


class Outcome(Struct, frozen=True):
    """What came of a trial: the report, and how many cards of what was tried there are now and after the change."""

    trial: Trial
    report: Report
    now: int
    after: int


def run_trial(configured: Settings, trial: Trial) -> Outcome:
    """Return what the change does to the newest decisions; up to a minute of processor time.

    Raises:
        NoCandidate, ArtifactRefused, RulesFileError, RecordUnavailable: something cannot be used.
    """
    now, changed, report = open_site(configured), _changed_site(configured, trial), Report()
    for change in changes(now, changed, configured.database_url, _decisions(now, configured.database_url, trial)):
        report.take(change)
    counts = [counted for card, counted in report.cards.items() if trial.is_about(card)]
    return Outcome(trial, report, sum(count["now"] for count in counts), sum(count["after"] for count in counts))


def _changed_site(configured: Settings, trial: Trial) -> Site:
    if trial.kind == "rule":
        return open_site(configured, tried={trial.name: trial.change == "speaks"})
    if trial.change == "share":
        others = [part for part in parts_of(configured.alert_share or "") if not part.startswith(f"{trial.name}=")]
        text = ",".join([*others, f"{trial.name}={int(trial.value) / 100}"])
        return open_site(with_settings(configured, {"alert_share": text}))
    return candidate_site(configured, [str(ModelFiles(configured.models_folder).folder(trial.value))])


def _decisions(site: Site, url: str, trial: Trial) -> Iterator[Decision]:
    """Return the newest decisions of the services that can show what is tried."""
    services = {name for name, service in site.services.items() if _can_show(service.models, trial)}
    decisions = find_decisions(url, DecisionFilter(has_trials=False), min(500, trial.most))
    return islice(
        (decision for decision in decisions if decision.service in services and decision.outcome != "error"),
        trial.most,
    )


def _can_show(models: Iterable[object], trial: Trial) -> bool:
    """Return whether a service asks the model; of a rule, whether it asks no model, as all that judge orders."""
    ids = [getattr(getattr(model, "manifest", None), "id", "") for model in models]
    return trial.name in ids if trial.kind == "model" else not ids
