"""Codes, units and the tables behind them."""
