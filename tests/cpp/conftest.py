"""Compiles and runs outside of every test's time: minutes that are no hang of its own."""

import pytest


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item):
    """Prepares all that the chosen tests need before the first of them; later calls find it done.

    Here, not after the collection: of several workers, which all collect, one runs these tests.
    """
    if item.get_closest_marker("cpp"):
        chosen = [each for each in item.session.items if each.get_closest_marker("cpp")]
        item.module.prepare(chosen)
    return (yield)
