"""Tables of our packages: whole rows, and equal cells once."""

import csv
from importlib.resources import files

# An ingredient has the classes of its ATC group, or stands here with the reason why it is no member.
TABLES = files("fhir.terminology") / "tables"

# Groups of which no class is given by the code alone: what they hold is decided one by one.
GROUPS_DECIDED_ONE_BY_ONE = {
    "A02BC": "vonoprazan is another kind of acid blocker", "A06A": "a laxative class is given to what rules name",
    "B01AB": "antithrombin is no heparin", "C02AA": "reserpine is no central alpha-2 agonist",
    "C08DA": "etripamil is a nasal spray for single attacks", "C09XX": "sparsentan is no renin inhibitor",
    "G04BD": "beta-3 agonists and flavoxate are no antimuscarinics",
    "G04BE": "alprostadil, apomorphine and papaverine are no PDE5 inhibitors", "H03BX": "not used by a rule",
    "J01CE": "a name longer than a summary takes; the brand is read as phenoxymethylpenicillin",
    "J01D": "faropenem is a penem", "J01E": "not used by a rule",
    "J01XD": "tinidazole is a nitroimidazole, which has rules of its own", "J01XX": "each of another kind",
    "L01": "cytotoxic and targeted drugs have rows of their own",
    "L04": "biologics and small molecules have rows of their own",
    "M03AA": "neuromuscular blockers are no muscle relaxants of Beers",
    "M03AC": "neuromuscular blockers are no muscle relaxants of Beers",
    "M03CA": "dantrolene is none of the muscle relaxants of Beers", "M04A": "not used by a rule",
    "N02BB": "not used by a rule", "N06AX": "each of another kind", "N06D": "not used by a rule",
    "R03": "inhaled drugs are told apart by their kinds, not by the group",
}  # fmt: skip
NO_MEMBERS = {
    "benzydamine": "acts where it is put", "bufexamac": "acts where it is put", "mangafodipir": "holds no gadolinium",
    "cannabidiol": "has rows of its own", "chondroitin sulfate": "no NSAID", "glucosamine": "no NSAID",
    "glucosaminoglycan polysulfate": "no NSAID", "diacerein": "no NSAID", "orgotein": "no NSAID",
    "oxaceprol": "no NSAID", "epoprostenol": "a vasodilator", "iloprost": "a vasodilator", "selexipag": "a vasodilator",
    "treprostinil": "a vasodilator", "lasmiditan": "no triptan", "atomoxetine": "no stimulant",
    "modafinil": "no amphetamine", "pemoline": "withdrawn", "solriamfetol": "no amphetamine",
    "fencamfamin": "withdrawn", "lofexidine": "no opioid", "fenyramidol": "withdrawn",
    "policosanol": "a food supplement", "cortivazol": "injected into joints",
}  # fmt: skip


def rows(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((TABLES / name).read_text(encoding="utf-8").splitlines()))


def test_every_ingredient_has_the_classes_of_its_group_or_a_reason() -> None:
    classes = {row["code"]: row["classes"] for row in rows("atc_groups.csv") if row["classes"]}
    without = []
    for row in rows("further_ingredients.csv"):
        codes = [code for code in row["atc"].split(";") if not code.startswith(tuple(GROUPS_DECIDED_ONE_BY_ONE))]
        groups = [group for group in classes for code in codes if code.startswith(group)]
        if groups and not row["classes"] and row["name"] not in NO_MEMBERS:
            without.append(f"{row['name']}: {groups}")
    assert without == []
