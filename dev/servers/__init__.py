"""Real servers for tests and development, without containers: ``make services``.

PostgreSQL, Prometheus, Pushgateway, Alertmanager and Redis from Debian's packages, Kafka and
Elasticsearch from their Maven artifacts. All listen on the loopback interface only, keep their data
below ``data/services`` and are stopped by process id. What a machine cannot run is skipped with the
reason. The product itself never uses this package.
"""
