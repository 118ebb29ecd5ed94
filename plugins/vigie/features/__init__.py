"""Derived features of the shipped models."""
