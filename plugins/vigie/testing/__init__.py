"""Fakes of every role, and the contract suites that fakes and real adapters pass."""

from vigie.testing.services import Clock, FakeServices

__all__ = ["Clock", "FakeServices"]
