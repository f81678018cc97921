"""The accounts as the recorded acts made them."""

from typing import Final

from msgspec import Struct

ACCOUNT_EVENT: Final = "account-act"
"""The kind of the entries of the record that say who made or changed an account; written by the command."""
_STATES: Final = {"add": "active", "enable": "active", "disable": "disabled"}


class AccountAct(Struct, frozen=True):
    """The detail of an entry about an account: which, what was done, and the roles where these are new."""

    account: str
    act: str
    roles: list[str] | None = None


class RecordedAccount(Struct, frozen=True):
    """Roles and state of an account as the acts leave it."""

    roles: frozenset[str] = frozenset()
    state: str = ""

    @property
    def role_words(self) -> str:
        """The roles with commas between."""
        return ",".join(sorted(self.roles))


class RecordedAccounts:
    """The accounts that the acts made, which are taken in the order of the record."""

    def __init__(self) -> None:
        self.made: dict[str, RecordedAccount] = {}

    def take(self, act: AccountAct) -> None:
        """Take one act."""
        before = self.made.get(act.account, RecordedAccount())
        roles = frozenset(act.roles) if act.roles is not None else before.roles
        self.made[act.account] = RecordedAccount(roles, _STATES.get(act.act, before.state))
