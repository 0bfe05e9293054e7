"""model.toml: every group, what it refuses, and where a message says it is."""

import re

import pytest

from fastserve.errors import InvalidConfig
from fastserve.model_config import (
    PROVIDER_OPTIONS,
    SESSION_ENTRIES,
    CaptureConfig,
    FeedbackConfig,
    ModelConfig,
    PriorityConfig,
    ProviderConfig,
    QueuePolicy,
    RuntimeConfig,
    TensorConfig,
    VersionsConfig,
    file_name_problem,
    parse_model_config,
)

EVERYTHING = b"""
model_file = "net.onnx"
max_request_rows = 64

[versions]
latest = 3
keep_previous = 2

[labels]
stable = 7
canary-2 = 8

[lineage]
commit = "0a1b2c"

[golden]
relative_tolerance = 1e-3
absolute_tolerance = 0

[load]
allow_signature_change = true
check_seconds = 10
check_memory_bytes = 1000000

[queue]
priority_levels = 3
default_priority = 2
default = { timeout_action = "delay", timeout_us = 5000 }
[queue.levels.1]
max_requests = 10
allow_timeout_override = true

[tensors."input ids"]
shape = [2, -1]
reshape = [1, 2, -1]
"""


def parse(text):
    return parse_model_config(text.encode(), name="model.toml")


def refused(text):
    with pytest.raises(InvalidConfig) as error:
        parse(text)
    message = error.value.message
    assert message.startswith("model.toml: ")
    assert "\n" not in message
    return message.removeprefix("model.toml: ")


def test_parse_model_config_takes_every_group():
    config = parse(EVERYTHING.decode())
    assert (config.model_file, config.max_request_rows) == ("net.onnx", 64)
    assert config.versions == VersionsConfig(latest=3, keep_previous=2)
    assert config.labels == {"stable": 7, "canary-2": 8}
    assert config.lineage == {"commit": "0a1b2c"}
    assert (config.golden.relative_tolerance, config.golden.absolute_tolerance) == (1e-3, 0)
    assert config.load.allow_signature_change
    assert (config.load.check_seconds, config.load.check_memory_bytes) == (10, 1_000_000)
    assert config.queue == PriorityConfig(
        priority_levels=3,
        default_priority=2,
        default=QueuePolicy(timeout_action="delay", timeout_us=5000),
        levels={"1": QueuePolicy(max_requests=10, allow_timeout_override=True)},
    )
    assert config.tensors == {"input ids": TensorConfig(shape=(2, -1), reshape=(1, 2, -1))}


