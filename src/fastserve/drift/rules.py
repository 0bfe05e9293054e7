"""The rules that a version's windows are judged by: the server's, with what its model.toml says."""

import msgspec

from fastserve.config import DriftSettings, check_drift
from fastserve.errors import InvalidConfig
from fastserve.model_config import DriftConfig


def rules_for(settings: DriftSettings, config: DriftConfig) -> DriftSettings:
    """Key by key. Errors: InvalidConfig when together they make no sense."""
    named = {
        field.name: getattr(config, field.name)
        for field in msgspec.structs.fields(DriftConfig)
        if field.name != "freeze_rows" and getattr(config, field.name) is not None
    }
    rules = msgspec.structs.replace(settings, **named)
    try:
        check_drift(rules)
    except InvalidConfig as error:
        raise InvalidConfig(f"model.toml with the server's settings: {error.message}") from None
    return rules
