"""Without pyarrow, all works but `helpers.shards`, which says what it needs."""

import sys

import pytest

from helpers.__main__ import main


@pytest.fixture(autouse=True)
def _no_pyarrow(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for name in [name for name in sys.modules if name.startswith("helpers.shards")]:
        monkeypatch.delitem(sys.modules, name)


def test_the_package_says_what_to_install():
    with pytest.raises(ModuleNotFoundError, match="^Expected pyarrow, .*; got none. Run `pip install pyarrow`.$"):
        from helpers.shards import encode_manifest  # noqa: F401


def test_the_command_says_it_in_one_line(capsys):
    assert main(["encode", "manifest.csv", "out"]) == 1
    assert capsys.readouterr() == (
        "",
        "Expected pyarrow, which writes Parquet files; got none. Run `pip install pyarrow`.\n",
    )
