"""Tests of models_onnx/gates/checks."""