def test_model_config_without_a_file_is_all_defaults():
    config = parse("")
    assert config == ModelConfig()
    assert (config.versions.latest, config.versions.all, config.versions.keep_previous) == (
        None,
        False,
        1,
    )
    assert config.model_file == "model.onnx"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("versions = { latest = 0 }", "versions.latest: expected `int` >= 1 (value 0)"),
        (
            "versions = { latest = 1, all = true }",
            "versions.latest: excludes all: keep one",
        ),
        (
            "versions = { all = true, specific = [3] }",
            "versions.all: excludes specific: keep one",
        ),
        (
            "versions = { latest = 2, all = true, specific = [3] }",
            "versions.latest: excludes all and specific: keep one",
        ),
        (
            "versions = { specific = [1, 0] }",
            "versions.specific.1: expected `int` >= 1 (value 0)",
        ),
        ("versions = { specific = [3, 3] }", "versions.specific: names version 3 twice"),
        (
            "versions = { keep_previous = -1 }",
            "versions.keep_previous: expected `int` >= 0 (value -1)",
        ),
        (
            "labels = { 7 = 7 }",
            (
                "labels: '7' is no label: expected letters, digits, '_', '.' and '-', at most 64, "
                "the first a letter or '_'"
            ),
        ),
        ("labels = { stable = 0 }", "labels.stable: expected `int` >= 1 (value 0)"),
        ('labels = { stable = "1" }', "labels.stable: expected `int`, got `str` (value '1')"),
        ("lineage = { commit = 7 }", "lineage.commit: expected `str`, got `int` (value 7)"),
        (
            "golden = { relative_tolerance = -1e-9 }",
            "golden.relative_tolerance: expected `float` >= 0.0 (value -1e-09)",
        ),
        (
            "golden = { absolute_tolerance = inf }",
            "golden.absolute_tolerance: expected a finite number: else every answer passes",
        ),
        (
            "golden = { absolute_tolerance = nan }",
            "golden.absolute_tolerance: expected `float` >= 0.0 (value nan)",
        ),
        ("load = { check_seconds = 0 }", "load.check_seconds: expected `float` > 0.0 (value 0)"),
        (
            "load = { allow_signatur_change = true }",
            "load.allow_signatur_change: no such key; did you mean 'allow_signature_change'?",
        ),
        (
            "queue = { priority_levels = 2 }",
            "queue.default_priority: got 0, expected 1 to 2, the number of priority_levels",
        ),
        (
            "queue = { priority_levels = 2, default_priority = 3 }",
            "queue.default_priority: got 3, expected 1 to 2, the number of priority_levels",
        ),
        (
            "queue = { default_priority = 1 }",
            "queue.default_priority: means nothing while priority_levels is 0",
        ),
        (
            "queue = { levels = { 1 = {} } }",
            "queue.levels: means nothing while priority_levels is 0",
        ),
        (
            "queue = { priority_levels = 2, default_priority = 1, levels = { 3 = {} } }",
            "queue.levels: '3' is no level, expected 1 to 2, the number of priority_levels",
        ),
        (
            "queue = { priority_levels = 2, default_priority = 1, levels = { 01 = {} } }",
            "queue.levels: '01' is no level, expected 1 to 2, the number of priority_levels",
        ),
        (
            (
                "queue = { priority_levels = 2, default_priority = 1, "
                'levels = { 1 = {}, 2 = { timeout_us = "1" } } }'
            ),
            "queue.levels.2.timeout_us: expected `int`, got `str` (value '1')",
        ),
        (
            'queue = { default = { timeout_action = "drop" } }',
            "queue.default.timeout_action: expected one of 'delay', 'reject' (value 'drop')",
        ),
        (
            "tensors = { a = { shape = [1] }, x = { shap = [1] } }",
            "tensors.x.shap: no such key; did you mean 'shape'?",
        ),
        (
            "tensors = { x = { reshape = [4] } }",
            ("tensors.x.reshape: needs shape, which says what clients send"),
        ),
        (
            "tensors = { x = { shape = [4], reshape = [2, 3] } }",
            (
                "tensors.x.reshape: [2, 3] has not as many elements as shape [4]; axes of -1 keep "
                "their order"
            ),
        ),
        (
            "tensors = { x = { shape = [0] } }",
            "tensors.x.shape: has an axis of 0, expected at least 1, or -1",
        ),
        (
            "tensors = { x = { shape = [-2] } }",
            "tensors.x.shape.0: expected `int` >= -1 (value -2)",
        ),
        (
            'model_file = "../model.onnx"',
            ("model_file: '../model.onnx' begins with a dot, and hidden files are not served"),
        ),
        (
            'model_file = "a/b.onnx"',
            (
                "model_file: 'a/b.onnx' is not a plain name: the file lies in "
                "the version's own folder"
            ),
        ),
        ('model_file = ""', "model_file: expected the name of a file, of 1 to 255 bytes"),
        ("max_request_rows = 0", "max_request_rows: expected `int` >= 1 (value 0)"),
    ],
)
def test_parse_model_config_says_where_and_what_when_it_refuses(text, expected):
    assert refused(text) == expected


@pytest.mark.parametrize(
    "label", ["a", "_", "A.b-c_9", "v1", "a" * 64, "stable", "None", "nan", "e5"]
)
def test_label_is_taken_when_it_looks_like_no_number(label):
    assert ModelConfig(labels={label: 1}).labels == {label: 1}


@pytest.mark.parametrize(
    "label", ["", "1", "1a", "-1", "+1", "٣", "é", "a b", "a/b", "a" * 65, ".a", "a\n", "a\0"]
)
def test_label_is_refused_when_it_could_be_something_else(label):
    with pytest.raises(InvalidConfig, match="is no label"):
        ModelConfig(labels={label: 1})


@pytest.mark.parametrize(
    ("shape", "reshape"),
    [
        ((1,), ()),
        ((), (1,)),
        ((4,), (2, 2)),
        ((2, 4, -1, 6), (8, -1, 1, 6)),
        ((-1, -1), (-1, 1, -1)),
        ((-1,), (1, -1, 1)),
    ],
)
def test_tensor_config_takes_as_many_elements_in_another_shape(shape, reshape):
    assert TensorConfig(shape=shape, reshape=reshape).reshape == reshape


