"""Shipped fakes of every role, and the contract suites that they and the real adapters pass."""

from vigie.testing.clock import Clock
from vigie.testing.services import FakeServices

__all__ = ["Clock", "FakeServices"]
