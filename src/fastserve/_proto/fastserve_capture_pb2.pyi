# Generated from proto/fastserve_capture.proto by proto/generate.py. Do not edit.
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CaptureStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CapturedVersion(_message.Message):
    __slots__ = ("model", "version", "files", "bytes")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: int
    files: int
    bytes: int
    def __init__(self, model: _Optional[str] = ..., version: _Optional[int] = ..., files: _Optional[int] = ..., bytes: _Optional[int] = ...) -> None: ...

class CaptureStatusResponse(_message.Message):
    __slots__ = ("folder", "offered", "captured", "dropped", "failed", "pending", "rows", "disk_bytes", "removed_files", "lost_files", "labels_offered", "labels_stored", "labels_unsampled", "labels_dropped", "labels_failed", "versions")
    FOLDER_FIELD_NUMBER: _ClassVar[int]
    OFFERED_FIELD_NUMBER: _ClassVar[int]
    CAPTURED_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    DISK_BYTES_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FILES_FIELD_NUMBER: _ClassVar[int]
    LOST_FILES_FIELD_NUMBER: _ClassVar[int]
    LABELS_OFFERED_FIELD_NUMBER: _ClassVar[int]
    LABELS_STORED_FIELD_NUMBER: _ClassVar[int]
    LABELS_UNSAMPLED_FIELD_NUMBER: _ClassVar[int]
    LABELS_DROPPED_FIELD_NUMBER: _ClassVar[int]
    LABELS_FAILED_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    folder: str
    offered: int
    captured: int
    dropped: int
    failed: int
    pending: int
    rows: int
    disk_bytes: int
    removed_files: int
    lost_files: int
    labels_offered: int
    labels_stored: int
    labels_unsampled: int
    labels_dropped: int
    labels_failed: int
    versions: _containers.RepeatedCompositeFieldContainer[CapturedVersion]
    def __init__(self, folder: _Optional[str] = ..., offered: _Optional[int] = ..., captured: _Optional[int] = ..., dropped: _Optional[int] = ..., failed: _Optional[int] = ..., pending: _Optional[int] = ..., rows: _Optional[int] = ..., disk_bytes: _Optional[int] = ..., removed_files: _Optional[int] = ..., lost_files: _Optional[int] = ..., labels_offered: _Optional[int] = ..., labels_stored: _Optional[int] = ..., labels_unsampled: _Optional[int] = ..., labels_dropped: _Optional[int] = ..., labels_failed: _Optional[int] = ..., versions: _Optional[_Iterable[_Union[CapturedVersion, _Mapping]]] = ...) -> None: ...

class CaptureExportRequest(_message.Message):
    __slots__ = ("model", "version", "since", "until", "with_labels", "only_labelled", "csv")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    WITH_LABELS_FIELD_NUMBER: _ClassVar[int]
    ONLY_LABELLED_FIELD_NUMBER: _ClassVar[int]
    CSV_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: int
    since: float
    until: float
    with_labels: bool
    only_labelled: bool
    csv: bool
    def __init__(self, model: _Optional[str] = ..., version: _Optional[int] = ..., since: _Optional[float] = ..., until: _Optional[float] = ..., with_labels: bool = ..., only_labelled: bool = ..., csv: bool = ...) -> None: ...

class CaptureExportSummary(_message.Message):
    __slots__ = ("rows", "labelled_rows", "files", "skipped")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    LABELLED_ROWS_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    rows: int
    labelled_rows: int
    files: int
    skipped: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, rows: _Optional[int] = ..., labelled_rows: _Optional[int] = ..., files: _Optional[int] = ..., skipped: _Optional[_Iterable[str]] = ...) -> None: ...

class CaptureExportResponse(_message.Message):
    __slots__ = ("data", "summary")
    DATA_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    summary: CaptureExportSummary
    def __init__(self, data: _Optional[bytes] = ..., summary: _Optional[_Union[CaptureExportSummary, _Mapping]] = ...) -> None: ...
