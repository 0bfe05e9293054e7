"""`parameters`, `optimization` and `instance_group` of a ModelConfig, as ONNX Runtime's session.

Source: github.com/triton-inference-server/onnxruntime_backend, README.md and src/onnxruntime.cc.
"""

import re
from typing import Final, Literal

from fastserve._proto import open_inference_grpc_pb2 as pb
from fastserve.errors import quoted
from fastserve.model_config import (
    SESSION_ENTRIES,
    ProviderConfig,
    RuntimeConfig,
    provider_option_problem,
)
from fastserve.models.triton_lines import FieldPath, Key
from fastserve.models.triton_reading import Reading

_MAX_THREADS: Final = 1024
# The backend's own numbers; what is not among them leaves all optimizations on.
_LEVELS: Final[dict[int, Literal[0, 1, 2, 99]]] = {-1: 1, 0: 99, 1: 2, 2: 0}
_CUDA_PARAMETER: Final = 'write it as a parameter of the accelerator "cuda"'
_IGNORED: Final[dict[str, str]] = {
    "share_session_between_instances": "one session serves all executors anyway",
    "memory.enable_memory_arena_shrinkage": (
        "the arena is not shrunk after runs; enable_mem_arena = 0 does without one"
    ),
    "arena_extend_strategy": _CUDA_PARAMETER,
    "cudnn_conv_algo_search": _CUDA_PARAMETER,
    "do_copy_in_default_stream": _CUDA_PARAMETER,
    "gpu_mem_limit": _CUDA_PARAMETER,
}
_ACCELERATORS: Final = ("optimization", "execution_accelerators")
_GPU_ACCELERATORS: Final = (*_ACCELERATORS, "gpu_execution_accelerator")


def read_runtime(reading: Reading) -> RuntimeConfig:
    """`[runtime]`. Errors: InvalidConfig when a value makes no sense or cannot be honoured."""
    parameters = _Parameters(reading)
    intra_threads = parameters.whole("intra_op_thread_count")
    return RuntimeConfig(
        intra_op_threads=intra_threads,
        inter_op_threads=_inter_op_threads(reading, parameters),
        cpu_arena=parameters.switch("enable_mem_arena"),
        memory_pattern=parameters.switch("enable_mem_pattern"),
        optimization_level=_optimization_level(reading),
        providers=_providers(reading),
        config_entries=parameters.entries(),
    )


class _Parameters:
    """`parameters`, by name; what nobody took is ignored."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._values = {
            name: value.string_value for name, value in reading.message.parameters.items()
        }

    def path(self, name: str) -> FieldPath:
        return ("parameters", Key(name))

    def whole(self, name: str, most: int = _MAX_THREADS) -> int:
        text = self._values.pop(name, "0")
        if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) > most:
            raise self._reading.refused(
                self.path(name), f"got {quoted(text)}, expected a whole number up to {most}"
            )
        return int(text)

    def switch(self, name: str) -> bool | None:
        text = self._values.pop(name, None)
        if text is None:
            return None
        if text.lower() not in ("0", "1", "false", "true"):
            raise self._reading.refused(self.path(name), f"got {quoted(text)}, expected 0 or 1")
        return text.lower() in ("1", "true")

    def entries(self) -> dict[str, str]:
        """Entries for the session; the rest is ignored. To be called last."""
        taken: dict[str, str] = {}
        for name, value in self._values.items():
            if name in SESSION_ENTRIES:
                taken[name] = value
            else:
                why = _IGNORED.get(name, "is no parameter that fastserve reads")
                self._reading.ignore(self.path(name), why)
        return taken


def _inter_op_threads(reading: Reading, parameters: _Parameters) -> int:
    """The session runs operators in parallel when there is more than one such thread."""
    is_parallel = parameters.whole("execution_mode", most=1) == 1
    threads = parameters.whole("inter_op_thread_count")
    if not is_parallel:
        if threads > 1:
            reading.ignore(
                parameters.path("inter_op_thread_count"),
                "counts only with execution_mode = 1, as in Triton",
            )
        return 1
    if threads > 1:
        return threads
    reading.ignore(
        parameters.path("execution_mode"),
        "operators run one after the other unless inter_op_thread_count is above 1",
    )
    return 1


def _optimization_level(reading: Reading) -> Literal[0, 1, 2, 99]:
    level = reading.message.optimization.graph.level
    if level not in _LEVELS:
        reading.ignore(
            ("optimization", "graph", "level"),
            f"{level} is none of -1, 0, 1 and 2: all optimizations stay on, as in Triton",
        )
    return _LEVELS.get(level, 99)


def _providers(reading: Reading) -> tuple[ProviderConfig, ...]:
    """The CUDA provider where the configuration asks for it; the CPU's is always there."""
    cuda = _cuda_options(reading)
    for place, accelerator in enumerate(
        reading.message.optimization.execution_accelerators.cpu_execution_accelerator
    ):
        raise reading.refused(
            (*_ACCELERATORS, "cpu_execution_accelerator", place),
            f"{quoted(accelerator.name)} is not served, and its answers may differ; without it the "
            "CPU provider runs the graph",
        )
    device = _device(reading, has_cuda=cuda is not None)
    is_on_gpu = device is not None or not reading.message.instance_group
    if cuda is not None and not is_on_gpu:
        reading.ignore(_GPU_ACCELERATORS, "no instance_group is of KIND_GPU or KIND_AUTO")
        cuda = None
    _model_files_by_device(reading, has_cuda=cuda is not None)
    if cuda is None:
        return ()
    if device:
        cuda["device_id"] = device
    return (ProviderConfig(name="CUDA", options=cuda),)


