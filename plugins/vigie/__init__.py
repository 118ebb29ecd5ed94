"""vigie: an MLOps platform on Apache Airflow."""

__version__ = "0.1.0"
