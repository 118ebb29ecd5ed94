#!/bin/sh
# Set the password of Kibana's user, and create users with the least privileges for vigie (its indices)
# and Airflow (its task logs). Safe to repeat; each run sets the passwords of .env.
set -eu

# curl gets the login and the bodies from a file or standard input, because others can read a command line.
umask 077
login=$(mktemp)
trap 'rm -f "$login"' EXIT
printf 'user = "elastic:%s"\n' "$ELASTIC_PASSWORD" > "$login"

send() { # METHOD PATH, the body on standard input
  curl --silent --show-error --fail --config "$login" --request "$1" "$ELASTICSEARCH_URL$2" \
    --header 'Content-Type: application/json' --data-binary @- --output /dev/null
  echo "$1 $2"
}

send POST /_security/user/kibana_system/_password <<END
{"password": "$KIBANA_PASSWORD"}
END

lines=${ELASTICSEARCH_INDEX:-ml-api-logs} anomalies=${VIGIE_ANOMALY_INDEX:-mozilla-clogs-index}
send PUT /_security/role/vigie <<END
{"cluster": ["monitor", "manage_index_templates"],
 "indices": [{"names": ["ml-api-*", "vigie-*", "$lines*", "$anomalies*"],
              "privileges": ["create_index", "create_doc", "delete", "delete_index", "manage", "read"]}]}
END
send PUT /_security/user/vigie <<END
{"password": "$VIGIE_ES_PASSWORD", "roles": ["vigie"]}
END

send PUT /_security/role/airflow_logs <<END
{"cluster": ["monitor"],
 "indices": [{"names": ["airflow-logs*"], "privileges": ["create_index", "read", "write", "view_index_metadata"]}]}
END
send PUT /_security/user/airflow <<END
{"password": "$AIRFLOW_ES_PASSWORD", "roles": ["airflow_logs"]}
END
