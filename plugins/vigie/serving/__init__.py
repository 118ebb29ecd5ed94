"""The prediction service: FastAPI with a Gradio page."""
