"""The families of models that the compiler writes: trees and piecewise functions, each with exact contributions.

PiecewiseLinear   broken lines (logistic and Cox)            piecewise.py
AdditiveCurves    linear pipelines of other libraries        additive_curves.py
AdditiveTrees     EBM and stumps: one tree for each term     additive_trees.py
ShapleyTrees      boosted trees and forests to depth 4       shapley_trees.py
PathTrees         deeper trees, approximately                path_trees.py
Averaged          several models, or a bent calibration      averaged.py
"""
