"""Clients of fastserve and of any other server of the Open Inference Protocol over gRPC.

Needs grpcio, protobuf and numpy; nothing of the server is imported.
"""

from fastserve.client.async_client import AsyncClient
from fastserve.client.capture import CaptureClient, CaptureSummary
from fastserve.client.channel import TLS
from fastserve.client.client import Client
from fastserve.client.control import AuditVerdict, ControlClient, ModelEvent, PushedVersion, Setting
from fastserve.client.failure import InvalidReply, RequestFailed, ServerUnreachable
from fastserve.client.feedback import FeedbackResult, FeedbackSummary, Label, LabelProblem
from fastserve.client.metadata import (
    IndexEntry,
    ModelMetadata,
    ServerMetadata,
    TensorMetadata,
)
from fastserve.client.release import ReleaseClient
from fastserve.client.request import InferRequest
from fastserve.client.result import InferResult
from fastserve.client.retry import RetryPolicy
from fastserve.client.rollout import RolloutClient
from fastserve.client.shadow import ShadowClient
from fastserve.client.watch import WatchClient

__all__ = [
    "TLS",
    "AsyncClient",
    "AuditVerdict",
    "CaptureClient",
    "CaptureSummary",
    "Client",
    "ControlClient",
    "FeedbackResult",
    "FeedbackSummary",
    "IndexEntry",
    "InferRequest",
    "InferResult",
    "InvalidReply",
    "Label",
    "LabelProblem",
    "ModelEvent",
    "ModelMetadata",
    "PushedVersion",
    "ReleaseClient",
    "RequestFailed",
    "RetryPolicy",
    "RolloutClient",
    "ServerMetadata",
    "ServerUnreachable",
    "Setting",
    "ShadowClient",
    "TensorMetadata",
    "WatchClient",
]
