"""Pushgateway, and text files of metrics."""
