"""Imports and includes run one way, and each foreign library has one home."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "fastserve"
CORE = ROOT / "csrc" / "fastserve"

# From the ground up: a unit may import those of lower rank. Same rank: siblings, which do not
# import each other, but for the pairs below.
PYTHON_RANKS = {
    "errors": 0,
    "decoding": 0,
    "huge_pages": 0,
    "thread_priority": 0,
    "_proto": 0,
    "config": 1,
    "metric_source": 1,
    "rollout_spec": 1,
    "route_spec": 1,
    "durable": 1,
    "model_config": 2,
    "_core": 2,
    "settings": 2,
    "tokens": 2,
    "bench": 3,
    "models": 3,
    "routing": 3,
    "drift": 3,
    "observe": 3,
    "rpc": 4,
    "http": 4,
    "capturing": 5,
    "state_folder": 5,
    "feedback_hosting": 5,
    "watching": 6,
    "token_reload": 6,
    "rollout_hosting": 7,
    "strategy_hosting": 7,
    "hosting": 8,
    "figures": 9,
    "server": 10,
    "cli": 11,
    "__main__": 12,
}
# The client is installed for itself: nothing of the server comes with it.
CLIENT_MAY_IMPORT = {"client", "errors", "_proto"}
CLIENT_IS_USED_BY = {"client", "cli"}

CPP_ORDER = [
    *("base", "tensor", "wire", "http2", "grpc", "sketch"),
    *("route", "batch", "runtime", "engine", "front", "net", "bench"),
]

# library: the places under src/fastserve that may import it
PYTHON_HOMES = {
    "grpc": ("client/", "rpc/", "cli/", "_proto/"),
    "prometheus_client": ("observe/metrics",),
    "opentelemetry": ("observe/tracing.py",),
}
# what a C++ file may not mention outside its home, and the home
CPP_HOMES = {
    "ONNX Runtime": (re.compile(r"\bOrt[A-Z]\w*|\bort_api\b"), ("runtime",)),
    "Asio": (re.compile(r"#include\s*<asio|\basio::"), ("net",)),
    "sockets": (
        re.compile(r"#include\s*<(sys/socket|sys/un|netinet/|arpa/inet|netdb)"),
        ("net", "bench"),
    ),
    "OpenSSL": (re.compile(r"#include\s*<openssl/"), ("net",)),
    "nghttp2": (re.compile(r"#include\s*<nghttp2/"), ("http2",)),
    "zlib": (re.compile(r"#include\s*<zlib\.h>"), ("grpc", "base")),
    "threads": (re.compile(r"\bstd::j?thread\b|\bpthread_create\b"), ("engine", "net", "bench")),
}

SEAM_IMPORT = re.compile(
    r"^\s*(?:from\s+(fastserve[\w.]*)\s+c?import|c?import\s+(fastserve[\w.]*))"
)


def python_files():
    return sorted(path for path in PACKAGE.rglob("*.py") if "_proto" not in path.parts)


def seam_files():
    return sorted(path for kind in ("pyx", "pxi", "pxd") for path in PACKAGE.rglob(f"*.{kind}"))


def core_files():
    return sorted([*CORE.rglob("*.h"), *CORE.rglob("*.cc")])


def relative(path):
    return str(path.relative_to(ROOT))


def imported_modules(source, package):
    """Absolute names of every module that the source imports, also inside functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parent, *([base] if base else [])])
            # `from fastserve import errors` imports a unit as much as `import fastserve.errors`.
            if base == "fastserve":
                yield from (f"fastserve.{alias.name}" for alias in node.names)
            else:
                yield base


def unit_of(module):
    """`fastserve.models.loader` -> `models`; None outside the package or for the package itself."""
    parts = module.split(".")
    if parts[0] != "fastserve" or len(parts) == 1 or parts[1] == "__version__":
        return None
    return parts[1]


def python_breaches(unit, modules):
    """Says for each import of `unit` that breaks the order what is wrong with it."""
    for module in modules:
        target = unit_of(module)
        if target is None or target == unit:
            continue
        if unit == "client":
            if target not in CLIENT_MAY_IMPORT:
                yield f"client imports {module}: it stands alone but for errors and _proto"
        elif target == "client":
            if unit not in CLIENT_IS_USED_BY:
                yield f"{unit} imports {module}: only cli uses the client"
        elif target not in PYTHON_RANKS:
            yield f"{unit} imports {module}, which has no rank in this test"
        elif PYTHON_RANKS[target] >= PYTHON_RANKS[unit]:
            yield f"{unit} imports {module}, which is not below it"


