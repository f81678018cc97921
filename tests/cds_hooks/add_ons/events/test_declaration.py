"""What a site may declare of its feeds, and the sentence that refuses what cannot be used."""

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec import UNSET

from cds_hooks.add_ons.events.declaration import (
    Declaration,
    DeclarationFault,
    EffectRule,
    MllpFeed,
    SubscriptionFeed,
    Tls,
    Webhook,
    read_declaration,
)
from tests.each import each_row

LAB = '[feed.lab]\nkind = "mllp"\nlisten = "127.0.0.1:2575"\n'
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


@each_row(("text", "sentence"))
def test_what_cannot_be_used_is_refused_with_its_place(text: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(DeclarationFault) as fault:
        read(tmp_path, text)
    said = str(fault.value).partition("; known are ")[0]
    assert said == f"{tmp_path / 'events.toml'}{sentence.format(folder=tmp_path)}"


def test_a_feed_that_other_machines_reach_has_tls(tmp_path: Path) -> None:
    for address in ("0.0.0.0:1", "[::]:1", "10.1.2.3:1"):
        lab = LAB.replace("127.0.0.1:2575", address)
        with pytest.raises(DeclarationFault, match="give it tls"):
            read(tmp_path, lab)
        assert read(tmp_path, f'{lab}tls = {{ certificate = "cert", key = "key" }}\n')


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
