"""A ModelConfig as JSON, as RepositoryModelLoad brings it; the parser's refusals in our words."""

import re
from typing import Final

from google.protobuf import json_format

from fastserve._proto import open_inference_grpc_pb2 as pb
from fastserve.errors import InvalidConfig, quoted
from fastserve.model_config import MAX_CONFIG_BYTES
from fastserve.models.triton_text import no_such_field, no_such_value

# The parser wraps a message once for each level, and adds the place of the innermost one.
_LEVELS: Final = re.compile(r"^(?:Failed to parse \w+ field: )+")
_PLACE: Final = re.compile(r' at "?ModelConfig\.?([^"\s]*?)"?\.*(?:\n|$)')
_UNKNOWN_FIELD: Final = re.compile(r'Message type "([\w.]+)" has no field named "([^"]*)"')
_UNKNOWN_VALUE: Final = re.compile(r"Invalid enum value (.*) for enum type ([\w.]+)")


def parse_json(text: str, *, name: str) -> pb.ModelConfig:
    """The message. Errors: InvalidConfig with the field's path; `name` is what the text is called.

    Names may be those of the .proto, as Triton writes them, or protobuf's own lowerCamelCase.
    """
    if len(text) > MAX_CONFIG_BYTES:
        raise InvalidConfig(
            f"{name}: has {len(text)} characters, more than the limit of {MAX_CONFIG_BYTES}"
        )
    if not text.lstrip().startswith("{"):
        raise InvalidConfig(f"{name}: expected a JSON object, got {quoted(text)}")
    message = pb.ModelConfig()
    try:
        json_format.Parse(text, message)
    except (json_format.ParseError, ValueError, TypeError, RecursionError) as error:
        raise InvalidConfig(f"{name}: {_explain(str(error))}") from None
    return message


def _explain(said: str) -> str:
    said = _LEVELS.sub("", said)
    if said.startswith("Failed to load JSON: "):
        reason = said.replace("Failed to load JSON: ", "").rstrip(".")
        return f"is not JSON: {quoted(reason)}"
    match = _PLACE.search(said)
    place, what = (match[1], said[: match.start()]) if match else ("", said)
    unknown = _UNKNOWN_FIELD.search(what)
    if unknown:
        what = no_such_field(unknown[1], unknown[2])
    else:
        value = _UNKNOWN_VALUE.search(what)
        what = no_such_value(value[2], value[1]) if value else quoted(what.rstrip("."))
    return f"{place}: {what}" if place else what
