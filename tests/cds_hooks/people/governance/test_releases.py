"""Acts that change what may show cards: whose act counts, which state follows which, and who is in a canary."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cds_hooks.call.hold_back.released import Released, State
from cds_hooks.people.governance.act_desk import LoggedIn
from cds_hooks.people.governance.acts import COMMAND, ActState, ApprovalRefused
from models_onnx.serving.registry import load_model
from tests.cds_hooks.people.governance.clicking import ANN, BEN, RULE, Desk
from tests.each import each_row
from tests.hardening.two_clients import write_site
from tests.live import record_in
from tests.program import run_program


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(record_in(tmp_path))


def _by_two(desk: Desk, state: ActState, **more: Any) -> None:
    for person in (ANN, BEN):
        desk.put_act(person, state, **more)


@each_row(("state", "changes", "said"))
def test_what_cannot_become_so_is_refused_and_leaves_no_act(
    desk: Desk, state: str, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ApprovalRefused, match=said):
        desk.click(ANN, state, **changes)
    assert desk.releases().acts == []


def test_a_model_becomes_canary_after_its_time_in_shadow_or_where_somebody_says_so(desk: Desk) -> None:
    release = load_model("mortality_5y").artifact.release
    assert release is not None
    about = {"kind": "model", "name": "m", "version": "v1"}
    desk.releases_by_model["m"] = release
    desk.click(ANN, "shadow", **about)
    desk.too_early = "it is in shadow for 0.0 of at least 7 days"
    with pytest.raises(ApprovalRefused, match="cannot become canary yet: it is in shadow for"):
        desk.click(ANN, "canary", **about, share=5)
    for person in (ANN, BEN):
        desk.click(person, "canary", **about, share=5, early=True)
    assert desk.releases().current.words == {"model m": "canary 5 % v1"}
    assert {len(act.gates) for act in desk.releases().acts} == {64}, "the act names the gate report by its digest"


def test_behind_a_trust_file_a_command_silences_and_lets_nothing_speak(desk: Desk) -> None:
    ops = LoggedIn("root", "root", COMMAND, frozenset({"operator"}))
    desk.put_act(ops, "off")
    assert desk.state() == "off"
    desk.put_act(ops, "on")
    desk.put_act(BEN, "on")
    assert desk.state() == "off"
    assert "it was typed as a command; a person who has logged in does it" in desk.releases().refused[0]


def test_the_later_acts_of_somebody_who_was_removed_do_not_count(desk: Desk) -> None:
    desk.put_act(ANN, "shadow")
    desk.account("ann", "disable")
    desk.put_act(ANN, "off")
    assert desk.state().startswith("shadow")
    assert "no active account ann had the role pharmacist" in desk.releases().refused[0]


@each_row(("changes", "said"))
def test_an_act_that_no_page_can_have_taken_does_not_count(desk: Desk, changes: dict[str, Any], said: str) -> None:
    desk.put_act(ANN, "off", **changes)
    releases = desk.releases()
    assert (releases.current.words, len(releases.refused)) == ({}, 1)
    assert said in releases.refused[0]


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE events SET detail = replace(detail, 'a reason', 'b reason')", "it was changed after it was written"),
        ("DELETE FROM events WHERE kind = 'release-act'", "it was taken out"),
        ("DELETE FROM chain WHERE sequence = (SELECT min(sequence) FROM events WHERE kind = 'release-act') - 1",
         "it does not follow the row before it"),
        ("DELETE FROM chain WHERE of_table = 'events'", ""),
    ],
)  # fmt: skip
def test_an_act_that_was_changed_in_the_record_does_not_count(
    desk: Desk, tmp_path: Path, statement: str, said: str
) -> None:
    desk.put_act(ANN, "off")
    with closing(sqlite3.connect(tmp_path / "decisions.sqlite3")) as connection, connection:
        triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        for (name,) in triggers.fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute(statement)
    found = desk.releases()
    assert found.current.words == {}
    assert said in (*found.refused, "")[0]


def test_another_version_than_was_released_is_not_shown(desk: Desk) -> None:
    desk.put_act(ANN, "shadow", version="v1")
    _by_two(desk, "canary", share=99, version="v1")
    _by_two(desk, "active", version="v1")
    assert desk.state() == "active v1"
    same = desk.releases(versions={("rule", RULE): "v1"}).current
    assert same.why_withheld("rule", RULE, "a", "patient-1") is None
    other = desk.releases(versions={("rule", RULE): "v2"}).current
    withheld = other.why_withheld("rule", RULE, "a", "patient-1")
    assert withheld is not None
    assert withheld.reason == "shadow"
    assert "another version is served than was released" in withheld.text


def test_the_commands_refuse_in_sentences_and_list_every_act(tmp_path: Path) -> None:
    env = {"CDS_DATABASE_URL": record_in(tmp_path)}

    def run(*words: str) -> tuple[int, str]:
        done = run_program("release", *words, environment=env)
        return done.returncode, done.stdout + done.stderr

    assert run("off", "service", "nothing", "--why", "x")[0] == 1
    assert (
        "There is no rule nothing at this server; the page /rules lists those there are."
        in run("shadow", "rule", "nothing", "--why", "x")[1]
    )
    assert "cannot become canary" in run("canary", "rule", RULE, "--why", "x")[1]
    refused = run("shadow", "service", "order-safety", "--why", "x")[1]
    assert "shadow is a state of rules, models and equations" in refused
    assert "now off" in run("off", "client", "A hospital", "--why", "a trial")[1]
    trust = write_site(tmp_path, "https://fhir.example")[2]
    env |= {"CDS_TRUST_FILE": str(trust)}
    assert (
        "no client 'A hospitol' in the trust file; there are a, b"
        in run("off", "client", "A hospitol", "--why", "x")[1]
    )
    assert "now off" in run("off", "client", "b", "--why", "x")[1]
    del env["CDS_TRUST_FILE"]
    assert run("shadow", "model", "mortality_5y", "--why", "first weeks")[0] == 0
    code, printed = run("--json")
    found = json.loads(printed)
    assert code == 0
    assert found["states"]["client A hospital"] == "off"
    model = next(each for each in found["acts"] if each["what"] == "model mortality_5y shadow")
    assert len(model["gates"]) == 64, "the act names the gate report by its digest"


def test_a_canary_is_shown_to_its_share_of_the_patients_and_always_to_the_same() -> None:
    def shown(share: int) -> set[str]:
        current = Released(states={("model", "m"): State("canary", share=share, salt="00")})
        silences = {str(patient): current.why_withheld("model", "m", "ehr", str(patient)) for patient in range(1000)}
        assert {silence.reason for silence in silences.values() if silence is not None} <= {"canary"}
        return {patient for patient, silence in silences.items() if silence is None}

    assert (shown(0), len(shown(100))) == (set(), 1000)
    assert 20 <= len(shown(5)) <= 80
    assert shown(5) < shown(25)
