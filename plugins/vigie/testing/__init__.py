"""Shipped fakes and the contract suites that every implementation of a role passes."""
