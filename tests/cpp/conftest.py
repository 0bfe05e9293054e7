"""Compiles before the first test runs: minutes that are no test's hang (faulthandler_timeout)."""


def pytest_collection_finish(session):
    items = [item for item in session.items if item.get_closest_marker("cpp")]
    if items and not session.config.option.collectonly:
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.write_line("compiling the C++ tests")
        items[0].module.build_for(items)
