"""Roles of accounts count as a person of the site's file of people signed them; a changed row gives nobody a right."""

from datetime import UTC, date, datetime
from io import StringIO
from pathlib import Path

import pytest
from sqlalchemy import insert, update

from cds_hooks.access.accounts import EVENT
from cds_hooks.access.store import AccessStore, accounts
from cds_hooks.hold_back.acts import Grant
from cds_hooks.hold_back.grants import Grants
from cds_hooks.hold_back.people import People, Person, add_person, read_people
from cds_hooks.hold_back.signatures import sign_act
from cds_hooks.storage.entries import add_event
from models_onnx.artifact.keys import Signer, local_signer
from tests.cds_hooks.access.browsing import visit, with_account
from tests.cds_hooks.pages.test_decisions import trust_file_in
from tests.live import record_in
from tests.program import run_program

VIEWER = frozenset({"viewer"})


class Site:
    """A record and a file of people, Ann the pharmacist and Ben the physician."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = record_in(folder)
        self.file = folder / "people.toml"
        self.keys: dict[str, Signer] = {}
        for name, role in (("Ann Lee", "pharmacist"), ("Ben Ray", "physician")):
            self.keys[name], _ = local_signer(self.key(name), name)
            add_person(self.file, Person(name, role, self.keys[name].public))

    def key(self, name: str) -> Path:
        return self.folder / f"{name[:3].lower()}.pem"

    def run(self, *words: str, people: bool = True) -> str:
        environment = {"CDS_DATABASE_URL": self.url} | ({"CDS_PEOPLE_FILE": str(self.file)} if people else {})
        with pytest.MonkeyPatch.context() as typed:
            typed.setattr("sys.stdin", StringIO("four words of my own\n"))
            done = run_program(*words, environment=environment)
        return " ".join((done.stdout + done.stderr).split())

    def add(self, name: str, role: str, *words: str, people: bool = True) -> str:
        return self.run("accounts", "add", name, "--role", role, "--password-stdin", *words, people=people)

    def grants(self, people: People | None = None) -> Grants:
        judges = people or read_people(self.file)
        return Grants(self.url, lambda: judges)

    def forge(self, account: str, signer: Signer | None, grant: Grant, roles: list[str] | None = None) -> None:
        """An entry of the record that no command wrote."""
        signed = {"grant": sign_act(grant, signer)} if signer is not None else {}
        add_event(
            self.url, EVENT, "root", {"account": account, "act": "roles", "roles": roles or grant.roles, **signed}
        )


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_without_a_signed_grant_the_rows_count(site: Site) -> None:
    site.add("eve", "viewer", people=False)
    assert site.grants().counting("eve", VIEWER) == VIEWER


def test_with_a_file_of_people_an_account_is_made_with_a_signature(site: Site) -> None:
    assert "one of these people signs with --key" in site.add("cara", "operator")
    assert "can log in as operator" in site.add("cara", "operator", "--key", str(site.key("Ann Lee")))
    assert site.grants().counting("cara", frozenset({"operator"})) == {"operator"}
    changed = ("accounts", "change", "cara", "--role", "auditor")
    assert "signs with --key" in site.run(*changed)
    site.run(*changed, "--key", str(site.key("Ben Ray")))
    assert site.grants().counting("cara", frozenset({"operator", "auditor"})) == {"auditor"}
    assert "belongs to nobody" in site.add("dan", "viewer", "--key", str(_strange_key(site)))
    own = site.add("ann", "operator", "--full-name", "ann  lee", "--key", str(site.key("Ann Lee")))
    assert "Nobody grants roles to themselves" in own


def _strange_key(site: Site) -> Path:
    local_signer(site.folder / "strange.pem", "strange")
    return site.folder / "strange.pem"


def test_a_row_or_an_entry_that_nobody_signed_gives_no_right_and_is_found(site: Site) -> None:
    site.add("cara", "viewer", "--key", str(site.key("Ann Lee")))
    with AccessStore(site.url).transaction() as connection:
        connection.execute(update(accounts).values(roles="operator"))
        row = {"full_name": "E", "password_hash": "x", "state": "active", "changed_at": 0.0}
        connection.execute(insert(accounts).values(name="eve", roles="operator", **row))
    grant = _grant("cara", ["operator"])
    strange, _ = local_signer(_strange_key(site), "strange")
    site.forge("cara", None, grant)
    site.forge("cara", strange, grant)
    site.forge("cara", site.keys["Ben Ray"], grant)  # under another person's name
    site.forge("eve", site.keys["Ann Lee"], _grant("cara", ["viewer"]), ["operator"])  # of another account
    site.forge("cara", site.keys["Ann Lee"], _grant("cara", ["operator"], holder="Ann Lee"))
    site.forge("cara", site.keys["Ann Lee"], _grant("cara", ["operator"], at=datetime(2020, 1, 1, tzinfo=UTC)))
    grants = site.grants()
    operator = frozenset({"operator"})
    assert (grants.counting("cara", operator), grants.counting("eve", operator)) == (frozenset(), frozenset())
    assert len(grants.refused) == 6
    told = site.run("record", "verify")
    assert "nobody signed the roles of the account cara" in told


def _grant(account: str, roles: list[str], holder: str = "Cara", at: datetime | None = None) -> Grant:
    moment = (at or datetime.now(UTC)).isoformat(timespec="microseconds")
    return Grant(account=account, holder=holder, roles=roles, by="Ann Lee", role="pharmacist", at=moment)


def test_grants_stay_when_their_signer_leaves_and_end_when_the_key_is_forgotten(site: Site) -> None:
    site.add("cara", "viewer", "--key", str(site.key("Ann Lee")))
    site.add("dan", "viewer", "--key", str(site.key("Ben Ray")))
    people = read_people(site.file)
    left = {key: Person(p.name, p.role, p.key, datetime.now(UTC).date()) for key, p in people.by_key.items()}
    assert site.grants(People(left)).counting("cara", VIEWER) == VIEWER
    before = {key: Person(p.name, p.role, p.key, date(2020, 1, 1)) for key, p in people.by_key.items()}
    (site.folder / "people.toml").write_text(site.file.read_text() + "left_on = 2020-01-01\n")
    assert "grants nothing any more" in site.add("fay", "viewer", "--key", str(site.key("Ben Ray")))
    of_ben = {key: person for key, person in people.by_key.items() if person.name == "Ben Ray"}
    assert site.grants(People(of_ben)).counting("cara", VIEWER) == set()
    assert site.grants(People(before)).counting("cara", VIEWER) == set()
    judges = [people]
    grants = Grants(site.url, lambda: judges[0])
    assert grants.counting("cara", VIEWER) == VIEWER
    judges[0] = People(of_ben)
    assert (grants.counting("cara", VIEWER), grants.counting("dan", VIEWER)) == (frozenset(), VIEWER)


@pytest.mark.anyio
async def test_a_server_lets_in_whose_roles_were_signed(site: Site, tmp_path: Path) -> None:
    behind = {"trust_file": trust_file_in(tmp_path), "people_file": site.file}
    with_account(tmp_path, "bob", "auditor")
    async with visit(tmp_path, **behind) as person:
        assert (await person.log_in("bob")).status_code == 303
        assert (await person.open("/ops")).status_code == 200
        site.add("cara", "viewer", "--key", str(site.key("Ann Lee")))  # from now on roles are signed
        assert (await person.open("/ops")).status_code == 403
        refused = await person.log_in("bob")
        assert refused.status_code == 403
        assert "Nobody signed the roles of this account" in refused.text
        site.run("accounts", "change", "bob", "--role", "auditor", "--key", str(site.key("Ann Lee")))
        assert (await person.log_in("bob")).status_code == 303
        assert (await person.open("/ops")).status_code == 200
