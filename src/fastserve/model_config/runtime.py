"""`[runtime]`: how ONNX Runtime runs the model, and which of its entries a model may set."""

import difflib
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final, Literal

import msgspec

from fastserve.errors import InvalidConfig, quoted
from fastserve.model_config.group import Group

# Entries of ONNX Runtime's session that a model may set: they change its speed or its numbers and
# nothing else. Of the others some name files to be read or written, some take memory for granted or
# take cores from other models; a repository, or a configuration that comes over the network, is not
# trusted with them. An entry that a later ONNX Runtime adds is refused until somebody has read what
# it does. Source: onnxruntime_session_options_config_keys.h of ONNX Runtime.
SESSION_ENTRIES: Final = frozenset(
    {
        "mlas.disable_kleidiai",
        "mlas.qnbit.force_fp32",
        "mlas.use_lut_gemm",
        "optimization.disable_specified_optimizers",
        "optimization.enable_cast_chain_elimination",
        "optimization.enable_gelu_approximation",
        "session.allow_released_opsets_only",
        "session.disable_aot_function_inlining",
        "session.disable_cpu_ep_fallback",
        "session.disable_double_qdq_remover",
        "session.disable_prepacking",
        "session.disable_qdq_constant_folding",
        "session.disable_quant_qdq",
        "session.dynamic_block_base",
        "session.enable_dq_matmulnbits_fusion",
        "session.enable_gelu_approximation",
        "session.enable_quant_qdq_cleanup",
        "session.force_spinning_stop",
        "session.graph_optimizations_loop_level",
        "session.inter_op.allow_spinning",
        "session.intra_op.allow_spinning",
        "session.qdq_matmulnbits_accuracy_level",
        "session.qdq_matmulnbits_block_size",
        "session.qdqisint8allowed",
        "session.set_denormal_as_zero",
        "session.strict_shape_type_inference",
        "session.use_device_allocator_for_initializers",
        "session.x64quantprecision",
    }
)

# The same for options of execution providers. Left out are those that name files, folders,
# libraries or addresses, and `enable_cuda_graph`: a captured graph reads where its first
# inputs lay.
# Source: onnxruntime.ai/docs/execution-providers.
PROVIDER_OPTIONS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "CPU": frozenset(),
        "CUDA": frozenset(
            {
                "arena_extend_strategy",
                "cudnn_conv1d_pad_to_nc1d",
                "cudnn_conv_algo_search",
                "cudnn_conv_use_max_workspace",
                "device_id",
                "do_copy_in_default_stream",
                "enable_skip_layer_norm_strict_mode",
                "fuse_conv_bias",
                "gpu_mem_limit",
                "prefer_nhwc",
                "sdpa_kernel",
                "tunable_op_enable",
                "tunable_op_max_tuning_duration_ms",
                "tunable_op_tuning_enable",
                "use_ep_level_unified_stream",
                "use_tf32",
            }
        ),
        "OpenVINO": frozenset(
            {
                "device_type",
                "disable_dynamic_shapes",
                "enable_opencl_throttling",
                "enable_qdq_optimizer",
                "model_priority",
                "num_of_threads",
                "num_streams",
                "precision",
            }
        ),
        "XNNPACK": frozenset({"intra_op_num_threads"}),
    }
)

# How entries are called that make ONNX Runtime read or write files.
_FILE_ENTRY = re.compile(
    r"file|path|folder|(?<![a-z])dir(?![a-z])|root|prepacked_constant|profil|ep\.context"
)


# How providers call what they read, write or load, and what is an address.
_FILE_OPTION = re.compile(
    r"file|path|folder|dir(?![a-z])|cache|dump|lib|plugin|load_config|package", re.IGNORECASE
)
_ADDRESS_OPTION = re.compile(r"stream$|gpu_external_|_cfg$|context$|bytestream", re.IGNORECASE)


class ProviderConfig(Group, frozen=True):
    """One execution provider of ONNX Runtime and its options."""

    name: str
    options: dict[str, str] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        for option in self.options:
            if problem := provider_option_problem(self.name, option):
                raise InvalidConfig(
                    f"options: {quoted(option)} of {quoted(self.name)} may not be set by a model: "
                    f"it {problem} (docs/model.md lists what may)"
                )


def provider_option_problem(provider: str, option: str) -> str:
    """Why a model may not set the option, as the end of a sentence; empty when it may."""
    short = provider.removesuffix("ExecutionProvider")
    known = PROVIDER_OPTIONS.get("XNNPACK" if short == "Xnnpack" else short, frozenset())
    if option in known:
        return ""
    if _ADDRESS_OPTION.search(option):
        return "is an address in the server's memory"
    if _FILE_OPTION.search(option):
        return "would have the provider read or write files, or load libraries"
    if nearest := difflib.get_close_matches(option[:128], known, n=1, cutoff=0.8):
        return f"is not known; did you mean {nearest[0]!r}?"
    return "does more than change speed or numbers, or is not known"


class RuntimeConfig(Group, frozen=True):
    """`[runtime]`: ONNX Runtime's session. `optimization_level` is 0, 1, 2 or 99 (all)."""

    intra_op_threads: Annotated[int, msgspec.Meta(ge=0, le=1024)] = 0
    inter_op_threads: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 1
    allow_spinning: bool = False
    # None: as chosen by measurement in csrc/fastserve/runtime/session.cc.
    cpu_arena: bool | None = None
    memory_pattern: bool | None = None
    optimization_level: Literal[0, 1, 2, 99] = 99
    providers: tuple[ProviderConfig, ...] = ()
    config_entries: dict[str, str] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.config_entries:
            if name in SESSION_ENTRIES:
                continue
            nearest = difflib.get_close_matches(name[:128], SESSION_ENTRIES, n=1, cutoff=0.8)
            if _FILE_ENTRY.search(name):
                why = "it would have ONNX Runtime read or write files by path"
            elif nearest:
                why = f"did you mean {nearest[0]!r}?"
            else:
                why = "it does more than change the session's speed or numbers, or is not known"
            raise InvalidConfig(
                f"config_entries: {quoted(name)} may not be set by a model: {why} "
                "(docs/model.md lists what may)"
            )
