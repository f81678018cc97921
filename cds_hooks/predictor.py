"""One model run for all calls of one turn of the event loop.

Calls that arrive together wait for each other here, for one turn and no longer: a run of sixteen rows costs little more
than a run of one, and what follows (words, encoding) is then done for all of them in a row. A lone call loses nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from models_onnx.runtime import Model, Prediction

Predict: TypeAlias = Callable[[Model, NDArray[np.float64]], Awaitable[Prediction]]

_Waiting = list[tuple[NDArray[np.float64], asyncio.Future[Prediction]]]


class Predictor:
    """Runs models for one event loop."""

    def __init__(self) -> None:
        self._waiting: dict[Model, _Waiting] = {}

    async def predict(self, model: Model, values: NDArray[np.float64]) -> Prediction:
        """The prediction for one vector; raises what `Model.predict` raises, for this vector only."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Prediction] = loop.create_future()
        waiting = self._waiting.get(model)
        if waiting is None:
            self._waiting[model] = [(values, future)]
            loop.call_soon(self._run, model)
        else:
            waiting.append((values, future))
        return await future

    def _run(self, model: Model) -> None:
        waiting = self._waiting.pop(model)
        try:
            predictions = model.predict_each([values for values, _ in waiting])
        except Exception:
            _one_by_one(model, waiting)  # so that a fault of one row stays with its own call
            return
        for (_, future), prediction in zip(waiting, predictions, strict=True):
            if not future.cancelled():
                future.set_result(prediction)


def _one_by_one(model: Model, waiting: _Waiting) -> None:
    for values, future in waiting:
        if future.cancelled():
            continue
        try:
            future.set_result(model.predict(values))
        except Exception as error:
            future.set_exception(error)
