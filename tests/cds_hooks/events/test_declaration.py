"""What a site may declare of its feeds, and the sentence that refuses what cannot be used."""

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec import UNSET

from cds_hooks.events.declaration import (
    Declaration,
    DeclarationFault,
    EffectRule,
    MllpFeed,
    SubscriptionFeed,
    Tls,
    Webhook,
    read_declaration,
)

LAB = '[feed.lab]\nkind = "mllp"\nlisten = "127.0.0.1:2575"\n'
BROKER = '[feed.b]\nkind = "broker"\nsubject = "labs"\n'
SUBSCRIPTION = '[feed.s]\nkind = "subscription"\ntopic = "t"\n'
HOOK = "[webhook.h]\n"


def read(folder: Path, text: str) -> Declaration:
    for name, content in {"short": "s" * 31, "secret": f"\n{'s' * 32}\n", "people": "p1\n\n p2 \n",
                          "codes.csv": "code,loinc\nKAL,2823-3\n", "empty.csv": "code,loinc\nKAL,\n",
                          "other.csv": "code,name\nKAL,x\n", "cert": "c", "key": "k"}.items():  # fmt: skip
        (folder / name).write_text(content, encoding="utf-8")
    path = folder / "events.toml"
    path.write_text(text, encoding="utf-8")
    return read_declaration(path, {"s1", "s2"})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('timezone = "Mars/North"', ": 'Mars/North' is no time zone, as Europe/Berlin"),
        ('timezone = "../x"', ": '../x' is no time zone, as Europe/Berlin"),
        ("[[downtime]]\nstart = 2026-12-01T01:00:00\nend = 2026-12-01T02:00:00Z",
         ": a downtime has no offset; write it as 2026-12-01T01:00:00-05:00"),
        ("[[downtime]]\nstart = 2026-12-01T01:00:00Z\nend = 2026-12-01T02:00:00",
         ": a downtime has no offset; write it as 2026-12-01T01:00:00-05:00"),
        (f'{LAB}[[downtime]]\nstart = 2026-12-01T01:00:00Z\nend = 2026-12-01T02:00:00Z\nfeeds = ["lab", "x"]',
         ": 'x' is named, and there is no such feed"),
        (f'{LAB}patients_from = "adt"', ": 'adt' is named, and there is no such feed"),
        ('notify = "http://elsewhere.example/"', ": notify is an address with https, or with http on this machine"),
        (f'{SUBSCRIPTION}subscription = "https://ehr.example/Subscriptions/1"',
         ": the subscription of feed.s is not the address of a Subscription"),
        ('[feed.lab]\nkind = "mllp"\nlisten = "2575"', ": feed.lab: listen is '2575'; write it as 127.0.0.1:2575"),
        (f'{LAB}timezone = "Nowhere"', ": feed.lab: 'Nowhere' is no time zone, as Europe/Berlin"),
        (f'{LAB}charset = "klingon"', ": feed.lab: 'klingon' is no character set"),
        (f'{LAB}tls = {{ certificate = "cert", key = "gone" }}', ": feed.lab: {folder}/gone is not there"),
        (f'{LAB}tls = {{ certificate = "cert", key = "key", client_ca = "no" }}',
         ": feed.lab: {folder}/no is not there"),
        (f'{LAB}codes = "gone.csv"', ": feed.lab: {folder}/gone.csv is no CSV file with the columns code and loinc"),
        (f'{LAB}codes = "empty.csv"', ": feed.lab: {folder}/empty.csv is no CSV file with the columns code and loinc"),
        (f'{LAB}codes = "other.csv"', ": feed.lab: {folder}/other.csv is no CSV file with the columns code and loinc"),
        (f'{BROKER}url = "http://b"',
         ": feed.b: url begins with none of nats://, tls://, amqp://, amqps://, redis://, rediss://, kafka://"),
        ('[feed.b]\nkind = "broker"\nsubject = ""\nurl = "redis://b"', ": feed.b: subject is missing"),
        (f'{BROKER}url = "nats://b"', ": feed.b: stream is missing, the JetStream stream of the subject"),
        (f'{BROKER}url = "tls://b"', ": feed.b: stream is missing, the JetStream stream of the subject"),
        ('[feed.f]\nkind = "folder"\nfolder = "gone"', ": feed.f: the folder {folder}/gone is not there"),
        ('[effect.e]\nservices = ["s1", "x"]', ": effect.e names 'x', which is neither a service nor a feed here"),
        (f'{LAB}[effect.e]\nservices = ["s1"]\nfeeds = ["lab", "y"]',
         ": effect.e names 'y', which is neither a service nor a feed here"),
        ('[effect.e]\nservices = ["s1"]\npatients = "gone"', ": the patients of effect.e cannot be read"),
        (f'{HOOK}url = "https://x.example"\nsecret_file = "gone"',
         ": the secret of webhook.h cannot be read: No such file or directory"),
        (f'{HOOK}url = "https://x.example"\nsecret_file = "short"',
         ": the secret of webhook.h has fewer than 32 bytes"),
        (f'{HOOK}url = "http://x.example"\nsecret_file = "secret"',
         ": webhook.h is called over https, or over http on this machine only"),
        (f'{HOOK}url = "redis://b"', ": webhook.h: subject is missing"),
        ("x = 1", ": Object contains unknown field `x`"),
        (f"{LAB}x = 1", ": Object contains unknown field `x` - at `$.feed[...]`"),
        (f'{BROKER}url = "redis://b"\nx = 1', ": Object contains unknown field `x` - at `$.feed[...]`"),
        (f'{SUBSCRIPTION}subscription = "https://x"\nx = 1', ": Object contains unknown field `x` - at `$.feed[...]`"),
        (f'{LAB}tls = {{ certificate = "c", key = "k", x = 1 }}',
         ": Object contains unknown field `x` - at `$.feed[...].tls`"),
        ('[effect.e]\nservices = []\nx = 1', ": Object contains unknown field `x` - at `$.effect[...]`"),
        (f'{HOOK}url = "https://x"\nx = 1', ": Object contains unknown field `x` - at `$.webhook[...]`"),
        ("[[downtime]]\nstart = 2026-12-01T01:00:00Z\nend = 2026-12-01T02:00:00Z\nx = 1",
         ": Object contains unknown field `x` - at `$.downtime[0]`"),
        ("no toml", " is not valid TOML: Expected '=' after a key in a key/value pair (at line 1, column 4)"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_with_its_place(text: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(DeclarationFault) as fault:
        read(tmp_path, text)
    assert str(fault.value) == f"{tmp_path / 'events.toml'}{sentence.format(folder=tmp_path)}"


def test_what_is_declared_is_completed_by_the_files_that_it_names(tmp_path: Path) -> None:
    tls = 'tls = { certificate = "cert", key = "key" }\ncodes = "codes.csv"\ntimezone = "Europe/Berlin"\n'
    effect = '[effect.some]\nservices = ["s2"]\nfeeds = ["lab"]\npatients = "people"\n[effect.all]\nservices = ["s1"]\n'
    hook = f'{HOOK}url = "http://localhost:1/"\nsecret_file = "secret"\n'
    feed = f'{SUBSCRIPTION}subscription = "https://ehr.example/Subscription/a/Subscription/1"\npatients_from = "lab"\n'
    declaration = read(tmp_path, f'notify = "https://x"\n{LAB}{tls}{feed}{effect}{hook}')
    lab, subscription = declaration.feed["lab"], declaration.feed["s"]
    assert isinstance(lab, MllpFeed)
    assert (lab.name, lab.zone, lab.local_codes) == ("lab", ZoneInfo("Europe/Berlin"), {"KAL": "2823-3"})
    assert lab.tls == Tls(str(tmp_path / "cert"), str(tmp_path / "key"), "")
    assert isinstance(subscription, SubscriptionFeed)
    assert (subscription.name, subscription.server) == ("s", "https://ehr.example/Subscription/a")
    assert declaration.effect == {
        "some": EffectRule(services=("s2",), feeds=("lab",), patients="people", panel=frozenset({"p1", "p2"})),
        "all": EffectRule(services=("s1",)),
    }
    assert declaration.effect["all"].panel is UNSET
    assert declaration.webhook == {"h": Webhook(url="http://localhost:1/", secret_file="secret", secret=b"s" * 32)}  # noqa: S106 - the name of a file
    pairs = [(feed, patient) for feed in ("lab", "adt") for patient in ("p1", "p3")]
    applies = {name: [pair for pair in pairs if rule.is_for(*pair)] for name, rule in declaration.effect.items()}
    assert applies == {"some": [("lab", "p1")], "all": pairs}


def coded(code: str, system: str = "L") -> dict[str, Any]:
    return {"coding": [{"code": code, "system": system}]}


def test_a_local_code_gets_the_loinc_code_of_the_site_in_front() -> None:
    feed = MllpFeed(listen="127.0.0.1:1", local_codes={"KAL": "2823-3", "2823-3": "1-1"})
    loinc = {"system": "http://loinc.org", "code": "2823-3"}
    cases: tuple[tuple[dict[str, Any], object], ...] = (
        (coded("KAL"), [loinc, {"code": "KAL", "system": "L"}]),
        (coded("NA"), coded("NA")["coding"]),
        (coded("2823-3", "http://loinc.org"), coded("2823-3", "http://loinc.org")["coding"]),
        ({"coding": []}, []),
        ({"coding": [{"code": "X"}, {"code": "KAL"}]}, [loinc, {"code": "X"}, {"code": "KAL"}]),
    )
    for concept, expected in cases:
        feed.map_codes(concept)
        assert concept["coding"] == expected
    words: dict[str, Any] = {"text": "Kalium"}
    feed.map_codes(words)
    assert words == {"text": "Kalium"}
    assert (feed.identifier_system, MllpFeed(name="lab", listen="x", authority="S").identifier_system) == (
        "urn:v2:",
        "urn:v2:S",
    )
    assert MllpFeed(name="lab", listen="x").identifier_system == "urn:v2:lab"
