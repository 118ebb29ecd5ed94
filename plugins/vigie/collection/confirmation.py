"""What has to be said before documents are deleted for good."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vigie.errors import PermanentError

if TYPE_CHECKING:
    from vigie.roles import Services


def require_confirmation(
    services: Services,
    names: Sequence[str],
    *,
    confirmed: bool,
    expect_cluster: str | None,
    only: str = "",
) -> None:
    """Refuse to delete from the wrong place, or unasked.

    Parameters
    ----------
    services
        ``index`` is asked for its cluster and its counts.
    names
        The indices that lose documents.
    confirmed
        Whether the person said yes.
    expect_cluster
        The cluster that they mean; None where the index is embedded.
    only
        Which of the documents, if not all: words that follow ``this deletes``.

    Raises
    ------
    PermanentError
        Without ``confirmed``, saying what would be deleted; or when the index is on a cluster that
        was not named, or is another one than was named.
    """
    cluster = services.index.cluster_name()
    if confirmed and expect_cluster == cluster:
        return
    counts = ", ".join(f"{name} ({services.index.count(name)} documents)" for name in names)
    what = f"this deletes {only}{counts} for good"
    if cluster is None:
        where = (
            f"; the log index is embedded, not on cluster {expect_cluster}"
            if expect_cluster
            else ""
        )
        raise PermanentError(f"{what}{where}; add --yes{' alone' * bool(expect_cluster)}")
    other = f", not on {expect_cluster!r}" if expect_cluster not in (None, cluster) else ""
    raise PermanentError(
        f"{what}, on the Elasticsearch cluster {cluster!r}{other}; "
        f"add --yes --expect-cluster {cluster}"
    )
