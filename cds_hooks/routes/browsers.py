"""Against pages of other sites in a browser of this machine: which Host headers are answered.

Without a trust file everyone on this machine may call, and the operator's listener on loopback asks for no token; so
could a page in this machine's browser. A page cannot read answers of another origin, but a name of its own site that is
changed to 127.0.0.1 while the page is open makes this server its own origin (DNS rebinding). Such a call carries that
name in its Host header.
"""

from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from cds_hooks.errors import MisdirectedRequest
from cds_hooks.routes.hooks import Send, log_refusal, send_refusal
from cds_hooks.storage.decision import new_decision_id


class HostCheck:
    """Answers to this machine's own names, to addresses, and to the host of `CDS_PUBLIC_URL`; no other name."""

    def __init__(self, public_url: str) -> None:
        self._names: Final = {"localhost", (urlsplit(public_url).hostname or "").lower()}
        self._last = b"localhost"

    def allows(self, host: bytes) -> bool:
        """Whether a request with this Host header is answered; one without comes from no browser."""
        if host == self._last:
            return True
        if not self._is_known(host):
            return False
        self._last = host
        return True

    def _is_known(self, host: bytes) -> bool:
        if b"@" in host or b"/" in host:
            return False
        try:
            name = urlsplit(f"//{host.decode('ascii')}").hostname or ""
        except ValueError:
            return False
        if name in self._names or name.endswith(".localhost"):
            return True
        try:
            ip_address(name)
        except ValueError:
            return False
        return True  # an address cannot be rebound


async def refuse_host(send: Send) -> None:
    """421: this name is not answered to."""
    text = "This server answers to this machine's names, to addresses and to the host of CDS_PUBLIC_URL only."
    call_id = new_decision_id()
    log_refusal("", MisdirectedRequest.status, MisdirectedRequest.__name__, call_id)
    await send_refusal(send, MisdirectedRequest(text), call_id)
