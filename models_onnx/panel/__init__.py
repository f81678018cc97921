"""Scores tables of many people as the bedside scores one: `load("mortality_5y").score(frame)`.

A frame is one of pandas, polars or Arrow, or columns by name; the same kind comes back (docs/scoring.md).
"""

from models_onnx.panel.declaration import TableDeclaration
from models_onnx.panel.frames import PanelModel, load

__all__ = ["PanelModel", "TableDeclaration", "load"]
