"""Answers one hook call in six stages, from the request to the answer. Read this module first.

Each stage is a file beside this one; docs/architecture.md draws them with the files behind them.
"""

from cds_hooks.answer.advise import advise
from cds_hooks.answer.call import Call
from cds_hooks.answer.complete import complete
from cds_hooks.answer.hold_back import hold_back
from cds_hooks.answer.read import Received, Source, read
from cds_hooks.answer.understand import understand
from cds_hooks.answer.write import Answer, Sink, write
from cds_hooks.errors import CallTimedOut, PreconditionFailed


async def invoke(call: Call, source: Source, sink: Sink) -> Answer:
    """Answer one hook call; returns when the sink has taken the answer.

    Raises:
        HookError: The call cannot be answered; `errors.py` maps each subclass to an HTTP status. A call that cannot be
            answered is never an empty list of cards.
    """
    received: Received | None = None
    try:
        async with call.turn as turn:
            received = await turn.compute(read, call, source)
            received = await complete(call, received)
            chart = await turn.compute(understand, call, received)
            advised = await turn.compute_async(advise, call, chart)
            selected = await hold_back(call, advised)
            answer = await turn.compute(write, call, selected)
    except (PreconditionFailed, CallTimedOut) as error:
        await sink.refuse(call, received, error)
        raise
    await sink.take(call, answer)
    return answer
