"""The families of models that the compiler writes, each with exact contributions.

AdditiveCurves    broken lines                                      additive_curves.py
ShapleyTrees      boosted trees and forests to depth 6              shapley_trees.py
AdditiveFile      an ONNX file that is a sum of single inputs       grouped.py
GroupedModel      any other ONNX file, by groups of its inputs      grouped.py
"""
