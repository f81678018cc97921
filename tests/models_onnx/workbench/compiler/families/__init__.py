"""Tests of models_onnx/workbench/compiler/families."""
