"""Derivatives of plain NumPy functions."""
