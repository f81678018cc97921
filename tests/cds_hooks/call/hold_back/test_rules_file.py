"""The rules file of a site: what it may say, and what is refused with a sentence."""

from pathlib import Path

import pytest

from cards.rules.engine.family import rule_families
from cards.rules.engine.governance import all_rule_versions
from cds_hooks.call.hold_back.site_file import RulesFileError, read_rules_file
from cds_hooks.people.governance.act_desk import ReviewedRule, refuse_unfit

RULE = "renal-metformin"
DIGEST = all_rule_versions()[RULE].digest
ZEROS = "0" * 16
CRITICAL = next(band.id for band in all_rule_versions()[RULE].rule.bands if band.indicator == "critical")


def test_another_version_than_the_one_that_is_there_cannot_be_approved() -> None:
    with pytest.raises(RulesFileError, match="read it again"):
        refuse_unfit([ReviewedRule(RULE, DIGEST), ReviewedRule(RULE, ZEROS)])
    with pytest.raises(RulesFileError, match="there is no rule nothing; the page /rules lists those there are"):
        refuse_unfit([ReviewedRule("nothing", DIGEST)])
    refuse_unfit([ReviewedRule(RULE, DIGEST)])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version = 2", "`version` must be 1; received another value"),
        ("version = ", "is not valid TOML"),
        ("x = " + "[" * 5_000, "is not valid TOML"),
        ("x = " + "9" * 5_000, "is not valid TOML"),
        ('version = 1\n[[switch]]\nrule = "renal-metformin"\noff = true', "note` is required and missing"),
        ('version = 1\n[[switch]]\nrule = "nothing"\noff = true\nnote = "x"', "there is no rule nothing"),
        ('version = 1\n[[switch]]\nfamily = "nothing"\noff = true\nnote = "x"', "there is no family of rules nothing"),
        ('version = 1\n[[switch]]\nfamily = "genes"\nbands_off = ["x"]\nnote = "x"', "genes has no bands; name a rule"),
        ('version = 1\n[[switch]]\noff = true\nnote = "x"', "either a rule or a family"),
        (f'version = 1\n[[switch]]\nrule = "{RULE}"\nbands_off = ["x"]\nnote = "x"', "has no band x"),
        (f'version = 1\n[[switch]]\nrule = "{RULE}"\nbands_off = ["{CRITICAL}"]\nnote = "x"', "is critical"),
        (f'version = 1\n[[switch]]\nrule = "{RULE}"\nnote = "x"', "has one of off = true, speak_from and bands_off"),
        ("version = 1\n[quiet_days]\ncritical = 400", "`quiet_days.critical` must be at most 7"),
        ('version = 1\n[[approval]]\nrule = "x"', "`approval` is not a known member; known are version, quiet_days"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "rules.toml").write_text(text)
    with pytest.raises(RulesFileError, match=said):
        read_rules_file(tmp_path / "rules.toml")


@pytest.mark.parametrize("switch", [f'rule = "{RULE}"\nbands_off = ["missing"]', 'rule = "not-covered"\noff = true'])
def test_missing_values_and_drugs_that_no_rule_is_about_can_be_switched_off(tmp_path: Path, switch: str) -> None:
    (tmp_path / "rules.toml").write_text(f'version = 1\n[[switch]]\n{switch}\nnote = "x"')
    assert len(read_rules_file(tmp_path / "rules.toml").switches) == 1


@pytest.mark.parametrize("family", [one.name for one in rule_families()])
def test_every_family_can_be_switched_for_a_client_and_a_unit(tmp_path: Path, family: str) -> None:
    file = tmp_path / "rules.toml"
    whom = 'clients = ["ehr"]\nunits = ["dialysis"]'
    file.write_text(f'version = 1\n[[switch]]\nfamily = "{family}"\noff = true\nnote = "not here"\n{whom}\n')
    switches = read_rules_file(file).switches
    of_family = {rule for rule, version in all_rule_versions().items() if version.table.family == family}
    assert set(switches) == of_family != set()
    for (switch,) in switches.values():
        assert switch.off
        assert switch.holds_for("ehr", {"dialysis", "ward"})
        assert not switch.holds_for("ehr", {"ward"})
        assert not switch.holds_for("other", {"dialysis"})


def test_of_a_family_only_what_is_loud_can_be_shown(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text('version = 1\n[[switch]]\nfamily = "orders"\nspeak_from = "warning"\nnote = "tests are ours"\n')
    switches = read_rules_file(file).switches
    assert {switch.speak_from for found in switches.values() for switch in found} == {"warning"}
    assert "lab-repeat" in switches
