"""Tests of models_onnx/workbench/training/fitting."""
