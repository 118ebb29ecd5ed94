"""Model files, reference tables, validation of requests, and derived features."""
