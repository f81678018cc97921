"""Tests of models_onnx/workbench/training/data."""
