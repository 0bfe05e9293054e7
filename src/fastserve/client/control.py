"""The client of fastserve.v1.Control: what operators do with a running fastserve."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from google.protobuf.message import Message

from fastserve._proto import fastserve_control_pb2 as pb
from fastserve.client.call import Call, reader
from fastserve.client.metadata import message_as_dict
from fastserve.client.service_client import ServiceClient

T = TypeVar("T")

_SERVICE: Final = "/fastserve.v1.Control/"
# Of a file in one message of an upload.
_PART_BYTES: Final = 1 << 20


class AuditVerdict(NamedTuple):
    """What a server found in its audit log; `problem` is the first thing wrong, with its place.

    `first` is the number of the oldest record: above 1 where retention removed others.
    """

    is_intact: bool
    records: int
    head: str
    problem: str
    first: int = 1


class Setting(NamedTuple):
    """One setting of a server: its path, its value as JSON, and where that came from."""

    path: str
    value: str
    source: str


class ModelEvent(NamedTuple):
    """A version's change of state, or what serves at the end."""

    model: str
    version: int
    state: str
    reason: str
    is_serving: bool
    elapsed_seconds: float


class PushedVersion(NamedTuple):
    """A version that was written into the server's repository."""

    version: int
    digest: str
    size_bytes: int


class ControlClient(ServiceClient):
    """The models, settings and audit log of one fastserve."""

    def show_audit(
        self,
        *,
        last: int = 0,
        model: str = "",
        follow: bool = False,
        timeout: float | None = None,
    ) -> Generator[str, None, None]:
        """Lines of the audit log as they are in its files: the `last` ones (0: all), oldest first.

        Of one `model` only, if it is named. With `follow` those to come as well; such a stream ends
        with the server, or after `timeout`, if that is given.
        """
        request = pb.ShowAuditRequest(last=last, model=model, follow=follow)
        call = _call("ShowAudit", request, pb.AuditRecord, lambda m: str(m.json))
        return self._connection.stream(call, timeout, is_endless=follow)

    def verify_audit(self, *, timeout: float | None = None) -> AuditVerdict:
        """The server reads its whole audit log."""
        call = _call("VerifyAudit", pb.VerifyAuditRequest(), pb.VerifyAuditResponse, _verdict)
        return self._connection.run(call, timeout)

    def show_config(self, *, timeout: float | None = None) -> list[Setting]:
        """The settings in force."""
        call = _call("ShowConfig", pb.ShowConfigRequest(), pb.ShowConfigResponse, _settings)
        return self._connection.run(call, timeout)

    def list_models(self, *, timeout: float | None = None) -> list[dict[str, Any]]:
        """Every model with its versions, without tensors and lineage."""
        call = _call(
            "ListModels",
            pb.ListModelsRequest(),
            pb.ListModelsResponse,
            lambda m: [message_as_dict(model) for model in m.models],
        )
        return self._connection.run(call, timeout)

    def describe_model(self, model: str, *, timeout: float | None = None) -> dict[str, Any]:
        """All that the server knows of one model."""
        request = pb.DescribeModelRequest(model=model)
        call = _call("DescribeModel", request, pb.Model, message_as_dict)
        return self._connection.run(call, timeout)

    def check_model(
        self, model: str, *, version: int = 0, timeout: float | None = None
    ) -> dict[str, Any]:
        """What a load of the version (0: the newest) would say; `problem` if it would fail."""
        request = pb.CheckModelRequest(model=model, version=version)
        call = _call("CheckModel", request, pb.CheckModelResponse, message_as_dict)
        return self._connection.run(call, timeout)

    def load_model(
        self,
        model: str,
        *,
        version: int = 0,
        label: str = "",
        standby: bool = False,
        allow_signature_change: bool = False,
        timeout: float | None = None,
    ) -> Generator[ModelEvent, None, None]:
        """Loads and serves the version; each change as it comes. Ends when that is done.

        Once it has ended, no request that starts later is answered by the version before.
        """
        request = pb.LoadModelRequest(
            model=model,
            version=version,
            label=label,
            standby=standby,
            allow_signature_change=allow_signature_change,
        )
        return self._events("LoadModel", request, timeout)

    def reload_model(
        self, model: str, *, allow_signature_change: bool = False, timeout: float | None = None
    ) -> Generator[ModelEvent, None, None]:
        """Reads configuration and files again and loads what changed."""
        request = pb.ReloadModelRequest(model=model, allow_signature_change=allow_signature_change)
        return self._events("ReloadModel", request, timeout)

    def unload_model(
        self,
        model: str,
        *,
        version: int = 0,
        force: bool = False,
        no_wait: bool = False,
        timeout: float | None = None,
    ) -> list[int]:
        """Takes the version (0: all) out of traffic; which ones were."""
        request = pb.UnloadModelRequest(model=model, version=version, force=force, no_wait=no_wait)
        call = _call("UnloadModel", request, pb.UnloadModelResponse, lambda m: list(m.versions))
        return self._connection.run(call, timeout)

    def set_label(
        self, model: str, label: str, version: int, *, timeout: float | None = None
    ) -> int:
        """Points the label at the version; returns the one before, 0 for none."""
        request = pb.SetLabelRequest(model=model, label=label, version=version)
        call = _call("SetLabel", request, pb.SetLabelResponse, lambda m: int(m.previous_version))
        return self._connection.run(call, timeout)

    def remove_label(self, model: str, label: str, *, timeout: float | None = None) -> int:
        """Takes the label off; returns the version that it pointed at."""
        request = pb.RemoveLabelRequest(model=model, label=label)
        call = _call(
            "RemoveLabel", request, pb.RemoveLabelResponse, lambda m: int(m.previous_version)
        )
        return self._connection.run(call, timeout)

    def wait_model(
        self,
        model: str,
        *,
        version: int = 0,
        state: str = "READY",
        timeout: float | None = None,
    ) -> Generator[ModelEvent, None, None]:
        """Changes until a version (0: any) is in the state."""
        request = pb.WaitModelRequest(model=model, version=version, state=state)
        return self._events("WaitModel", request, timeout)

    def push_model(
        self,
        model: str,
        files: Iterable[tuple[str, Path]],
        *,
        version: int = 0,
        lineage: Mapping[str, str] = {},
        load: bool = False,
        timeout: float | None = None,
    ) -> PushedVersion:
        """Writes a version of these files (name in its folder, file here) into the repository."""
        header = pb.PushModelRequest.Header(
            model=model, version=version, lineage=lineage, load=load
        )
        read = reader(pb.PushModelResponse, lambda m: PushedVersion(m.version, m.digest, m.bytes))
        return self._connection.upload(_SERVICE + "PushModel", _parts(header, files), read, timeout)

    def _events(
        self, method: str, request: Message, timeout: float | None
    ) -> Generator[ModelEvent, None, None]:
        return self._connection.stream(_call(method, request, pb.ModelEvent, _event), timeout)


