"""Encode the images of a manifest into Parquet files. After an interruption, the same command resumes."""

import argparse
import sys

from helpers._validation import printable, told


def main(arguments: list[str]) -> int:
    """Run the command and print a summary; return 1 if it failed, 130 if it was interrupted."""
    options = _parser().parse_args(arguments)
    try:
        from helpers.shards import encode_manifest
        from helpers.shards.job import suffix

        found = encode_manifest(**vars(options))
    except (OSError, ValueError, RuntimeError, ModuleNotFoundError) as error:
        print(told(error), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted. Run the same command to resume.", file=sys.stderr)
        return 130
    good = found.rows - found.errors
    print(f"{found.rows:,} rows in {printable(options.out)}: {good:,} with features, {found.errors:,} without")
    if found.kept:
        print(f"{found.kept:,} rows had been encoded before")
    if found.errors:
        print(f"{printable(options.out)}/_errors{suffix(options.part)}.csv says which and why")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m helpers encode", description=__doc__)
    parser.add_argument("manifest", metavar="MANIFEST", help="CSV or Parquet with the columns id and path")
    parser.add_argument("out", metavar="OUT", help="folder for the Parquet files")
    parser.add_argument("--model", default="tiny", help="name of a model, or path of a checkpoint (default: tiny)")
    parser.add_argument("--workers", type=int, help="number of processes (default: one per GPU, else one per core)")
    parser.add_argument("--device", help="cpu, cuda or mps (default: cuda if available)")
    parser.add_argument(
        "--precision", help="float32, float16, bfloat16, or auto (default: float16 on cuda, else float32)"
    )
    parser.add_argument("--shard-size", type=int, default=4096, help="rows per file (default: 4096)")
    parser.add_argument("--batch-size", type=int, default=64, help="images per batch (default: 64)")
    parser.add_argument(
        "--full-decode", action="store_false", dest="fast_decode", help="decode large JPEG files at their full size"
    )
    parser.add_argument("--float16", action="store_true", help="write the features in float16, half the size")
    parser.add_argument(
        "--part", type=_part, default=(1, 1), metavar="K/N", help="encode only part K of N, such as 2/8"
    )
    parser.add_argument("--retry", action="store_true", help="encode again the shards with unreadable images")
    parser.add_argument("--ray", action="store_true", help="run on the Ray cluster, or with Ray on this machine")
    return parser


def _part(text: str) -> tuple[int, int]:
    number, _, of = text.partition("/")
    if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise argparse.ArgumentTypeError(f"expected a part such as 2/8, the second of eight; got {text!r}")
    return int(number), int(of)
