"""The sources of the settings: ``platform.toml``, ``.env``, the environment, and overrides."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Set
from pathlib import Path

from vigie.errors import SettingsError


def merged_values(
    root: Path, known: Set[str], overrides: Mapping[str, str], override_source: str
) -> tuple[dict[str, str], dict[str, str]]:
    """Merge the sources; return the values and the names of their sources, both by variable name.

    An empty override resets its variable to the default. In any other source, an empty variable
    counts as unset, because Compose passes ``${VAR:-}`` as an empty variable.
    """
    layers = (
        ("platform.toml", _platform_environment(root / "data" / "local" / "platform.toml")),
        (".env", read_dotenv(root)),
        ("environment", os.environ),
        (override_source, overrides),
    )
    values: dict[str, str] = {}
    sources: dict[str, str] = {}
    for name, layer in layers:
        for variable in known & layer.keys():
            if layer[variable]:
                values[variable] = layer[variable]
            elif layer is overrides:
                values.pop(variable, None)
            else:
                continue
            sources[variable] = name
    return values, sources


def read_dotenv(root: Path) -> dict[str, str]:
    """Return the variables in the project's ``.env``; no variables if the file does not exist."""
    path = root / ".env"
    if not path.is_file():
        return {}
    from dotenv import dotenv_values

    return {key: value for key, value in dotenv_values(path).items() if value is not None}


def _platform_environment(path: Path) -> dict[str, str]:
    """Return the table ``[environment]`` of ``platform.toml``; empty before ``vigie init``."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("environment", {})
    except FileNotFoundError:
        return {}
    except (ValueError, OSError) as exc:  # invalid TOML and invalid UTF-8 are a ValueError
        raise SettingsError(f"{path} cannot be read ({exc}); restore it from a backup") from exc
    return {str(key): str(value) for key, value in table.items()}
