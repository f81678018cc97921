"""How fast calls are answered, and whether many at once are."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from cds_hooks.contract.finding import SHOULD, NotTested
from cds_hooks.contract.registry import Faults, tries
from cds_hooks.contract.service import Service

_LIMIT_SECONDS: Final = 0.5
_AT_ONCE: Final = 4


@tries("PRE-17", level=SHOULD)
def calls_are_answered_within_500_ms(service: Service) -> Faults:
    """Answer 19 of 20 calls within 500 ms: the clinician waits, and clients drop what comes late."""
    # The first call of a service may find it cold.
    exchanges = [call.exchange for call in service.calls[1:] if call.exchange.ok]
    if not exchanges:
        raise NotTested("too few calls were answered to judge their time")
    exchanges.sort(key=lambda exchange: exchange.seconds)
    slow = exchanges[_rank(exchanges, 0.95)]
    if slow.seconds > _LIMIT_SECONDS:
        middle = exchanges[_rank(exchanges, 0.5)].seconds
        yield slow.fault(
            f"95th percentile {slow.seconds * 1000:.0f} ms, median {middle * 1000:.0f} ms over {len(exchanges)} calls"
        )


def _rank(sorted_values: Sequence[object], share: float) -> int:
    return min(len(sorted_values) - 1, int(len(sorted_values) * share))


@tries("RESP-01")
def calls_at_once_do_not_mix(service: Service) -> Faults:
    """Keep nothing of one call for the next: patients asked about at the same time must get their own answers."""
    asked = [call for call in service.calls if call.exchange.cards is not None][:_AT_ONCE]
    if len(asked) < 2:
        raise NotTested("fewer than two calls were answered")
    alone = [service.send(call.sent, f"{service.hook} for {call.about}, again").said for call in asked]
    if alone != [call.exchange.said for call in asked]:
        raise NotTested("the same call, made twice one after the other, is answered with different words")
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        sent = pool.map(lambda call: service.send(call.sent, f"{service.hook} for {call.about}, at once"), asked * 2)
        for exchange, said in zip(sent, alone * 2, strict=True):
            if exchange.cards is None:
                yield exchange.fault(exchange.answer)
            elif exchange.said != said:
                yield exchange.fault("the answer differs from that to the same call made alone")
