"""Files of signed acts that are handed in: what they change, and the sentence for each that is not taken."""

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from cards.rules.engine.governance import all_rule_versions
from cds_hooks.hold_back.acts import (
    Act,
    ApprovalRefused,
    Key,
    Statement,
    Subject,
    model_subject,
    rule_subject,
)
from cds_hooks.hold_back.releases import Releases
from cds_hooks.hold_back.signatures import FORMAT, MOST_ACTS, MOST_BYTES, read_signed, sign_act
from cds_hooks.hold_back.submission import HANDED_IN, ActDesk, ServedHere, Taken
from cds_hooks.monitor.versions import why_too_early
from cds_hooks.pages.model_files import ModelFiles
from cds_hooks.pages.rules.approvals import _models
from models_onnx.artifact.keys import Signer
from models_onnx.artifact.release_file import GateSummary, Release
from tests.cds_hooks.access.browsing import entries
from tests.cds_hooks.hold_back.test_approvals import Site
from tests.live import record_in
from tests.program import run_program

RULE = "renal-metformin"
DIGEST = all_rule_versions()[RULE].digest
NOW = datetime.now(UTC)
FILES = ModelFiles(None)


class Desk:
    """A site with people and keys, and the desk at which signed acts are handed in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.site = Site(record_in(folder), folder)
        self.versions: dict[Key, str] = {("rule", RULE): DIGEST}
        served = ServedHere(self.versions, ("order-safety",), *_models(FILES), why_too_early)
        self.desk = ActDesk(self.site.url, self.site.file, served)

    def approval(self, by: str = "Ann Lee", signer: Signer | None = None, **changes: Any) -> dict[str, Any]:
        role = {"Ann Lee": "pharmacist"}.get(by, "physician")
        own = {"Ann Lee": self.site.ann, "Ben Ray": self.site.ben, "Cara Dow": self.site.cara}.get(by)
        said = {"kind": "rule", "subject": dict(rule_subject(RULE, DIGEST)), "at": _iso(NOW), "role": role} | changes
        found = signer or own
        assert found is not None
        return sign_act(Statement(by=by, **said), found)

    def act(self, state: str, by: str = "Ann Lee", **changes: Any) -> dict[str, Any]:
        role = {"Ann Lee": "pharmacist"}.get(by, "physician")
        own = {"Ann Lee": self.site.ann, "Ben Ray": self.site.ben, "Cara Dow": self.site.cara}[by]
        said = {"kind": "rule", "name": RULE, "version": DIGEST, "at": _iso(NOW), "why": "a reason", "role": role}
        return sign_act(Act(state=state, by=by, **(said | changes)), own)  # type: ignore[arg-type] # words of the test

    def hand_in(self, *details: dict[str, Any], now: datetime | None = None) -> list[Any]:
        return self.desk.take(_file(details), "account vera", now or datetime.now(UTC))

    def refused(self, *details: dict[str, Any]) -> str:
        before = len(entries(self.folder, "approval")) + len(entries(self.folder, "release-act"))
        with pytest.raises(ApprovalRefused) as fault:
            self.hand_in(*details)
        assert len(entries(self.folder, "approval")) + len(entries(self.folder, "release-act")) == before
        return str(fault.value)

    def state(self) -> str:
        found = Releases(lambda: self.site.read_anew().people, self.versions)
        found.read(self.site.url)
        return found.current.words.get(f"rule {RULE}", "on")


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="seconds")


def _file(details: Sequence[dict[str, Any]]) -> str:
    return json.dumps({"format": FORMAT, "acts": list(details)})


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_the_files_of_two_people_approve_a_rule_and_the_record_says_who_handed_them_in(desk: Desk) -> None:
    (first,) = desk.hand_in(desk.approval(note="read with the label"))
    assert "signed by Ann Lee alone" in first.missing
    (second,) = desk.hand_in(desk.approval("Ben Ray"))
    assert (second.by, second.missing) == ("Ben Ray (physician)", "")
    book = desk.site.read_anew()
    assert book.refused == []
    assert book.why_not_approved("rule", rule_subject(RULE, DIGEST), NOW.date()) is None
    assert [actor for actor, _ in entries(desk.folder, "approval")] == ["Ann Lee", "Ben Ray"]
    assert [(actor, told["acts"]) for actor, told in entries(desk.folder, HANDED_IN)] == [("account vera", 1)] * 2


def test_an_act_that_cannot_count_is_refused_in_a_sentence_and_nothing_is_recorded(desk: Desk) -> None:
    changed = desk.approval()
    changed["statement"]["note"] = "added afterwards"
    of_old = {"subject": dict(rule_subject(RULE, "0" * 16))}
    for given, said in (
        (desk.approval(signer=desk.site.stranger), "its key belongs to nobody whom this site names"),
        (changed, "the signature does not belong to this statement"),
        (desk.approval("Ben Ray", desk.site.ann), r"it names Ben Ray \(physician\) and is signed by Ann Lee"),
        (desk.approval(role="medical director"), "it names Ann Lee"),
        (desk.approval(at=_iso(NOW - timedelta(days=31))), "more than 30 days ago; sign it again"),
        (desk.approval(at=_iso(NOW + timedelta(hours=1))), "not before now"),
        (desk.approval(at="2026-11-21T10:00:00"), "not before now in UTC"),
        (desk.approval(at="yesterday"), "does not say when it was signed"),
        (desk.approval(subject=of_old["subject"]), f"{RULE} is in version {DIGEST}, not 0000000000000000"),
        (desk.approval(subject={"rule": "<b>none</b>", "digest": DIGEST}), "there is no rule <b>none</b>"),
        (desk.approval(kind="model", subject={"model": "nobody"}), "there is no model nobody"),
        (desk.approval(kind="waiver", subject={"model": "mortality_5y", "gate": "G1"}), "not on the model's card"),
        (desk.approval(format="another/1"), "of a format that this version does not know"),
    ):
        assert re.search(said, desk.refused(given)), said


def test_the_same_person_and_the_same_act_are_refused_and_a_file_is_taken_whole_or_not_at_all(desk: Desk) -> None:
    assert "Act 2 of the file: the file has the same act" in desk.refused(desk.approval(), desk.approval(note="again"))
    wrong = desk.approval("Ben Ray", subject=dict(rule_subject("no-such-rule", DIGEST)))
    assert "Act 2 of the file: there is no rule" in desk.refused(desk.approval(), wrong)
    assert len(desk.hand_in(desk.approval(), desk.approval("Ben Ray"))) == 2
    assert "Ann Lee has signed rule" in desk.refused(desk.approval())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no file of signed acts"),
        ("{", "no file of signed acts"),
        ("[" * 100_000, "no file of signed acts"),
        ('{"format": "' + FORMAT + '", "acts": [{"statement": {"a": ' + "[" * 5000, "no file of signed acts"),
        ('{"format": "another/1", "acts": []}', "another format"),
        ('{"format": "' + FORMAT + '", "acts": []}', "0 acts"),
        ('{"format": "' + FORMAT + '", "acts": [{"statement": {}, "key": 1, "signature": ""}]}', "no file of signed"),
        ('{"format": "' + FORMAT + '", "acts": [], "more": 1}', "no file of signed acts"),
        ("-----BEGIN " + "PRIVATE KEY-----", "a private key, which belongs on no server: it was not kept"),
        (" " * (MOST_BYTES + 1), "larger than the"),
    ],
)
def test_what_is_no_such_file_is_refused_and_never_repeated(text: str, said: str) -> None:
    with pytest.raises(ApprovalRefused, match=said) as fault:
        read_signed(text)
    assert len(str(fault.value)) < 300


def test_more_acts_than_a_reviewed_list_has_are_refused() -> None:
    one = {"statement": {}, "key": "", "signature": ""}
    with pytest.raises(ApprovalRefused, match="1,001 acts"):
        read_signed(_file([one] * (MOST_ACTS + 1)))


def test_one_person_switches_off_and_two_in_two_roles_switch_on_again(desk: Desk) -> None:
    off = desk.act("off", at=_iso(NOW - timedelta(minutes=9)))
    (taken,) = desk.hand_in(off)
    assert (taken.what, taken.missing, desk.state()) == (f"rule {RULE} to off", "", "off")
    assert "was changed after this was signed, or it was handed in before" in desk.refused(off)
    later = _iso(datetime.now(UTC) + timedelta(seconds=2))
    (first,) = desk.hand_in(desk.act("on", at=later))
    assert "another person in another role" in first.missing
    assert desk.state() == "off"
    assert "Ann Lee (pharmacist) has signed this already" in desk.refused(desk.act("on", at=later))
    (second,) = desk.hand_in(desk.act("on", "Ben Ray", at=later))
    assert (second.missing, desk.state()) == ("", "on")


def test_an_act_about_what_is_not_here_or_cannot_be_now_is_refused(desk: Desk) -> None:
    for given, said in (
        (desk.act("off", version="0" * 16), "is here in another version than was signed"),
        (desk.act("off", name="nobody"), "there is no rule nobody"),
        (desk.act("off", kind="service", name="nobody", version=""), "there is no service nobody"),
        (desk.act("on"), "cannot become on"),
        (desk.act("canary", share=5), "cannot become canary"),
        (desk.act("shadow", share=0), "its share is not 1 to 100"),
        (desk.act("shadow", salt="no digits"), "its salt is not 32 hexadecimal digits"),
    ):
        assert said in desk.refused(given)


def test_a_model_and_its_waiver_are_approved_by_files(desk: Desk) -> None:
    release = FILES.release("mortality_5y")
    assert release is not None
    subject: Subject = model_subject(release)
    (waiver, *_) = _models(FILES)[1]("mortality_5y")
    model: dict[str, Any] = {"kind": "model", "subject": dict(subject)}
    taken = desk.hand_in(desk.approval(**model), desk.approval(kind="waiver", subject=dict(waiver)))
    assert [each.missing.partition(" is signed by ")[2][:13] for each in taken] == ["Ann Lee alone"] * 2
    other: dict[str, Any] = {"kind": "model", "subject": dict(subject) | {"gates": "0" * 64}}
    assert "with other files than were signed" in desk.refused(desk.approval("Ben Ray", **other))
    assert [each.missing for each in desk.hand_in(desk.approval("Ben Ray", **model))] == [""]


def test_the_commands_write_the_files_without_a_record(desk: Desk) -> None:
    away = {"CDS_PEOPLE_FILE": str(desk.site.file), "CDS_DATABASE_URL": f"sqlite:///{desk.folder}/nowhere.sqlite3"}
    key = str(desk.folder / "Ann Lee-pharmacist.pem")
    approve = ("approve", "rule", RULE, "--version", DIGEST, "--key", key, "--out", "approval.json")
    done = run_program(*approve, folder=desk.folder, environment=away)
    assert (done.returncode, done.stderr) == (0, "")
    assert "signed by Ann Lee (pharmacist). Hand it in at the page /rules." in done.stdout
    again = run_program(*approve, folder=desk.folder, environment=away)
    assert (again.returncode, "is there already" in again.stderr) == (1, True)
    off = ("release", "set", "off", "rule", RULE, "--why", "wrong", "--key", key, "--out", "off.json")
    assert run_program(*off, folder=desk.folder, environment=away).returncode == 0
    assert not (desk.folder / "nowhere.sqlite3").exists()
    soon = datetime.now(UTC) + timedelta(minutes=5)  # the commands signed by the clock, later than NOW
    for name in ("approval.json", "off.json"):
        text = (desk.folder / name).read_text()
        assert "PRIVATE" not in text
        assert len(desk.desk.take(text, "operator", soon)) == 1
    assert desk.state() == "off"


class Elsewhere(Desk):
    """A site whose model and monitor are those that a test says."""

    def __init__(self, folder: Path, release: Release, too_early: str | None = None) -> None:
        super().__init__(folder)
        versions: dict[Key, str] = {("model", release.id): "1"}
        self.asked: list[tuple[str, str, str]] = []

        def why_too_early(_url: str, version: str, since: str, now: datetime) -> str | None:
            self.asked.append((version, since, now.isoformat()))
            return too_early

        served = ServedHere(versions, ("order-safety",), lambda _name: release, lambda _name: (), why_too_early)
        self.desk = ActDesk(self.site.url, self.site.file, served)

    def of_model(self, state: str, by: str = "Ann Lee", **changes: Any) -> dict[str, Any]:
        members: dict[str, Any] = {"kind": "model", "name": "mortality_5y", "version": "1", "gates": GATES}
        return self.act(state, by, **(members | changes))


def _release(**changes: Any) -> Release:
    found = FILES.release("mortality_5y")
    assert found is not None
    return replace(found, **changes)


GATES = _release().files["gates.json"].sha256


@pytest.mark.parametrize("gates", [None, GateSummary(green=("G1",), red=("G4",))])
def test_a_model_without_a_green_report_of_its_gates_is_not_approved(tmp_path: Path, gates: GateSummary | None) -> None:
    red = _release(gates=gates, version="9.9.9")
    approval = Elsewhere(tmp_path, red)
    given = approval.approval(kind="model", subject=dict(model_subject(red)))
    assert approval.refused(given) == "mortality_5y 9.9.9 cannot be approved: its gates are not all green"


def test_an_act_about_a_model_is_of_the_gate_report_that_is_here(tmp_path: Path) -> None:
    desk = Elsewhere(tmp_path, _release())
    assert desk.refused(desk.of_model("off", gates="0" * 64)) == (
        "the model mortality_5y is here with another gate report than was signed"
    )
    assert desk.refused(desk.of_model("off", version="2")) == (
        "the model mortality_5y is here in another version than was signed"
    )
    (taken,) = desk.hand_in(desk.of_model("off"))
    assert taken == Taken("model mortality_5y to off", "Ann Lee (pharmacist)", "")


def test_acts_about_a_service_and_about_those_who_ask_need_no_version(tmp_path: Path) -> None:
    desk = Elsewhere(tmp_path, _release())
    taken = desk.hand_in(
        desk.act("off", kind="service", name="order-safety", version=""),
        *(desk.act("shadow", kind=kind, name="any name", version="") for kind in ("client", "unit", "user")),
    )
    assert [each.what for each in taken] == [
        "service order-safety to off",
        "client any name to shadow",
        "unit any name to shadow",
        "user any name to shadow",
    ]


@pytest.mark.parametrize(("too_early", "is_taken"), [("it was in shadow for 3 days of 14", False), (None, True)])
def test_a_model_in_shadow_becomes_canary_when_its_monitor_has_nothing_against_it(
    tmp_path: Path, too_early: str | None, *, is_taken: bool
) -> None:
    desk, begun = Elsewhere(tmp_path, _release(), too_early), _iso(NOW - timedelta(days=3))
    desk.hand_in(desk.of_model("shadow", at=begun))
    now = datetime.now(UTC)
    canary = desk.of_model("canary", share=5, at=_iso(now + timedelta(seconds=2)))
    if is_taken:
        (taken,) = desk.hand_in(canary, now=now)
        assert taken == Taken(
            "model mortality_5y to canary 5 %",
            "Ann Lee (pharmacist)",
            "it takes effect when another person in another role signs the same",
        )
        assert desk.asked == [("1", begun, now.isoformat())]
        desk.hand_in(desk.of_model("retired", at=_iso(now + timedelta(seconds=2))), now=now)
        return
    assert desk.refused(canary) == (
        f"the model mortality_5y cannot become canary yet: {too_early}; whoever tries it nevertheless types "
        "cds-hooks release set canary with --early at the server"
    )


def test_the_record_says_how_many_acts_of_which_keys_were_handed_in(desk: Desk) -> None:
    desk.hand_in(desk.approval(), desk.approval("Ben Ray"))
    ((actor, summary),) = entries(desk.folder, HANDED_IN)
    keys = sorted([desk.site.ann.public.id, desk.site.ben.public.id])
    assert (actor, summary) == ("account vera", {"by": "account vera", "acts": 2, "keys": keys})
