"""Settings of the server: strict, frozen, grouped by who uses them. And how all settings are read.

Where the server's settings come from is `fastserve.settings`. Nothing is corrected in silence: a
key that is not known, a value of the wrong type or out of range is refused with its path, what was
got, what was expected and, for a key, the nearest name that exists.

Units end the names. Zero means "chosen by the server" where a comment says so.
"""

from fastserve.config.address import (
    Address as Address,
    parse_address as parse_address,
)
from fastserve.config.group import (
    Bytes as Bytes,
    Rows as Rows,
    Share as Share,
    Significance as Significance,
    Threads as Threads,
    Threshold as Threshold,
    Transport as Transport,
    WindowCount as WindowCount,
    WindowSeconds as WindowSeconds,
)
from fastserve.config.reading import (
    convert as convert,
    decode_toml as decode_toml,
    read_regular_file as read_regular_file,
)
from fastserve.config.settings import (
    AuditSettings as AuditSettings,
    LifecycleSettings as LifecycleSettings,
    LimitSettings as LimitSettings,
    ListenSettings as ListenSettings,
    SecuritySettings as SecuritySettings,
    Settings as Settings,
    ThreadSettings as ThreadSettings,
    check_settings as check_settings,
)
from fastserve.config.watch import (
    AccessLogSettings as AccessLogSettings,
    CaptureSettings as CaptureSettings,
    DriftSettings as DriftSettings,
    FeedbackSettings as FeedbackSettings,
    MetricsSettings as MetricsSettings,
    TracingSettings as TracingSettings,
    WebhookSettings as WebhookSettings,
    WebhookTarget as WebhookTarget,
    check_drift as check_drift,
)
