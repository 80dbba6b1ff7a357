"""Strict comparison of the lessons' outputs: everything but stderr, where progress bars and warnings go."""


def pytest_collectstart(collector):
    """Tell nbval, for each notebook, not to compare stderr."""
    if collector.fspath and collector.fspath.ext == ".ipynb":
        collector.skip_compare += ("stderr",)