def include_breaches(layer, source):
    allowed = CPP_ORDER[: CPP_ORDER.index(layer) + 1]
    for included in re.findall(r'#include\s*"fastserve/(\w+)/', source):
        if included not in allowed:
            yield f"layer {layer} includes fastserve/{included}/, may include: {' '.join(allowed)}"
    for included in re.findall(r'#include\s*"(?!fastserve/)([^"]+)"', source):
        yield f'#include "{included}": say it from the root, "fastserve/<layer>/<noun>.h"'


def without_comments(source):
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", source, flags=re.DOTALL)


def home_breaches(layer, source):
    code = without_comments(source)
    for library, (pattern, homes) in CPP_HOMES.items():
        found = pattern.search(code)
        if found and layer not in homes:
            yield f"{found.group()!r} in layer {layer}: {library} lives in {', '.join(homes)}"


def package_of(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1])


@pytest.mark.parametrize("path", python_files(), ids=relative)
def test_python_imports_run_one_way(path):
    unit = path.relative_to(PACKAGE).with_suffix("").parts[0]
    if unit == "__init__":
        unit_rank_free = [unit_of(m) for m in imported_modules(path.read_text(), "fastserve")]
        assert not set(unit_rank_free) & {"server", "cli", "_core"}, "import fastserve stays light"
        return
    assert unit in PYTHON_RANKS or unit == "client", f"{unit} has no rank in this test"
    modules = imported_modules(path.read_text(), package_of(path))
    assert list(python_breaches(unit, modules)) == []


@pytest.mark.parametrize("path", python_files(), ids=relative)
def test_python_library_is_imported_only_at_home(path):
    place = str(path.relative_to(PACKAGE))
    imported = {m.split(".")[0] for m in imported_modules(path.read_text(), package_of(path))}
    strangers = {
        library: homes
        for library, homes in PYTHON_HOMES.items()
        if library in imported and not place.startswith(homes)
    }
    assert strangers == {}


@pytest.mark.parametrize("path", seam_files(), ids=relative)
def test_seam_imports_run_one_way(path):
    found = (SEAM_IMPORT.match(line) for line in path.read_text().splitlines())
    modules = [match.group(1) or match.group(2) for match in found if match]
    assert list(python_breaches("_core", modules)) == []


@pytest.mark.parametrize("path", core_files(), ids=relative)
def test_cpp_includes_run_one_way(path):
    layer = path.relative_to(CORE).parts[0]
    assert layer in CPP_ORDER, f"layer {layer} has no place in the order"
    assert list(include_breaches(layer, path.read_text())) == []


@pytest.mark.parametrize("path", core_files(), ids=relative)
def test_cpp_library_is_used_only_at_home(path):
    layer = path.relative_to(CORE).parts[0]
    assert list(home_breaches(layer, path.read_text())) == []


def test_cmake_builds_every_layer_in_this_order():
    listed = re.search(r"set\(layers ([^)]*)\)", (ROOT / "csrc" / "CMakeLists.txt").read_text())
    assert listed is not None
    assert listed.group(1).split() == CPP_ORDER


@pytest.mark.parametrize(
    ("unit", "source"),
    [
        ("models", "from fastserve.rpc import servicer"),
        ("models", "from fastserve import drift"),
        ("models", "def load():\n    import fastserve.observe.metrics"),
        ("errors", "from .config import Settings"),
        ("client", "from fastserve.config import Settings"),
        ("server", "from fastserve.client import Client"),
        ("rpc", "from fastserve.surprise import x"),
    ],
)
def test_layer_rule_refuses_a_python_breach(unit, source):
    assert len(list(python_breaches(unit, imported_modules(source, "fastserve")))) == 1


@pytest.mark.parametrize(
    ("layer", "source"),
    [
        ("wire", '#include "fastserve/engine/engine.h"'),
        ("base", '#include "fastserve/tensor/shape.h"'),
        ("base", '#include "status.h"'),
    ],
)
def test_layer_rule_refuses_a_cpp_breach(layer, source):
    assert len(list(include_breaches(layer, source))) == 1


@pytest.mark.parametrize(
    ("layer", "source"),
    [
        ("engine", "OrtSession* session;"),
        ("front", "#include <asio/io_context.hpp>"),
        ("grpc", "#include <nghttp2/nghttp2.h>"),
        ("batch", "std::thread worker;"),
    ],
)
def test_home_rule_refuses_a_stranger(layer, source):
    assert len(list(home_breaches(layer, source))) == 1
    assert list(home_breaches(layer, f"// {source}")) == []


@pytest.mark.parametrize("path", python_files(), ids=relative)
def test_types_are_decoded_in_one_place(path):
    """Elsewhere two threads that meet a type at the same time end the process."""
    unsafe = r"msgspec\.(?:convert\(|(?:json|toml|msgpack)\.(?:Decoder\(|decode\([^\n]*\btype=))"
    found = re.findall(unsafe, path.read_text())
    assert not found or path == PACKAGE / "decoding.py", "see fastserve/decoding.py"