def _cuda_options(reading: Reading) -> dict[str, str] | None:
    """Options of the accelerator "cuda"; None when it is not asked for."""
    options: dict[str, str] | None = None
    accelerators = reading.message.optimization.execution_accelerators.gpu_execution_accelerator
    for place, accelerator in enumerate(accelerators):
        path = (*_GPU_ACCELERATORS, place)
        if accelerator.name != "cuda":
            raise reading.refused(
                path, f"{quoted(accelerator.name)} is not served, and its answers may differ; "
                "expected 'cuda'"
            )  # fmt: skip
        for name in accelerator.parameters:
            if problem := provider_option_problem("CUDA", name):
                raise reading.refused((*path, "parameters", Key(name)), problem)
        options = {**(options or {}), **accelerator.parameters}
    return options


def _device(reading: Reading, *, has_cuda: bool) -> str | None:
    """The GPU of the instance groups, "" for any; None when no group asks for one."""
    kinds = pb.ModelInstanceGroup.Kind
    asked = False
    gpus: set[int] = set()
    for place, group in enumerate(reading.message.instance_group):
        path: FieldPath = ("instance_group", place)
        kind = kinds.Name(group.kind)
        reading.whole((*path, "count"), group.count, least=0, most=1 << 20)
        if group.kind == pb.ModelInstanceGroup.KIND_GPU and not has_cuda:
            raise reading.refused(
                (*path, "kind"),
                "KIND_GPU needs the CUDA provider: ask for it with optimization { "
                'execution_accelerators { gpu_execution_accelerator { name: "cuda" } } }, or say '
                "KIND_CPU",
            )
        if group.gpus and group.kind == pb.ModelInstanceGroup.KIND_CPU:
            raise reading.refused((*path, "gpus"), "a group of KIND_CPU has no GPU")
        if group.kind in (pb.ModelInstanceGroup.KIND_GPU, pb.ModelInstanceGroup.KIND_AUTO):
            asked = asked or has_cuda
            gpus.update(group.gpus)
        if len(gpus) > 1:
            raise reading.refused(
                (*path, "gpus"), f"one session runs on one GPU, got {sorted(gpus)}: keep one"
            )
        count = f"{group.count} of " if group.count else ""
        reading.ignore(path, f"{count}{kind}: one session is shared by all executors")
    return "".join(map(str, gpus)) if asked else None


def _model_files_by_device(reading: Reading, *, has_cuda: bool) -> None:
    if not reading.message.cc_model_filenames:
        return
    if has_cuda:
        raise reading.refused(
            ("cc_model_filenames",),
            "a file by compute capability is not chosen; name it in default_model_filename",
        )
    reading.ignore(("cc_model_filenames",), "counts on a GPU alone")
