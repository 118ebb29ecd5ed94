"""Read API log lines from a Gradio app."""
