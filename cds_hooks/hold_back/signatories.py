"""Whose acts count: the local accounts as the recorded acts leave them at each point of the record.

An act of somebody whose account was disabled, or had lost the role, when it was recorded does not count, whichever
page or worker took it. For people of the site's OpenID provider the role is that of their login.
"""

from typing import Final

from cds_hooks.access.recorded_acts import EVENT as ACCOUNT_EVENT
from cds_hooks.access.recorded_acts import AccountAct, RecordedAccounts
from cds_hooks.access.roles import COMMITTEE
from cds_hooks.hold_back.act_log import Entry
from cds_hooks.hold_back.acts import COMMAND, LOCAL, ApprovalRefused, Signatory

__all__ = ["ACCOUNT_EVENT", "Signatories"]

_ACCOUNT: Final = "account "


class Signatories:
    """The people of one record, taken in its order."""

    def __init__(self) -> None:
        self._accounts = RecordedAccounts()

    def take(self, entry: Entry) -> None:
        """Take what was recorded about an account."""
        self._accounts.take(entry.read(AccountAct))

    def refuse(self, entry: Entry, act: Signatory, *, by_command: bool) -> None:
        """Raise ApprovalRefused where the act of this entry does not count.

        `by_command`: whether an act counts that was typed on the machine of the record, by nobody who has logged in.
        """
        if entry.actor != act.person:
            raise ApprovalRefused(f"it is of {act.person[:80]} and was recorded by {entry.actor[:80]}")
        if act.issuer == COMMAND:
            if not by_command:
                raise ApprovalRefused("it was typed as a command; a person who has logged in does it")
            return
        if act.role not in COMMITTEE:
            raise ApprovalRefused(f"the role {act.role[:40]} approves and releases nothing")
        if act.issuer == LOCAL:
            name = act.person.removeprefix(_ACCOUNT)
            account = self._accounts.made.get(name)
            if account is None or account.state != "active" or act.role not in account.roles:
                raise ApprovalRefused(f"no active account {name[:80]} had the role {act.role} when it was recorded")