def _call(method: str, request: Message, reply: type[Message], read: Callable[[Any], T]) -> Call[T]:
    return Call(_SERVICE + method, request.SerializeToString(), reader(reply, read))


def _parts(
    header: pb.PushModelRequest.Header, files: Iterable[tuple[str, Path]]
) -> Iterator[bytes]:
    """The messages of an upload; each file is read as the server takes it."""
    yield pb.PushModelRequest(header=header).SerializeToString()
    for name, path in files:
        with path.open("rb") as file:
            is_first = True
            while (data := file.read(_PART_BYTES)) or is_first:
                chunk = pb.PushModelRequest.Chunk(path=name, data=data)
                yield pb.PushModelRequest(chunk=chunk).SerializeToString()
                is_first = False


def _event(message: pb.ModelEvent) -> ModelEvent:
    return ModelEvent(
        message.model,
        message.version,
        message.state,
        message.reason,
        message.is_serving,
        message.elapsed_seconds,
    )


def _verdict(message: pb.VerifyAuditResponse) -> AuditVerdict:
    first = message.first or 1  # a server without retention does not say it
    return AuditVerdict(message.is_intact, message.records, message.head, message.problem, first)


def _settings(message: pb.ShowConfigResponse) -> list[Setting]:
    return [Setting(each.path, each.value, each.source) for each in message.settings]
