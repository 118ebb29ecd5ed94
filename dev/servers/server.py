"""What a server tells of itself, so that all are started, asked and stopped in one way."""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

from servers.state import Site

Tell = Callable[[str], None]


class Server(ABC):
    """One server program of a :class:`Site`."""

    name: str
    ports: Mapping[str, int]  # key in the site's ports to the default
    secrets: tuple[str, ...] = ()  # passwords to make and keep before `prepare`
    stop_signal: signal.Signals = signal.SIGTERM

    @abstractmethod
    def obtain(self, site: Site, tell: Tell, *, install: bool) -> None:
        """Make the program available.

        Raises
        ------
        SettingsError
            If this machine cannot have it; the message says what would help.
        """

    def prepare(self, site: Site) -> None:  # noqa: B027  (most have something, not all)
        """Write configuration and data folders; safe to repeat."""

    @abstractmethod
    def command(self, site: Site) -> list[str]:
        """Return the command that runs it in the foreground."""

    def environment(self, site: Site) -> Mapping[str, str]:
        """Return what the process gets on top of the shell's variables."""
        return {}

    def tidy(self, site: Site) -> None:  # noqa: B027
        """Remove what only a running server needs; data stays."""

    @abstractmethod
    def url(self, site: Site) -> str:
        """Return the address that tests use."""

    @abstractmethod
    def ask_version(self, site: Site) -> str:
        """Ask the real function and return the version of what answers.

        Raises
        ------
        TransientError
            While it does not answer.
        """
