"""``python -m helpers encode MANIFEST OUT``: the images of a manifest into Parquet files."""

import argparse
import sys


def main(arguments: list[str]) -> int:
    """Run the command, and say what it met; 1 if a shard is missing or nothing could be done."""
    options = _parser().parse_args(arguments)
    try:
        from helpers.shards.job import encode_manifest, suffix

        found = encode_manifest(**vars(options))
    except (ValueError, RuntimeError, OSError, ModuleNotFoundError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        return 130
    good = found.rows - found.errors
    print(f"{found.rows:,} rows in {options.out}: {good:,} with features, {found.errors:,} without")
    if found.kept:
        print(f"{found.kept:,} rows were there already")
    if found.errors:
        print(f"{options.out}/_errors{suffix(options.part)}.csv says which and why")
    for number in found.failed:
        first = number * options.shard_size
        print(f"shard {number} is missing: three workers died of rows {first + 1:,} to {first + options.shard_size:,}")
    return 1 if found.failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m helpers encode", description=__doc__)
    parser.add_argument("manifest", metavar="MANIFEST", help="CSV or Parquet with the columns id and path")
    parser.add_argument("out", metavar="OUT", help="folder for the Parquet files")
    parser.add_argument("--model", default="tiny", help="a name that load takes, or a checkpoint (default: tiny)")
    parser.add_argument("--workers", type=int, help="processes (default: one a GPU, else one a core)")
    parser.add_argument("--device", help="cpu, cuda, mps (default: cuda if there is one)")
    parser.add_argument("--precision", help="float32, float16 or bfloat16 (default: as load chooses)")
    parser.add_argument("--shard-size", type=int, default=4096, help="rows of a file (default: 4096)")
    parser.add_argument("--batch-size", type=int, default=64, help="images encoded together (default: 64)")
    parser.add_argument(
        "--full-decode", action="store_false", dest="fast_decode", help="decode large JPEG files at their full size"
    )
    parser.add_argument("--float16", action="store_true", help="write features of 16 bits")
    parser.add_argument("--part", type=_part, default=(1, 1), metavar="K/N", help="2/8: the second of eight parts")
    parser.add_argument("--retry", action="store_true", help="again the shards in which an image could not be read")
    return parser


def _part(text: str) -> tuple[int, int]:
    number, _, of = text.partition("/")
    if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise argparse.ArgumentTypeError(f"{text!r} is no part; 2/8 is the second of eight")
    return int(number), int(of)