@pytest.mark.parametrize(
    ("shape", "reshape"),
    [((2,), ()), ((-1,), (4,)), ((4,), (-1,)), ((-1, 4), (4, -1)), ((-1, -1), (-1,))],
)
def test_tensor_config_refuses_another_number_of_elements(shape, reshape):
    with pytest.raises(InvalidConfig, match="has not as many elements"):
        TensorConfig(shape=shape, reshape=reshape)


@pytest.mark.parametrize(
    "name", ["..", ".", ".hidden", "a/b", "a\\b", "a\0b", "a\nb", "", "a" * 256]
)
def test_file_name_is_refused_when_it_could_leave_the_folder(name):
    assert file_name_problem(name)


def test_lineage_is_bounded():
    with pytest.raises(InvalidConfig, match="lineage: has 65 entries, more than 64"):
        ModelConfig(lineage={str(n): "" for n in range(65)})
    with pytest.raises(InvalidConfig, match="at most 4096 characters each"):
        ModelConfig(lineage={"a": "b" * 4097})


def test_capture_fields_are_tensors_or_elements_of_their_rows():
    config = CaptureConfig(
        tensors=("x", "y", "odd[1]"), drop=("x[3]", "x[0]", "odd[1]"), hash=("y",)
    )
    assert config.fields(("x", "y", "z", "odd[1]")) == {
        "x": {3: "drop", 0: "drop"}, "odd[1]": {-1: "drop"}, "y": {-1: "hash"}, "z": {-1: "drop"}
    }  # fmt: skip


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"drop": ("pixel",)}, "drop: 'pixel' is no field of the model, expected one of 'pixels'"),
        ({"drop": ("pixel[3]",)}, "drop: 'pixel[3]' is no field"),
        ({"hash": ("id",)}, "hash: 'id' is no field"),
        ({"hash": ("pixels[3]",)}, "hash: 'pixels[3]': expected a whole tensor's name"),
        ({"tensors": ("pixels[3]",)}, "tensors: 'pixels[3]' is no field"),
    ],
)
def test_capture_refuses_fields_that_the_model_does_not_have(config, message):
    with pytest.raises(InvalidConfig) as error:
        CaptureConfig(**config).fields(("pixels",))
    assert error.value.message.startswith(message)


def test_capture_refuses_a_field_that_is_dropped_and_hashed():
    with pytest.raises(InvalidConfig, match=r"capture.hash: 'x' is in drop as well"):
        parse_model_config(b'[capture]\ndrop = ["x"]\nhash = ["x"]\n', name="model.toml")


@pytest.mark.parametrize("share", ["-0.1", "1.1", "nan", '"all"'])
def test_capture_share_is_between_nothing_and_all(share):
    with pytest.raises(InvalidConfig, match=r"capture.share"):
        parse_model_config(f"[capture]\nshare = {share}\n".encode(), name="model.toml")


@pytest.mark.parametrize(
    "entry",
    [
        "ep.context_file_path",
        "ep.context_enable",
        "ep.context_model_external_initializers_file_name",
        "session.save_external_prepacked_constant_initializers",
        "session.model_external_initializers_file_folder_path",
        "session.optimized_model_filepath",
        "session.enable_profiling",
        "session.profile_file_prefix",
        "session.collect_node_memory_stats_to_file",
        "session.moe.offload.derived_cache_dir",
        "session.moe.offload.source_root",
        "session.node_partition_config_file",
    ],
)
def test_session_entry_that_names_files_is_refused_with_its_name_and_the_reason(entry):
    text = f'[runtime.config_entries]\n"{entry}" = "/etc/passwd"\n'
    with pytest.raises(InvalidConfig) as refused:
        parse_model_config(text.encode(), name="model.toml")
    assert refused.value.message.startswith("model.toml: runtime.config_entries: ")
    assert f"'{entry}' may not be set by a model" in refused.value.message
    assert "read or write files by path" in refused.value.message


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("session.use_ort_model_bytes_directly", "does more than"),
        ("session.intra_op_thread_affinities", "does more than"),
        ("session.disable_prepackin", "did you mean 'session.disable_prepacking'?"),
        ("", "does more than"),
    ],
)
def test_session_entry_that_is_not_allowed_is_refused(entry, why):
    with pytest.raises(InvalidConfig, match=re.escape(why)):
        RuntimeConfig(config_entries={entry: "1"})


def test_session_entries_that_are_allowed_name_no_files_and_are_taken():
    words = ("file", "path", "folder", "dir", "root", "profil", "context", "save")
    assert [entry for entry in SESSION_ENTRIES if any(word in entry for word in words)] == []
    entries = dict.fromkeys(SESSION_ENTRIES, "0")
    assert RuntimeConfig(config_entries=entries).config_entries == entries


