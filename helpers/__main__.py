"""The commands: ``python -m helpers check``, ``… search FOLDER TEXT``, ``… encode MANIFEST OUT``."""

import sys
from importlib import import_module

from helpers.commands.packages import misfits, report

COMMANDS = {
    "check": "whether this machine can run the course, and what mends it where it can't",
    "search": "the pictures of a folder by words, by pictures, by both",
    "encode": "the pictures of a manifest into Parquet files",
}


def main(arguments: "list[str]") -> int:
    """Hand over to the command that the first argument names."""
    if not arguments or arguments[0] not in COMMANDS:
        print("python -m helpers COMMAND [--help]\n")
        print(*(f"  {name:8} {what}" for name, what in COMMANDS.items()), sep="\n")
        return 0 if arguments[:1] in ([], ["-h"], ["--help"]) else 2
    try:
        command = import_module(f"helpers.commands.{arguments[0]}")
    except Exception as error:  # an import may raise anything
        print(f"{type(error).__name__}: {error}\n{report(misfits())}".rstrip(), file=sys.stderr)
        print("`python -m helpers check` looks further", file=sys.stderr)
        return 2
    return command.main(arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
