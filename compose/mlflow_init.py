"""Create MLflow's users ``admin`` and ``vigie`` before its server starts.

``vigie`` can write to every experiment and model but cannot manage users. Safe to repeat; each run
sets the passwords of ``.env``. Run in MLflow's image, with ``python -I``.
"""

from __future__ import annotations

import os

from mlflow.exceptions import MlflowException  # noqa: TID253
from mlflow.server.auth.config import read_auth_config  # noqa: TID253
from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore  # noqa: TID253

USER = "vigie"


def main() -> None:
    """Create missing tables, users and permissions, and set the passwords."""
    config, store = read_auth_config(), SqlAlchemyStore()
    store.init_db(config.database_uri)
    _set_user(store, str(config.admin_username), os.environ["MLFLOW_ADMIN_PASSWORD"], True)
    _set_user(store, USER, os.environ["VIGIE_MLFLOW_PASSWORD"], False)
    for kind in ("experiment", "registered_model"):
        _grant(store, kind)


def _set_user(store: SqlAlchemyStore, name: str, secret: str, is_admin: bool) -> None:
    if store.has_user(name):
        store.update_user(name, password=secret, is_admin=is_admin)
    else:
        store.create_user(name, secret, is_admin=is_admin)


def _grant(store: SqlAlchemyStore, kind: str) -> None:
    try:
        store.grant_user_resource_permission(USER, kind, "*", "MANAGE")
    except MlflowException as exc:
        if exc.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


if __name__ == "__main__":
    main()
