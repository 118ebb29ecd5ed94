"""``python -I -m vigie.local.migrate``: bring the tables of our records to this version.

For a database that ``vigie up`` does not manage, such as the Compose stack's.
"""

from __future__ import annotations

import sys

from vigie.adapters.postgres.migrate import upgrade
from vigie.errors import VigieError
from vigie.settings import Settings


def main() -> int:
    """Migrate the database of the settings; return the exit code."""
    url = Settings.from_env().database.url
    if url is None:
        sys.stderr.write("no database: set VIGIE_DATABASE_URL\n")
        return 2
    try:
        upgrade(url.get_secret_value())
    except VigieError as exc:
        sys.stderr.write(f"{exc}\n")
        return exc.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
