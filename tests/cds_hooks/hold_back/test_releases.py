"""Acts that change what may show cards: whose signature counts, which state follows which, and who is in a canary."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cds_hooks.hold_back.acts import RELEASE_EVENT, Act, ActState
from cds_hooks.hold_back.people import People, Person, add_person
from cds_hooks.hold_back.releases import Releases, State, in_canary, why_not_allowed
from cds_hooks.hold_back.signatures import sign_act
from cds_hooks.storage.entries import add_event
from models_onnx.artifact.keys import Signer, local_signer
from tests.live import record_in
from tests.program import run_program

_RULE = "renal-metformin"


class _Site:
    """A record, and two people in two roles and one more."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = record_in(folder)
        self.signers: dict[str, tuple[Signer, str]] = {}
        for name, role in (("Ann Lee", "pharmacist"), ("Ben Ray", "physician"), ("Cid Orr", "pharmacist")):
            signer, _ = local_signer(folder / f"{name[:3]}.pem", name)
            self.signers[name] = signer, role
        by_key = {each.public.id: Person(name, role, each.public) for name, (each, role) in self.signers.items()}
        self.people = People(by_key, "people.toml")

    def act(self, state: ActState, by: str = "Ann Lee", signed_by: str | None = None, **more: Any) -> None:
        role = self.signers[by][1]
        about = {"kind": "rule", "name": _RULE, "at": "2026-11-21T10:00:00+00:00", "why": "a reason"} | more
        signer = self.signers[signed_by or by][0]
        add_event(self.url, RELEASE_EVENT, by, sign_act(Act(state=state, by=by, role=role, **about), signer))

    def releases(self, **more: Any) -> Releases:
        found = Releases(lambda: self.people, **more)
        found.read(self.url)
        return found

    def state(self) -> str:
        return self.releases().current.words.get(f"rule {_RULE}", "on")


@pytest.fixture
def site(tmp_path: Path) -> _Site:
    return _Site(tmp_path)


def test_one_person_silences_and_two_people_in_two_roles_let_speak(site: _Site) -> None:
    site.act("shadow")
    assert site.state() == "shadow"
    site.act("canary", share=5)
    site.act("canary", share=5)
    site.act("canary", by="Cid Orr", share=5)
    assert site.state() == "shadow"
    assert [each.by for each in site.releases().waiting_for_second()] == ["Ann Lee"]
    site.act("canary", by="Ben Ray", share=25)
    assert site.state() == "shadow", "another share is another act"
    site.act("canary", by="Ben Ray", share=5)
    assert site.state() == "canary 5 %"
    site.act("off", by="Cid Orr")
    assert site.state() == "off"
    site.act("on")
    site.act("on", by="Ben Ray")
    assert site.state() == "canary 5 %", "it comes back in the state that it had"


def test_no_state_is_skipped(site: _Site) -> None:
    for by in ("Ann Lee", "Ben Ray"):
        site.act("canary", by=by, share=5)
    assert site.state() == "on"
    site.act("shadow")
    for by in ("Ann Lee", "Ben Ray"):
        site.act("active", by=by)
    assert site.state() == "shadow"
    for state, share in (("canary", 5), ("active", 100)):
        for by in ("Ann Lee", "Ben Ray"):
            site.act(state, by=by, share=share)  # type: ignore[arg-type]
    assert site.state() == "active"
    assert "cannot become active: active comes after canary" in " ".join(site.releases().refused)


def test_what_nobody_of_the_site_signed_does_not_count(site: _Site, tmp_path: Path) -> None:
    site.act("off", by="Ann Lee", signed_by="Ben Ray")
    stranger, _ = local_signer(tmp_path / "stranger.pem", "Stranger")
    act = Act(kind="rule", name=_RULE, state="off", by="Ann Lee", role="pharmacist", at="2026-11-21", why="x")
    add_event(site.url, RELEASE_EVENT, "x", sign_act(act, stranger))
    add_event(site.url, RELEASE_EVENT, "x", sign_act(act, None))
    found = site.releases()
    assert found.current.words == {}
    assert len(found.refused) == 3
    assert "it names Ann Lee (pharmacist) and is signed by Ben Ray (physician)" in found.refused[0]


def test_an_act_that_was_changed_in_the_record_does_not_count(site: _Site) -> None:
    site.act("off")
    with closing(sqlite3.connect(site.folder / "decisions.sqlite3")) as connection, connection:
        connection.execute("DROP TRIGGER IF EXISTS events_no_update")
        triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'events'")
        for (name,) in triggers.fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("UPDATE events SET detail = replace(detail, 'a reason', 'b reason')")
    found = site.releases()
    assert found.current.words == {}
    assert "it was changed after it was written" in found.refused[0]


def test_a_canary_has_the_same_patients_everywhere_and_more_with_a_larger_share() -> None:
    salt = "0b" * 16
    patients = [f"patient-{number}" for number in range(2000)]
    few = {each for each in patients if in_canary(State("canary", share=5, salt=salt), "a", each)}
    more = {each for each in patients if in_canary(State("canary", share=25, salt=salt), "a", each)}
    assert few < more
    assert 60 < len(few) < 150
    assert 420 < len(more) < 580
    other = {each for each in patients if in_canary(State("canary", share=5, salt="0c" * 16), "a", each)}
    assert other != few, "another release chooses other patients"


def test_a_larger_share_keeps_the_salt_of_the_first(site: _Site) -> None:
    site.act("shadow")
    salts = []
    for share in (5, 25):
        for by in ("Ann Lee", "Ben Ray"):
            site.act("canary", by=by, share=share)
        salts.append(site.releases().current.states["rule", _RULE].salt)
    assert salts[0] == salts[1]


