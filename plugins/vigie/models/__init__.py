"""The model file, reference tables, requests and derived features."""
