"""Thin Airflow operators, sensors, triggers and assets over jobs."""
