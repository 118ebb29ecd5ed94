"""Model versions: decisions, deployment, rollback."""
