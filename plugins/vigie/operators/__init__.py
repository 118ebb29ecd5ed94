"""Airflow operators, sensors, triggers and Assets, which call the use cases."""
