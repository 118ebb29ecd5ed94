"""URLs are displayed without their credentials."""

from __future__ import annotations

import pytest

from vigie.addresses import without_login


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://user:p@sSECRET@127.0.0.1:9091/base", "http://127.0.0.1:9091/base"),
        ("https://user@host?to=me@example.org", "https://host?to=me@example.org"),
        ("https://host/@me", "https://host/@me"),
        ("host:9091", "host:9091"),
    ],
)
def test_the_login_is_removed_even_if_the_password_contains_an_at_sign(
    url: str, shown: str
) -> None:
    assert without_login(url) == shown
