"""Names the folder of a site's own rules, with a payer's policies in it, before a rule is read."""

from pathlib import Path

from cards.rules.language.site import use_site_rules


def use_rules_of_site(folder: Path | None) -> None:
    """Names the folder; the policies of a folder `coverage` in it become rules of the site.

    Raises:
        RuleError, PolicyFault: A file of it cannot be used.
    """
    use_site_rules(folder)
    if folder is not None and (folder / "coverage").is_dir():
        from cards.coverage.store import govern_own_policies  # loaded only where a payer has policies of its own

        govern_own_policies()
