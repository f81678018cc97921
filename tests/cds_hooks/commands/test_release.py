"""`cds-hooks release`: how two versions are compared in words, and what is refused before anything is recorded."""

import json
from datetime import UTC, datetime
from pathlib import Path
from time import time
from types import SimpleNamespace
from typing import Any, get_args

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from cds_hooks.cli import app
from cds_hooks.commands import release
from cds_hooks.hold_back.acts import ActKind, ApprovalRefused
from cds_hooks.outcomes.followed import Performance, WithOutcomes
from cds_hooks.storage.database import engine_for, parse_url
from tests.cds_hooks.hold_back.clicking import ANN, RULE, Desk, put_command
from tests.cds_hooks.storage.samples import a_decision, store


def _with_outcomes(monkeypatch: pytest.MonkeyPatch, compared: WithOutcomes, bar: float | None, *more: str) -> Any:
    from cds_hooks.outcomes import followed, labels

    odds: list[float] = []

    def compare(rows: str, version: str, weight: float) -> WithOutcomes:
        odds.append(round(weight, 6))
        assert (rows, version) == ("url label", "cafe")
        return compared

    def rows_until_now(url: str, label: str, now: int) -> str:
        assert abs(now / 1e6 - time()) < 600
        return f"{url} {label}"

    manifest = SimpleNamespace(id="m", thresholds=SimpleNamespace(alerts_per_event=bar))
    monkeypatch.setattr(release, "_served_model", lambda _: SimpleNamespace(manifest=manifest))
    monkeypatch.setattr(labels, "site_labels", lambda _: {"m": "label"})
    monkeypatch.setattr(followed, "followed", rows_until_now)
    monkeypatch.setattr(followed, "compare_with_outcomes", compare)
    monkeypatch.setattr(release, "_version", lambda *_: ("cafe", ""))
    monkeypatch.setattr(release, "record_url", lambda _: "url")
    done = CliRunner().invoke(app, ["release", "--compare", "m@2", *more])
    return done, odds


def test_two_versions_are_compared_by_what_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = WithOutcomes(
        people=900,
        events=120,
        version=Performance(0.8, 1.1, 50, 12.34),
        other=Performance(0.75, 0.9, 60, 10.0),
        auroc=(0.05, -0.01, 0.11),
        net_benefit=(2.34, 1.0, 3.5),
        verdict="The version is better.",
    )
    done, odds = _with_outcomes(monkeypatch, whole, 5.0)
    assert done.stdout.splitlines() == [
        "m@2: AUROC 0.800, observed/expected 1.10, cards due 50, net benefit 12.3 per 1,000",
        "the other version: AUROC 0.750, observed/expected 0.90, cards due 60, net benefit 10.0 per 1,000",
        "Difference in AUROC: +0.050 (-0.010 to +0.110)",
        "Difference in net benefit: +2.340 (+1.000 to +3.500)",
        "900 people, 120 events. The version is better.",
    ]
    assert odds == [0.25]
    few = WithOutcomes(people=10, events=1, verdict="Too few.")
    done, odds = _with_outcomes(monkeypatch, few, None)
    assert done.stdout.splitlines() == ["10 people, 1 events. Too few."]
    from models_onnx.model_card.calibration import BAR

    assert odds == [round(1 / (BAR - 1), 6)]
    done, _ = _with_outcomes(monkeypatch, few, None, "--json")
    assert json.loads(done.stdout) == {
        "people": 10, "events": 1, "version": None, "other": None, "auroc": None, "net_benefit": None,
        "verdict": "Too few.",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("ward", "x", f"ward is no kind; there are {', '.join(get_args(ActKind))}"),
        ("rule", "nothing", "there is no rule nothing here"),
        ("equation", "nothing", "there is no equation nothing here"),
    ],
)
def test_what_is_not_served_here_is_refused(kind: str, name: str, words: str) -> None:
    with pytest.raises(ApprovalRefused) as refused:
        release._version(kind, name)
    assert str(refused.value) == words


