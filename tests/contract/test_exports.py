"""What a package exports is what it says it exports."""

import importlib
import subprocess
import sys
from types import ModuleType

import pytest

PACKAGES = ["fastserve", "fastserve.client"]


@pytest.mark.parametrize("name", PACKAGES)
def test_exports_exist_once(name):
    package = importlib.import_module(name)
    missing = [export for export in package.__all__ if not hasattr(package, export)]
    assert missing == []
    assert len(set(package.__all__)) == len(package.__all__)


@pytest.mark.parametrize("name", PACKAGES)
def test_exports_are_all_that_is_public(name):
    package = importlib.import_module(name)
    public = {
        attribute
        for attribute, value in vars(package).items()
        if not attribute.startswith("_") and not isinstance(value, ModuleType)
    }
    assert public <= set(package.__all__)


@pytest.mark.parametrize("name", PACKAGES)
def test_exports_come_with_their_own_module_or_below(name):
    package = importlib.import_module(name)
    foreign = [
        export
        for export in package.__all__
        if not getattr(getattr(package, export), "__module__", name).startswith("fastserve")
    ]
    assert foreign == []


def test_client_imports_nothing_of_the_server():
    program = (
        "import sys, fastserve.client\n"
        "loaded = {name for name in sys.modules if name.startswith('fastserve.')}\n"
        "parts = {name.split('.')[1] for name in loaded}\n"
        "print(*sorted(parts - {'client', 'errors', '_proto'}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


def test_version_is_that_of_the_installed_distribution():
    import importlib.metadata

    import fastserve

    assert fastserve.__version__ == importlib.metadata.version("fastserve")
