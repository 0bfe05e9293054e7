"""What one model is told: `<repo>/<model>/model.toml`, or what stands for it in a config.pbtxt.

Everything has a default that comes from the graph or is chosen by the server. A group checks what
its keys mean together; such a message begins with the key.
"""

from fastserve.model_config.group import (
    MAX_VERSION as MAX_VERSION,
    Version as Version,
    file_name_problem as file_name_problem,
)
from fastserve.model_config.model import (
    MAX_CONFIG_BYTES as MAX_CONFIG_BYTES,
    MAX_RANK as MAX_RANK,
    MODEL_FILE as MODEL_FILE,
    Dim as Dim,
    Dims as Dims,
    GoldenConfig as GoldenConfig,
    LoadConfig as LoadConfig,
    ModelConfig as ModelConfig,
    RoutingConfig as RoutingConfig,
    TensorConfig as TensorConfig,
    VersionsConfig as VersionsConfig,
    parse_model_config as parse_model_config,
    read_model_config as read_model_config,
)
from fastserve.model_config.queue import (
    MAX_COUNT as MAX_COUNT,
    MAX_DELAY_US as MAX_DELAY_US,
    MAX_PRIORITY_LEVELS as MAX_PRIORITY_LEVELS,
    MAX_TIMEOUT_US as MAX_TIMEOUT_US,
    BatchingConfig as BatchingConfig,
    Priority as Priority,
    PriorityConfig as PriorityConfig,
    QueueConfig as QueueConfig,
    QueuePolicy as QueuePolicy,
)
from fastserve.model_config.runtime import (
    PROVIDER_OPTIONS as PROVIDER_OPTIONS,
    SESSION_ENTRIES as SESSION_ENTRIES,
    ProviderConfig as ProviderConfig,
    RuntimeConfig as RuntimeConfig,
    provider_option_problem as provider_option_problem,
)
from fastserve.model_config.watch import (
    MAX_CLASSES as MAX_CLASSES,
    MAX_LABEL as MAX_LABEL,
    MAX_SEGMENTS as MAX_SEGMENTS,
    QUALITY_MEASURES as QUALITY_MEASURES,
    CaptureConfig as CaptureConfig,
    ContractConfig as ContractConfig,
    DriftConfig as DriftConfig,
    FeatureConfig as FeatureConfig,
    FeedbackConfig as FeedbackConfig,
)
