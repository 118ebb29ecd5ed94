"""Evidently reports."""
