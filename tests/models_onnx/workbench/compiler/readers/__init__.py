"""Tests of models_onnx/workbench/compiler/readers."""
