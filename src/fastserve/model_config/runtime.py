"""`[runtime]`: how ONNX Runtime runs the model, and which of its entries a model may set."""

import difflib
import re
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


# How entries are called that make ONNX Runtime read or write files.
_FILE_ENTRY = re.compile(
    r"file|path|folder|(?<![a-z])dir(?![a-z])|root|prepacked_constant|profil|ep\.context"
)


class ProviderConfig(Group, frozen=True):
    """One execution provider of ONNX Runtime and its options."""

    name: str
    options: dict[str, str] = msgspec.field(default_factory=dict)


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
