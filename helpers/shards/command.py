"""``python -m helpers encode MANIFEST OUT``: the images of a manifest into Parquet files."""

import argparse
import sys

from helpers._validation import printable, reason


def main(arguments: list[str]) -> int:
    """Run the command, and say what it met; 1 if it could not be done, 130 if it was stopped."""
    options = _parser().parse_args(arguments)
    try:
        from helpers.shards import encode_manifest
        from helpers.shards.job import suffix

        found = encode_manifest(**vars(options))
    except OSError as error:
        where = f"{printable(error.filename)}: " if error.filename else ""
        print(f"{where}{reason(error)}", file=sys.stderr)
        return 1
    except (ValueError, RuntimeError, ModuleNotFoundError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped. The same command continues.", file=sys.stderr)
        return 130
    good = found.rows - found.errors
    print(f"{found.rows:,} rows in {printable(options.out)}: {good:,} with features, {found.errors:,} without")
    if found.kept:
        print(f"{found.kept:,} rows were there already")
    if found.errors:
        print(f"{printable(options.out)}/_errors{suffix(options.part)}.csv says which and why")
    return 0


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
    parser.add_argument("--retry", action="store_true", help="encode shards again in which an image could not be read")
    parser.add_argument("--ray", action="store_true", help="on the Ray cluster, or with Ray on this machine")
    return parser


def _part(text: str) -> tuple[int, int]:
    number, _, of = text.partition("/")
    if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise argparse.ArgumentTypeError(f"expected a part such as 2/8, the second of eight; got {text!r}")
    return int(number), int(of)
