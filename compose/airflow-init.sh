#!/bin/sh
# Once before Airflow and serving start: their tables, and the first user. Safe to repeat.
set -eu

python -I -m vigie.local.database
airflow db migrate
# A user that exists is left as it is: a password changed later stays changed. With "=", because one that
# begins with a dash would be taken for an option.
airflow users create --role Admin --username="$AIRFLOW_ADMIN_USER" --password="$AIRFLOW_ADMIN_PASSWORD" \
  --firstname Vigie --lastname Admin --email "$AIRFLOW_ADMIN_USER@localhost.localdomain"
