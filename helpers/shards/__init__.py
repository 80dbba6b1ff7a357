"""Many images: a manifest is encoded into shards, by processes here or on a Ray cluster, for a vector database.

In the order of the work: `manifest` (which images), `shard` (rows become a file), `job` (all of it, continued after any
kill), `on_ray` (the same on a cluster), `lance` (shards become a table of LanceDB).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from helpers.shards.job import EncodeResult as EncodeResult
    from helpers.shards.job import encode_manifest as encode_manifest
    from helpers.shards.lance import merge_shards as merge_shards
    from helpers.shards.shard import read_shard as read_shard

_HOME = {"encode_manifest": "job", "EncodeResult": "job", "read_shard": "shard", "merge_shards": "lance"}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, and say what it needs."""
    if name not in _HOME:
        raise AttributeError(f"module 'helpers.shards' has no attribute {name!r}")
    try:
        return getattr(import_module(f"helpers.shards.{_HOME[name]}"), name)
    except ModuleNotFoundError as error:
        if error.name != "pyarrow":
            raise
        need = "Expected pyarrow, which writes Parquet files; got none. Run `pip install pyarrow`."
        raise ModuleNotFoundError(need, name="pyarrow") from error
