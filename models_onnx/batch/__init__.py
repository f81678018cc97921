"""Scores tables of many people as the bedside scores one: `load("mortality_5y").score(table)`.

A table comes in as Arrow, and the answers come back as an Arrow table (docs/scoring.md).
"""

from models_onnx.batch.model import BatchModel, load

__all__ = ["BatchModel", "load"]