def test_another_version_than_was_released_is_not_shown(site: _Site) -> None:
    site.act("shadow", version="v1")
    for by in ("Ann Lee", "Ben Ray"):
        site.act("canary", by=by, share=99, version="v1")
        site.act("active", by=by, version="v1")
    for by in ("Ann Lee", "Ben Ray"):
        site.act("active", by=by, version="v1")
    assert site.state() == "active v1"
    same = site.releases(versions={("rule", _RULE): "v1"}).current
    assert same.why_withheld("rule", _RULE, "a", "patient-1") is None
    other = site.releases(versions={("rule", _RULE): "v2"}).current
    withheld = other.why_withheld("rule", _RULE, "a", "patient-1")
    assert withheld is not None
    assert withheld.reason == "shadow"
    assert "another version is served than was released" in withheld.text


def test_the_commands_refuse_in_sentences_and_list_every_act(tmp_path: Path) -> None:
    env = {"CDS_DATABASE_URL": record_in(tmp_path)}

    def run(*words: str) -> tuple[int, str]:
        done = run_program("release", *words, environment=env)
        return done.returncode, done.stdout + done.stderr

    assert run("set", "off", "service", "nothing", "--why", "x")[0] == 1
    assert "There is no rule nothing here." in run("set", "shadow", "rule", "nothing", "--why", "x")[1]
    assert "cannot become canary" in run("set", "canary", "rule", _RULE, "--why", "x")[1]
    refused = run("set", "shadow", "service", "order-safety", "--why", "x")[1]
    assert "shadow is a state of rules, models and equations" in refused
    assert "now off" in run("set", "off", "client", "A hospital", "--why", "a trial")[1]
    assert run("set", "shadow", "model", "mortality_5y", "--why", "first weeks")[0] == 0
    code, printed = run("list", "--json")
    found = json.loads(printed)
    assert code == 0
    assert found["states"]["client A hospital"] == "off"
    model = next(each for each in found["acts"] if each["what"] == "model mortality_5y shadow")
    assert len(model["gates"]) == 64, "the act names the gate report by its digest"


def test_behind_a_trust_file_a_model_becomes_canary_only_after_its_time_in_shadow(tmp_path: Path) -> None:
    for key, person, role in (("ann", "Ann Lee", "pharmacist"), ("ben", "Ben Ray", "physician")):
        signer, _ = local_signer(tmp_path / f"{key}.pem", person)
        add_person(tmp_path / "people.toml", Person(person, role, signer.public))
    (tmp_path / "trust.toml").write_text("version = 1\n")
    env = {
        "CDS_DATABASE_URL": record_in(tmp_path),
        "CDS_TRUST_FILE": str(tmp_path / "trust.toml"),
        "CDS_PEOPLE_FILE": str(tmp_path / "people.toml"),
    }

    def run(*words: str, key: str = "ann") -> str:
        signed = ("model", "mortality_5y", "--why", "a trial", "--key", str(tmp_path / f"{key}.pem"))
        done = run_program("release", *words, *signed, environment=env)
        return " ".join((done.stdout + done.stderr).split())

    assert "is now shadow" in run("set", "shadow")
    assert "cannot become canary yet: it is in shadow for 0.0 of at least 7 days" in run("set", "canary")
    assert "takes effect when another person in another role signs the same" in run("set", "canary", "--early")
    other_share = run("set", "canary", "--share", "40", "--early", key="ben")
    assert "signs the same" in other_share, "another share is another act"
    assert "is now canary" in run("set", "canary", "--early", key="ben"), "whatever else waits"


def test_a_model_that_may_show_no_cards_becomes_neither_canary_nor_active(tmp_path: Path) -> None:
    env = {"CDS_DATABASE_URL": record_in(tmp_path), "CDS_MODEL_STATE": "active"}

    def run(state: str) -> str:
        done = run_program("release", "set", state, "model", "mortality_5y", "--why", "a trial", environment=env)
        return " ".join((done.stdout + done.stderr).split())

    assert "is now shadow" in run("shadow")
    assert "cannot be released: mortality_5y" in run("canary")
    assert "is now off" in run("off"), "everything that silences goes on"


def test_a_unit_is_looked_for_only_where_an_act_is_about_one(site: _Site) -> None:
    def units() -> list[str]:
        asked.append(True)
        return ["icu"]

    asked: list[bool] = []
    site.act("shadow", kind="client", name="training")
    current = site.releases().current
    assert (current.silent_mode("training", units, None) is None, asked) == (False, [])
    assert (current.silent_mode("ehr", units, None), asked) == (None, [])
    site.act("shadow", kind="unit", name="icu")
    current = site.releases().current
    assert (current.silent_mode("ehr", units, None) is None, asked) == (False, [True])
    assert current.silent_mode("ehr", lambda: ["ward"], None) is None


@pytest.mark.parametrize(
    ("kind", "name", "is_allowed"),
    [("model", "mortality_5y@2", True), ("model", "mortality_5y", False), ("rule", f"{_RULE}@2", False)],
)
def test_only_a_version_beside_the_one_in_use_begins_without_a_state(kind: str, name: str, *, is_allowed: bool) -> None:
    assert (why_not_allowed({}, kind, name, "shadow") is None) is True
    assert (why_not_allowed({}, kind, name, "active") is None) is False
    words = why_not_allowed({}, kind, name, "canary") or ""
    assert ("is active and cannot" in words) is not is_allowed
