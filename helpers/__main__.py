"""The commands: ``python -m helpers encode MANIFEST OUT``."""

import sys
from importlib import import_module

COMMANDS = {
    "encode": "the pictures of a manifest into Parquet files",
}


def main(arguments: list[str]) -> int:
    """Hand over to the command that the first argument names."""
    if not arguments or arguments[0] not in COMMANDS:
        print("python -m helpers COMMAND [--help]\n")
        print(*(f"  {name:8} {what}" for name, what in COMMANDS.items()), sep="\n")
        return 0 if arguments[:1] in ([], ["-h"], ["--help"]) else 2
    return import_module(f"helpers.commands.{arguments[0]}").main(arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
