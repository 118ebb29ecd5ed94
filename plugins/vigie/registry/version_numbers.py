"""The number of a run's new version."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vigie.roles import Services


def version_of_run(services: Services, model: str, key: str) -> int:
    """Return the run's version number: taken by its first try, kept by the others.

    The folder of published versions may be older than the database (the database was made anew, or
    two platforms have shared the folder): a number that it has is never taken again.

    Parameters
    ----------
    services
        ``state``, ``deployments`` and ``bundles`` are used.
    model
        Whose version it is.
    key
        Where the state keeps the number; it names the run.
    """
    known = services.state.get(key)
    if known is not None:
        return int(known["version"])
    published = set(services.bundles.versions(model))
    version = services.deployments.next_version(model)
    while version in published:
        version = services.deployments.next_version(model)
    services.state.put(key, {"version": version})
    return version
