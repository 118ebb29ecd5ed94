#!/bin/sh
# Create the tables of vigie and Airflow and the first user, before both start. Safe to repeat.
set -eu

python -I -m vigie.local.database
airflow db migrate
# An existing user keeps its current password. The "=" is needed because argparse would read a password
# that starts with a dash as an option.
airflow users create --role Admin --username="$AIRFLOW_ADMIN_USER" --password="$AIRFLOW_ADMIN_PASSWORD" \
  --firstname Vigie --lastname Admin --email "$AIRFLOW_ADMIN_USER@localhost.localdomain"
