"""Shipped fakes of every role, and the contract suites that they and the real adapters pass."""

from vigie.testing.services import Clock, FakeServices

__all__ = ["Clock", "FakeServices"]
