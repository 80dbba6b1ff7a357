"""Try what the course needs, one thing after another, and tell of each in two lines of JSON: it begins, it ended so.

`helpers.course.doctor` runs this text in a process of its own, for an import may end the process.
"""

import importlib
import importlib.util
import json
import sys
from pathlib import Path

STEPS = ("numpy", "torch", "arrays", "torchvision", "pillow", "clip", "helpers", "kernel")


def where(name: str) -> "str | None":
    """Tell where a package would be imported from, without importing it: a folder, or a file."""
    spec = importlib.util.find_spec(name)
    if spec is None:
        return None
    return next(iter(spec.submodule_search_locations or []), None) or spec.origin


def numpy(told: dict) -> None:
    """Import NumPy."""
    told["version"] = importlib.import_module("numpy").__version__


def torch(told: dict) -> None:
    """Import PyTorch, and look for its devices."""
    library = importlib.import_module("torch")
    told.update(version=library.__version__, device="cpu", threads=library.get_num_threads())
    if library.cuda.is_available():
        told["device"] = f"cuda, {library.cuda.get_device_name()}"
    elif library.backends.mps.is_available():
        told["device"] = "mps"


def arrays(told: dict) -> None:
    """Let torch give its numbers to NumPy: it can't where it was built for another NumPy."""
    told["sum"] = float(importlib.import_module("torch").ones(2).numpy().sum())


def torchvision(told: dict) -> None:
    """Import torchvision, which needs the very torch it was built for."""
    told["version"] = importlib.import_module("torchvision").__version__


def pillow(told: dict) -> None:
    """Import Pillow, and list the photographers' formats that it reads."""
    check = importlib.import_module("PIL.features").check
    reads = {"WebP": check("webp"), "AVIF": check("avif") or where("pillow_avif"), "HEIC": where("pillow_heif")}
    told["formats"] = ["reads JPEG", "PNG", *(name for name, known in reads.items() if known)]


def clip(told: dict) -> None:
    """Import clip, if there is one."""
    if told["where"]:
        importlib.import_module("clip")


def helpers(told: dict) -> None:
    """Import the helpers, if they are those beside the file that sent for this."""
    if not Path(told["where"]).samefile(sys.argv[1]):
        return
    importlib.import_module("helpers")  # all of it
    models, openai = (importlib.import_module(f"helpers.{name}") for name in ("models", "openai"))
    cpu = importlib.import_module("torch").device("cpu")
    if models.PROCESSOR.is_file():
        told["bfloat16"] = not models.emulates_bfloat16(cpu)
    infos = [info for info in models.list_models() if info.name in openai.OFFICIAL_URLS]
    told["official"] = [(info.name, info.download_mib, openai.OFFICIAL_URLS[info.name]) for info in infos]


def kernel(told: dict) -> None:
    """Ask Jupyter which Python it starts for a lesson."""
    if where("ipykernel") is None:
        return
    kernels = importlib.import_module("jupyter_client.kernelspec").KernelSpecManager()
    spec = kernels.get_kernel_spec("python3")
    told.update(python=spec.argv[0], place=spec.resource_dir)


if __name__ == "__main__":
    sys.path.append(str(Path(sys.argv[1]).parent))  # as the first cell of a lesson does
    for step in sys.argv[2:]:
        told: dict = {"where": where(step)}
        print(json.dumps({"step": step, "begins": True, **told}), flush=True)
        try:
            globals()[step](told)
        except BaseException as error:  # an import may raise anything, SystemExit too
            told["error"] = f"{type(error).__name__}: {error}"
        print(json.dumps({"step": step, **told}), flush=True)
