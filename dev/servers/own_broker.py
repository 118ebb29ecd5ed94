"""A Kafka broker that a single test can configure, kill and restart."""

from __future__ import annotations

import secrets
import threading
import time
from pathlib import Path

from servers.kafka_broker import KafkaBroker
from servers.processes import process_of, start, stop
from servers.state import Site
from vigie.errors import TransientError

_READY_S = 60.0


class OwnBroker:
    """Kafka from the jars of ``make services``, with separate data and ports.

    Parameters
    ----------
    site
        The site of ``make services``, whose jars are used.
    root
        An empty folder for the broker.
    server
        The broker to start; the default has the configuration of ``make services``.
    """

    def __init__(self, site: Site, root: Path, server: KafkaBroker | None = None) -> None:
        self.site, self.server = Site(root), server or KafkaBroker()
        self.site.folder.mkdir(parents=True)
        (self.site.folder / "lib").symlink_to(site.folder / "lib")
        self.site.sources.parent.mkdir(parents=True)
        self.site.sources.symlink_to(site.sources)
        for name in self.server.ports:  # random, because parallel test processes claim ports too
            self.site.claim(name, 21_000 + secrets.randbelow(9_000))
        self.server.prepare(self.site)
        self.begin()

    @property
    def servers(self) -> str:
        return self.server.url(self.site)

    def begin(self) -> None:
        """Start the broker and wait until it answers."""
        start(self.site, self.server)
        deadline = time.monotonic() + _READY_S
        while True:
            try:
                self.server.ask_version(self.site)
                return
            except TransientError as exc:
                if time.monotonic() > deadline or process_of(self.site, "kafka") is None:
                    log = self.site.log("kafka").read_text()
                    raise AssertionError(f"the broker did not start: {log[-2000:]}") from exc
                time.sleep(0.3)

    def kill(self) -> None:
        """Kill the broker without a shutdown."""
        process = process_of(self.site, "kafka")
        assert process is not None
        process.kill()
        process.wait(30)

    def away(self, seconds: float) -> threading.Thread:
        """Kill the broker now, and restart it after a delay in a background thread."""
        self.kill()
        back = threading.Timer(seconds, self.begin)
        back.start()
        return back

    def stop(self) -> None:
        """Shut the broker down."""
        stop(self.site, self.server)
