"""The interface through which every server is started, probed and stopped."""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

from servers.state import Site

Notify = Callable[[str], None]


class Server(ABC):
    """A server program of a :class:`Site`."""

    name: str
    ports: Mapping[str, int]  # name of each port and its default
    secrets: tuple[str, ...] = ()  # names of the passwords to generate before `prepare`
    stop_signal: signal.Signals = signal.SIGTERM

    @abstractmethod
    def obtain(self, site: Site, notify: Notify, *, install: bool) -> None:
        """Install or download the program if it is missing.

        Raises
        ------
        SettingsError
            If this machine cannot run the program; the message contains a remedy.
        """

    def prepare(self, site: Site) -> None:  # noqa: B027  (optional)
        """Write the configuration and create the data folder. Idempotent."""

    @abstractmethod
    def command(self, site: Site) -> list[str]:
        """Return the command that runs the server in the foreground."""

    def environment(self, site: Site) -> Mapping[str, str]:
        """Return environment variables to add to the inherited ones."""
        return {}

    def tidy(self, site: Site) -> None:  # noqa: B027
        """Remove files that only a running server needs, but not its data."""

    @abstractmethod
    def url(self, site: Site) -> str:
        """Return the address for clients."""

    @abstractmethod
    def ask_version(self, site: Site) -> str:
        """Send a request to the server and return its version.

        Raises
        ------
        TransientError
            If the server does not answer.
        """
