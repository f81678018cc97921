"""Each stage of a call can be called alone and timed alone: it takes a typed value and gives one."""

from datetime import UTC, datetime

import orjson
import pytest

from cds_hooks.call.answer import ReceivedBody, read
from cds_hooks.call.stages import Call, open_call
from cds_hooks.errors import BadRequest
from cds_hooks.samples import SHOWCASE_DRAFT
from tests.cds_hooks.calls import ORDERS, request_for
from tests.cds_hooks.evidence.replay.answered import site


def _call_and_body() -> tuple[Call, ReceivedBody]:
    request = request_for(ORDERS, "order-sign", "ckd4-metformin", datetime.now(UTC), SHOWCASE_DRAFT)
    body = ReceivedBody(orjson.dumps(request))
    (client,) = site().clients.values()
    return open_call(site().services[ORDERS], client, site().components, "decision", body.size), body


def test_read_alone_refuses_what_is_no_request() -> None:
    call, _ = _call_and_body()
    with pytest.raises(BadRequest):
        read(call, ReceivedBody(b"{}"))
