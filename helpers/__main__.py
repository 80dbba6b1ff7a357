"""The helpers on the command line: ``python -m helpers encode MANIFEST OUT``."""

import argparse
import sys


def main() -> int:
    """Run a sub-command."""
    from helpers import many

    parser = argparse.ArgumentParser(prog="python -m helpers", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    encode = commands.add_parser("encode", help="the pictures of a manifest into Parquet files")
    many.add_arguments(encode)
    try:
        return many.main(parser.parse_args())
    except (ValueError, RuntimeError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
