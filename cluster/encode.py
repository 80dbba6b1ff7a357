"""Encode a manifest with Ray Data, on one machine or on many.

    python -m cluster.encode MANIFEST OUT                                  # this machine
    ray job submit --working-dir . -- python -m cluster.encode MANIFEST OUT --actors 1 64   # a cluster

All machines must see the manifest, the images and OUT under the same paths. What is written are the shards of
`helpers.shards`, but for their names and a column ``row``, the number of the row in the manifest. After a crash of an
actor, a machine or this command, the same command goes on: what is written is not encoded again.
"""

import argparse
import os
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray
import torch
from pyarrow import parquet
from ray.data.checkpoint import CheckpointConfig

from helpers.models import default_precision
from helpers.shards.encoder import Encoder, check_made_by
from helpers.shards.manifest import PLAN, Manifest, write_plan

RAYS_OWN = 4  # slots for Ray's reading, filtering and writing; with too few of them a resumed job waits for ever


def encode(manifest: Path, out: Path, actors: tuple[int, int], block: int, options: dict[str, Any]) -> None:
    """Read, encode, write.

    Args:
        manifest: as `helpers.shards.encode_manifest` takes it.
        out: the folder of the Parquet files.
        actors: the fewest and the most processes with a model; Ray adds some while images wait.
        block: rows of a file, and what the death of an actor costs.
        options: for `Encoder`.

    Raises:
        ValueError: the manifest can't be read, or ``out`` holds features of another model or of other rows.
    """
    about = Encoder(manifest.parent, **{**options, "device": "cpu"}).about
    out.mkdir(parents=True, exist_ok=True)
    for file in list(out.glob("*.parquet"))[:1]:
        check_made_by(parquet.read_schema(file), about, file)
    blocks = write_blocks(manifest, out, block)
    if blocks == 0:
        return
    if "RAY_ADDRESS" not in os.environ:  # no cluster
        ray.init(num_cpus=actors[1] + RAYS_OWN, log_to_driver=False)
    context = ray.data.DataContext.get_current()
    context.use_datasource_v2 = False  # it joins small files into one block, whatever override_num_blocks says
    context.checkpoint_config = CheckpointConfig(
        id_column="row", checkpoint_path=str(out / ".done"), delete_checkpoint_on_success=False
    )
    rows = ray.data.read_parquet(str(out / ".plan" / "blocks"), override_num_blocks=blocks)
    encoded = rows.map_batches(
        Encoder,
        fn_constructor_kwargs={"root": manifest.parent, **options},
        batch_size=None,  # a block at a time: the encoder makes its own batches
        batch_format="pyarrow",
        num_cpus=1,
        num_gpus=int(options["device"] == "cuda"),
        compute=ray.data.ActorPoolStrategy(min_size=actors[0], max_size=actors[1]),
    )
    encoded.write_parquet(str(out))


def write_blocks(manifest: Path, out: Path, block: int) -> int:
    """Write the plan as one file for each block: a block is what Ray gives to an actor.

    Each row gets its number. That is what Ray's checkpoint knows it by: ids may be repeated, numbers can't.

    Returns:
        How many blocks there are.

    Raises:
        ValueError: the rows are not those of the last time, with or without new ones at the end.
    """
    place, last = out / ".plan.new", out / ".plan"
    shutil.rmtree(place, ignore_errors=True)
    (place / "blocks").mkdir(parents=True)
    blocks = write_plan(Manifest(manifest), place, block)
    with parquet.ParquetFile(place / PLAN) as plan:
        for number in range(blocks):
            rows = plan.read_row_group(number)
            before = last / "blocks" / f"{number:06}.parquet"
            if before.exists():
                known = parquet.read_table(before, partitioning=None).drop_columns("row")
                if not known.equals(rows.slice(0, known.num_rows)):
                    raise ValueError(f"{out} holds other rows than {manifest}: give another folder")
            numbers = pa.array(range(number * block, number * block + rows.num_rows), pa.int64())
            parquet.write_table(rows.append_column("row", numbers), place / "blocks" / f"{number:06}.parquet")
    if (last / "blocks" / f"{blocks:06}.parquet").exists():
        raise ValueError(f"{out} holds more rows than {manifest}: give another folder")
    shutil.rmtree(last, ignore_errors=True)
    place.rename(last)
    return blocks


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path, metavar="MANIFEST", help="CSV or Parquet with the columns id and path")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for the Parquet files")
    parser.add_argument("--actors", type=int, nargs=2, default=(1, 2), metavar=("FEWEST", "MOST"))
    parser.add_argument("--block", type=int, default=4096, help="rows of a file (default: 4096)")
    parser.add_argument("--model", default="tiny", help="a name that load takes, or a checkpoint (default: tiny)")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="of the actors (default: cpu)")
    given = parser.parse_args()
    options = {"model": given.model, "device": given.device}
    options["precision"] = default_precision(torch.device(given.device))
    encode(given.manifest.absolute(), given.out.absolute(), tuple(given.actors), given.block, options)


if __name__ == "__main__":
    main()