def test_people_and_clients_have_no_version_and_models_have_that_of_their_file() -> None:
    for kind in ("client", "unit", "user"):
        assert release._version(kind, "anything") == ("", "")
    assert release._version("service", "order-safety") == ("", "")
    digest, gates = release._version("model", "mortality_5y")
    model = release._served_model("mortality_5y")
    assert digest == model.manifest.file.sha256
    assert len(gates) in (0, 64)


# `cds-hooks release set` and `list`: who may, what an act needs before it counts, and what is said of it.
WHY = ("--why", "a trial")
NOTHING_ELSE = "Everything shows cards by its approvals.\n"
EVERYTHING_ELSE = "Everything else shows cards by its approvals.\n"


class Site:
    """A record and the settings of a site."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.url = folder, f"sqlite:///{folder / 'record.sqlite3'}"
        store(self.url, a_decision())
        self.settings = SimpleNamespace(trust_file=None, model_state="validated")
        self.withheld: str | None = None
        self.asked: list[Any] = []
        monkeypatch.setattr(release, "settings", lambda: self.settings)
        monkeypatch.setattr(release, "record_url", lambda database: database or self.url)
        monkeypatch.setattr(release, "getuser", lambda: "ops")
        monkeypatch.setattr(release, "_version", lambda kind, _: ("cafe", "beef") if kind == "model" else ("", ""))
        monkeypatch.setattr(release, "_served_model", lambda name: f"the model {name}")
        monkeypatch.setattr(release, "why_withheld", self._why)

    def _why(self, *given: Any) -> str | None:
        self.asked.append(given)
        return self.withheld

    @staticmethod
    def run(*words: object) -> tuple[int, str, str]:
        done = CliRunner().invoke(app, ["release", *map(str, words)])
        return done.exit_code, done.stdout, done.stderr

    def set(self, *words: object) -> tuple[int, str, str]:
        return self.run(*words, *WHY)

    def acts(self) -> list[dict[str, Any]]:
        """The acts of the record, each without its instant, which is now."""
        rows: list[dict[str, Any]] = json.loads(self.run("--json")[1])["acts"]
        for row in rows:
            assert abs((datetime.now(UTC) - datetime.fromisoformat(row.pop("at"))).total_seconds()) < 600
        return rows


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(tmp_path, monkeypatch)


def _now(what: str, state: str) -> tuple[int, str, str]:
    return 0, f"The {what} is now {state}. Every server has it within a second.\n", ""


def test_in_the_development_profile_the_user_of_the_shell_acts(site: Site) -> None:
    assert site.run() == (0, NOTHING_ELSE, "")
    assert site.run("off", "service", "planning", *WHY) == _now("service planning", "off")
    assert site.run("shadow", "rule", "r", *WHY) == _now("rule r", "shadow")
    assert site.run("canary", "rule", "r", *WHY) == _now("rule r", "canary 5 %")
    assert site.run("canary", "rule", "r", "--share", 20, *WHY) == _now("rule r", "canary 20 %")
    assert site.run("on", "service", "planning", *WHY) == _now("service planning", "on")
    code, shown, errors = site.run()
    lines = shown.splitlines()
    assert (code, errors, lines[:2]) == (0, "", ["rule r: canary 20 %", EVERYTHING_ELSE.strip()])
    act = {"by": "ops (operator)", "why": "a trial", "version": "", "gates": ""}
    whats = ["service planning off", "rule r shadow", "rule r canary 5 %", "rule r canary 20 %", "service planning on"]
    assert site.acts() == [act | {"what": what} for what in whats]
    assert [line[:5] for line in lines[2:]] == ["Act: "] * 5
    assert lines[2].endswith(" service planning off by ops (operator): a trial")
    assert json.loads(site.run("--json")[1])["states"] == {"rule r": "canary 20 %"}


def test_what_cannot_become_so_is_refused_and_leaves_no_act(site: Site) -> None:
    refused = "The rule r is active and cannot become canary: canary comes after shadow or canary.\n"
    assert site.run("canary", "rule", "r", *WHY) == (1, "", refused)
    code, _, errors = site.run("off", "rule", "r", *WHY, "--database", f"sqlite:///{site.folder}/none.sqlite3")
    assert (code, errors.startswith("There is no record at ")) == (1, True)
    assert not (site.folder / "none.sqlite3").exists()
    assert site.acts() == []


def test_behind_a_trust_file_a_command_silences_and_lets_nothing_speak(site: Site) -> None:
    site.settings.trust_file = Path("trust.toml")
    assert site.set("shadow", "rule", "r") == _now("rule r", "shadow")
    refused = (
        "Behind a trust file canary takes two people in two roles, who log in and do it at the page of the rule or at "
        "/rules.\n"
    )
    assert site.set("canary", "rule", "r") == (1, "", refused)
    assert site.set("off", "client", "A hospital") == _now("client A hospital", "off")
    assert [row["what"] for row in site.acts()] == ["rule r shadow", "client A hospital off"]
    put_command(site.url, "on", "client", "A hospital")
    code, _, errors = site.run()
    assert (code, "it was typed as a command; a person who has logged in does it" in errors) == (1, True)


def test_behind_a_trust_file_the_list_has_what_waits_for_a_second_person(site: Site) -> None:
    site.settings.trust_file = Path("trust.toml")
    site.set("off", "rule", RULE)
    Desk(site.url).click(ANN, "on")
    (waits,) = [line for line in site.run()[1].splitlines() if line.startswith("Waits for a second person: ")]
    assert waits.endswith(f" rule {RULE} on by Ann Lee (pharmacist): a reason")
    assert [row["what"] for row in json.loads(site.run("--json")[1])["waiting"]] == [f"rule {RULE} on"]


def test_a_model_is_released_with_green_gates(site: Site) -> None:
    assert site.set("shadow", "model", "m") == _now("model m", "shadow cafe")
    assert site.asked == []
    site.withheld = "it is a draft"
    ungated = "The model m cannot be released: it is a draft. Run cds-hooks model gates m --record.\n"
    assert site.set("canary", "model", "m") == (1, "", ungated)
    assert site.asked == [("the model m",)]
    site.withheld = None
    assert site.set("canary", "model", "m") == _now("model m", "canary 5 % cafe")
    assert site.set("active", "model", "m") == _now("model m", "active cafe")
    assert {(row["version"], row["gates"]) for row in site.acts()} == {("cafe", "beef")}


def test_a_model_that_nobody_can_approve_here_is_not_released(site: Site) -> None:
    assert site.set("shadow", "model", "m") == _now("model m", "shadow cafe")
    site.settings.model_state = "approved"
    refused = (
        "The model m cannot be released: CDS_MODEL_STATE asks for two approvals, and without a trust file nobody can "
        "approve.\n"
    )
    assert site.set("canary", "model", "m") == (1, "", refused)
    assert [row["what"] for row in site.acts()] == ["model m shadow"]


def test_an_act_that_was_changed_is_refused_and_the_list_ends_with_1(site: Site) -> None:
    site.run("off", "service", "planning", *WHY)
    with engine_for(parse_url(site.url)).begin() as connection:
        connection.execute(text("DROP TRIGGER events_refuse_update"))
        connection.execute(text("UPDATE events SET detail = replace(detail, 'trial', 'fault')"))
    code, shown, errors = site.run()
    assert (code, shown, errors.count("\n"), errors[:1].isupper(), errors[-2:]) == (1, NOTHING_ELSE, 1, True, ".\n")
    code, shown, _ = site.run("--json")
    assert (code, json.loads(shown)["acts"], len(json.loads(shown)["refused"])) == (1, [], 1)
    assert release.acts_until(site.url, 0.0).refused == []
