"""The policies of this process: those of the package, and the folder `coverage` beside the site's own rules."""

from functools import cache

from cards.coverage.approval import policy_tables
from cards.coverage.policy import Policies, load_policies
from cards.coverage.proposals import Proposals, load_proposals
from cards.rules.engine.governance import govern
from cards.rules.language.site import payer_folder


@cache
def policies() -> Policies:
    """Return the policies in force, read once.

    Raises:
        PolicyFault: A file of the payer's own folder cannot be used.
    """
    return load_policies(payer_folder())


@cache
def proposals() -> Proposals:
    """Return what the payer of the own folder proposes beside its answers, read once.

    Raises:
        PolicyFault: A file cannot be used.
    """
    return load_proposals(payer_folder(), policies().payers)


def govern_own_policies() -> None:
    """Make the policies of the payer's own folder rules of this site: with versions, approvals and switches.

    Raises:
        PolicyFault: A file of the folder cannot be used.
    """
    govern("coverage", policy_tables(policies()))
