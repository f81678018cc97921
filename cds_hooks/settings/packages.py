"""Names the packages from outside, before a service is found: their features, and how people approve them.

Each package is approved and switched off as rules are (docs/rules/governance.md): it is listed as the rule
`package-NAME`, whose version is another one with any change of a file of the package.

Names the folder of a site's own rules, with a payer's policies in it, before a rule is read.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cards.rules.engine.governance import govern
from cards.rules.language.rule import Audit, Band, Evidence, Rule, RuleTable, Trigger
from cards.rules.language.site import use_site_rules
from fhir.mapping.features.catalog import add_features
from fhir.mapping.features.feature import Feature
from models_onnx.declarations import declarations_of_packages
from models_onnx.packages import Package, name_packages

PACKAGE: Final = "package"
"""The band of the rule by which a package is approved and switched off."""


def use_packages(names: Iterable[str]) -> None:
    """Name the packages of this process, the first time or again; without a name nothing changes.

    Raises:
        PackageFault: One is not installed, or brings nothing.
        DeclarationError: A module of one cannot be imported.
        FeatureFault: A feature of one is declared wrongly, or has the name of another.
    """
    listed = name_packages(names)
    declared = declarations_of_packages("fhir.mapping.features", Feature)  # type: ignore[type-abstract]
    add_features(dict.fromkeys(declaration.module for declaration in declared))
    if listed:
        govern("packages", [_table(listed)])


def rule_of_package(name: str) -> str:
    """Return the id by which a package is approved and switched off."""
    return f"package-{name}"


def _table(listed: Iterable[Package]) -> RuleTable:
    rules = tuple(_rule(package) for package in listed)
    return RuleTable("packages", "Packages from outside", "", "in use", "CDS_PACKAGES", (), rules)


def _rule(package: Package) -> Rule:
    """Return a rule whose declaration holds version, digest and modules, so that any change is another version."""
    evidence = Evidence(package.words, package.name, "", package.kinds, package.words, "", "", "package")
    band = Band(PACKAGE, {"age_years": {"ge": 0}}, "info", package.kinds, package.words)
    audit = Audit("knowledge", package.words, "")
    title = f"Package from outside: {package.name} {package.version}"
    return Rule(rule_of_package(package.name), title, 0, Trigger(), (evidence,), audit, (band,))


def use_rules_of_site(folder: Path | None) -> None:
    """Names the folder; the policies of a folder `coverage` in it become rules of the site.

    Raises:
        RuleError, PolicyFault: A file of it cannot be used.
    """
    use_site_rules(folder)
    if folder is not None and (folder / "coverage").is_dir():
        from cards.coverage.store import govern_own_policies  # loaded only where a payer has policies of its own

        govern_own_policies()
