"""The page's look: system fonts (nothing is fetched), one deep colour, light and dark."""

from __future__ import annotations

from typing import Any

import gradio as gr

_FONT = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
_MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "monospace")


def theme() -> Any:
    """Return the Gradio theme; the rest is ``static/page.css``."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.slate,
        radius_size=gr.themes.sizes.radius_md,
        font=_FONT,
        font_mono=_MONO,
    ).set(
        body_background_fill="#f6f8f9",
        body_background_fill_dark="#0d1417",
        block_background_fill="#ffffff",
        block_background_fill_dark="#141d21",
        block_border_width="1px",
        block_label_text_weight="500",
        block_label_text_color="*neutral_700",
        block_info_text_color="*neutral_500",
        button_primary_background_fill="#0f5f63",
        button_primary_background_fill_hover="#0b4a4e",
        button_primary_background_fill_dark="#0f766e",
        button_primary_background_fill_hover_dark="#115e59",
        button_primary_text_color="#ffffff",
        button_large_radius="8px",
        input_background_fill="#ffffff",
        input_background_fill_dark="#0f171a",
        input_border_width="1px",
        input_border_color="#b9c6cb",
        input_border_color_dark="#37474e",
        input_border_color_focus="#0f5f63",
    )
