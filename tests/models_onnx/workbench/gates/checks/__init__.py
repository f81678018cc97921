"""Tests of models_onnx/workbench/gates/checks."""
