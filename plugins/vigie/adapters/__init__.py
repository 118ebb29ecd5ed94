"""Implementations of the roles, one package per technology."""
