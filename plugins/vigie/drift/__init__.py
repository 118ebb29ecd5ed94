"""Drift: the reference profile, the statistics of each column, and the verdict."""