@pytest.mark.parametrize(
    ("provider", "option", "why"),
    [
        ("TensorRT", "trt_engine_cache_path", "read or write files, or load libraries"),
        ("TensorRT", "trt_extra_plugin_lib_paths", "read or write files, or load libraries"),
        ("TensorrtExecutionProvider", "trt_dump_subgraphs", "read or write files"),
        ("QNN", "backend_path", "read or write files, or load libraries"),
        ("QNN", "profiling_file_path", "read or write files"),
        ("QNN", "op_packages", "read or write files, or load libraries"),
        ("OpenVINO", "cache_dir", "read or write files"),
        ("OpenVINO", "load_config", "read or write files"),
        ("OpenVINO", "context", "an address in the server's memory"),
        ("VitisAI", "config_file", "read or write files"),
        ("CoreML", "ModelCacheDirectory", "read or write files"),
        ("CUDA", "user_compute_stream", "an address in the server's memory"),
        ("CUDAExecutionProvider", "gpu_external_alloc", "an address in the server's memory"),
        ("CUDA", "default_memory_arena_cfg", "an address in the server's memory"),
        ("CUDA", "enable_cuda_graph", "does more than"),
        ("CUDA", "device_idd", "did you mean 'device_id'?"),
        ("CPU", "anything", "does more than"),
        ("Unheard", "device_id", "does more than"),
    ],
)
def test_provider_option_that_is_not_allowed_is_refused(provider, option, why):
    text = f'[runtime]\nproviders = [{{ name = "{provider}", options = {{ {option} = "/x" }} }}]\n'
    with pytest.raises(InvalidConfig) as refused:
        parse_model_config(text.encode(), name="model.toml")
    assert refused.value.message.startswith("model.toml: runtime.providers.0.options: ")
    assert f"'{option}' of '{provider}' may not be set by a model" in refused.value.message
    assert why in refused.value.message


def test_provider_options_that_are_allowed_are_taken_under_either_name():
    for provider, known in PROVIDER_OPTIONS.items():
        options = dict.fromkeys(known, "1")
        for name in (provider, f"{provider}ExecutionProvider"):
            assert ProviderConfig(name=name, options=options).options == options
    assert ProviderConfig(name="TensorRT").options == {}


def test_feedback_takes_every_key():
    config = parse(
        """
        [feedback]
        task = "classification"
        output = "probabilities"
        classes = ["fine", "fraud"]
        positive_class = "fraud"
        threshold = 0.3
        segment = "country"
        segments = ["de", "fr"]
        minimum_labels = 50
        window_seconds = 300
        bounds = { accuracy = 0.9, log_loss = 0.4, selection_rate_gap = 0.1 }
        """
    ).feedback
    assert config == FeedbackConfig(
        task="classification",
        output="probabilities",
        classes=("fine", "fraud"),
        positive_class="fraud",
        threshold=0.3,
        segment="country",
        segments=("de", "fr"),
        minimum_labels=50,
        window_seconds=300,
        bounds={"accuracy": 0.9, "log_loss": 0.4, "selection_rate_gap": 0.1},
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('task = "ranking"', "task: expected one of 'auto', 'classification', 'regression'"),
        ("classes = [1]", "classes: has one class, expected at least two, or none at all"),
        ('classes = [1, "1"]', "classes: has '1' twice"),
        ('classes = [0, 1]\npositive_class = "x"', "positive_class: 'x' is not among classes"),
        ("threshold = nan", "threshold: expected a finite number"),
        ('segments = ["a"]', "segments: needs segment, which names the input"),
        ('segment = "s"\nsegments = ["a", "a"]', "segments: has 'a' twice"),
        ("minimum_labels = 0", "minimum_labels: expected `int` >= 1 (value 0)"),
        ("window_seconds = 61", "window_seconds: expected one of 60, 300, 3600, 86400"),
        (
            "bounds = { acc = 1.0 }",
            "bounds: 'acc' is no measure, expected one of accuracy,",
        ),
        ("bounds = { mae = inf }", "bounds: mae is inf, expected a finite number"),
        (
            "bounds = { selection_rate_gap = 0.1 }",
            "bounds: selection_rate_gap needs segment, whose values it compares",
        ),
        ("thresholds = 1.0", "thresholds: no such key; did you mean 'threshold'?"),
    ],
)
def test_feedback_is_refused_with_the_place(text, expected):
    assert refused(f"[feedback]\n{text}").startswith(f"feedback.{expected}")
