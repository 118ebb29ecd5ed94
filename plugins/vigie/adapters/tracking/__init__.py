"""MLflow: tracked runs and the model registry."""
