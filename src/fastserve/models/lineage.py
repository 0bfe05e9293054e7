"""Where a version comes from: its files' hashes, what the ONNX file says, what people declared."""

import msgspec

from fastserve.models.loader import LoadedVersion


class Lineage(msgspec.Struct, frozen=True):
    """Of one version. `declared` is [lineage] of model.toml, and over it the manifest's."""

    digest: str
    model_sha256: str
    file_bytes: int
    producer: str = ""
    graph_name: str = ""
    domain: str = ""
    description: str = ""
    model_version: int = 0
    opsets: dict[str, int] = {}
    metadata: dict[str, str] = {}
    declared: dict[str, str] = {}


def lineage_of(loaded: LoadedVersion) -> Lineage:
    """Of a version that answers."""
    facts = loaded.metadata
    return Lineage(
        digest=loaded.digest,
        model_sha256=loaded.model_sha256,
        file_bytes=loaded.file_bytes,
        producer=facts.producer,
        graph_name=facts.graph_name,
        domain=facts.domain,
        description=facts.description,
        model_version=facts.version,
        opsets=loaded.facts.opsets,
        metadata=facts.custom,
        declared=loaded.declared_lineage,
    )
