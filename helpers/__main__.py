"""The commands: ``python -m helpers check``, ``… search FOLDER TEXT``, ``… encode MANIFEST OUT``, and ``… export``."""

import gc
import io
import os
import sys
from contextlib import suppress
from importlib import import_module

COMMANDS = {  # each a module with a function `main`, and what it does
    "check": ("course.doctor", "check whether this machine can run the course, and print the fix if it cannot"),
    "search": ("index.command", "search the images of a folder by text, by image, or by both"),
    "encode": ("shards.command", "encode the images of a manifest into Parquet files"),
    "export": ("export", "write the two encoders of a model as ONNX files"),
}


def main(arguments: "list[str]") -> int:
    """Hand over to the command that the first argument names."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started this
            setattr(sys, name, io.TextIOWrapper(io.BytesIO(), "utf-8"))
        getattr(sys, name).reconfigure(errors="backslashreplace")  # no terminal fails at a character
    if not arguments or arguments[0] not in COMMANDS:
        print("python -m helpers COMMAND [--help]\n")
        print(*(f"  {name:8} {what}" for name, (_, what) in COMMANDS.items()), sep="\n")
        return 0 if arguments[:1] in ([], ["-h"], ["--help"]) else 2
    try:
        command = import_module(f"helpers.{COMMANDS[arguments[0]][0]}")
    except Exception as error:  # what a broken installation raises is of many kinds
        cause = str(error).removesuffix(".")
        print(f"{type(error).__name__}: {cause}. Run `python -m helpers check`.", file=sys.stderr)
        return 2
    try:
        return command.main(arguments[1:])
    except OSError as error:  # of printing: whoever read it is gone, or a disk is full
        with suppress(OSError):
            print(f"Cannot print all ({error.strerror}).", file=sys.stderr)
        return 2


if __name__ == "__main__":
    status = main(sys.argv[1:])
    if status:
        gc.collect()  # an error may still hold semaphores, of which Python would warn in two lines
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # whoever read it may be gone
            stream.flush()
    os._exit(status)  # Python takes a second to take PyTorch down, and at times prints what PyTorch leaks
