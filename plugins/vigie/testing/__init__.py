"""In-memory fakes of the roles, and contract test suites for fakes and adapters."""

from vigie.testing.services import Clock, FakeServices

__all__ = ["Clock", "FakeServices"]
