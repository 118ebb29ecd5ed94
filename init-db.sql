-- Creates the roles and databases airflow, mlflow and vigie. Safe to repeat; each run sets the passwords.
--
--   AIRFLOW_DB_PASSWORD=… MLFLOW_DB_PASSWORD=… VIGIE_DB_PASSWORD=… \
--     psql --no-psqlrc --set ON_ERROR_STOP=1 --dbname postgres --file init-db.sql
--
-- Run it as a superuser, on the embedded PostgreSQL or on a server (version 15 or later).

\set ON_ERROR_STOP on
\getenv airflow_password AIRFLOW_DB_PASSWORD
\getenv mlflow_password MLFLOW_DB_PASSWORD
\getenv vigie_password VIGIE_DB_PASSWORD

\if :{?airflow_password}
\else
  DO $$ BEGIN RAISE EXCEPTION 'set AIRFLOW_DB_PASSWORD'; END $$;
\endif
\if :{?mlflow_password}
\else
  DO $$ BEGIN RAISE EXCEPTION 'set MLFLOW_DB_PASSWORD'; END $$;
\endif
\if :{?vigie_password}
\else
  DO $$ BEGIN RAISE EXCEPTION 'set VIGIE_DB_PASSWORD'; END $$;
\endif

-- Keep passwords out of the server's log, and store them as SCRAM hashes.
SET log_statement = 'none';
SET log_min_error_statement = 'panic';
SET log_min_duration_statement = -1;
SET password_encryption = 'scram-sha-256';

SELECT format('CREATE ROLE %I LOGIN', name)
FROM unnest(ARRAY['airflow', 'mlflow', 'vigie']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec

ALTER ROLE airflow LOGIN PASSWORD :'airflow_password';
ALTER ROLE mlflow LOGIN PASSWORD :'mlflow_password';
ALTER ROLE vigie LOGIN PASSWORD :'vigie_password';

-- template0 has no site-specific additions and permits any encoding.
SELECT format('CREATE DATABASE %I OWNER %I TEMPLATE template0 ENCODING %L', name, name, 'UTF8')
FROM unnest(ARRAY['airflow', 'mlflow', 'vigie']) AS name
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = name)
\gexec

-- Each role can connect to its own database only.
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', datname)
FROM pg_database
WHERE datname IN ('airflow', 'mlflow', 'vigie')
\gexec
SELECT format('ALTER DATABASE %I OWNER TO %I', name, name)
FROM unnest(ARRAY['airflow', 'mlflow', 'vigie']) AS name
\gexec
