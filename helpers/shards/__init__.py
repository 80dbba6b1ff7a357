"""Many images: a manifest is encoded into shards by many processes, and the shards are searched.

In the order of the work: `manifest` (which images), `encoder` (rows become features), `shards` (files that are whole
or not there), `workers` (processes that may die), `job` (all of it, resumed after any kill); then `index` (search the
shards in memory) and `lance` (search them on disk; it needs lancedb).
"""

try:
    import pyarrow  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("helpers.shards writes Parquet files: pip install pyarrow", name="pyarrow") from error

from helpers.shards.index import ShardIndex
from helpers.shards.job import EncodeResult, encode_manifest

__all__ = ["encode_manifest", "EncodeResult", "ShardIndex"]
