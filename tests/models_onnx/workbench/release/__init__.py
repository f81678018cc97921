"""Tests of models_onnx/workbench/release."""
