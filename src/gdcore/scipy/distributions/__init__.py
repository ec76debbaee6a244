"""Distributions: what those of one variable share, the formulas of each, and those of several variables."""
