"""Real servers for tests and development, without containers: ``make services``.

PostgreSQL, Prometheus, Pushgateway, Alertmanager and Redis come from Debian packages, Kafka and
Elasticsearch from Maven artifacts. All servers listen on the loopback interface only, keep their
data in ``data/services`` and are stopped by process id. A server that this machine cannot run is
skipped with a reason. ``plugins/vigie`` never imports this package.
"""
