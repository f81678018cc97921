"""The families of models that the compiler writes: trees and piecewise functions, each with exact contributions.

PiecewiseLinear      broken lines (logistic and Cox)            piecewise.py
PiecewisePolynomial  scikit-learn's linear pipelines            piecewise.py
AdditiveTrees        EBM and stumps: one tree for each term     additive_trees.py
ShapleyTrees         boosted trees and forests to depth 4       shapley_trees.py
"""
