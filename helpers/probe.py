"""Try what the course needs, one thing after another, and tell of each in two lines of JSON: it begins, it ended so.

`helpers.installation` runs this text in a process of its own, for an import may end the process.
"""

import importlib
import importlib.util
import json
import os
import sys
from typing import Any


def where(name: str) -> "str | None":
    """Tell where a package would be imported from, without importing it: a folder, or a file."""
    spec = importlib.util.find_spec(name)
    if spec is None:
        return None
    return next(iter(spec.submodule_search_locations or []), None) or spec.origin


def numpy() -> dict:
    """Import NumPy."""
    return {"version": importlib.import_module("numpy").__version__}


def torch() -> dict:
    """Import PyTorch, and look for its devices."""
    library = importlib.import_module("torch")
    device = "cpu"
    if library.cuda.is_available():
        device = f"cuda, {library.cuda.get_device_name()}"
    elif library.backends.mps.is_available():
        device = "mps"
    return {"version": library.__version__, "device": device, "threads": library.get_num_threads()}


def arrays() -> dict:
    """Let torch give its numbers to NumPy: it can't where it was built for another NumPy."""
    return {"sum": float(importlib.import_module("torch").ones(2).numpy().sum())}


def torchvision() -> dict:
    """Import torchvision, which needs the very torch it was built for."""
    return {"version": importlib.import_module("torchvision").__version__}


def pillow() -> dict:
    """Import Pillow, and list the photographers' formats that it reads."""
    features = importlib.import_module("PIL.features")
    formats = {"WebP": features.check("webp"), "AVIF": features.check("avif")}
    formats["AVIF"] = formats["AVIF"] or where("pillow_avif") is not None
    return {"formats": [*(name for name, known in formats.items() if known), *["HEIC"] * bool(where("pillow_heif"))]}


def clip() -> dict:
    """Find clip, then import it."""
    if (found := where("clip")) is None:
        return {}
    try:
        importlib.import_module("clip")
    except Exception as error:
        return {"where": found, "error": f"{type(error).__name__}: {error}"}
    return {"where": found}


def helpers() -> dict:
    """Find the helpers; import them if they are those beside the file that sent for this."""
    found = where("helpers")
    if found is None or not os.path.samefile(found, sys.argv[1]):
        return {"where": found}
    importlib.import_module("helpers")  # all of it
    models, openai = (importlib.import_module(f"helpers.{name}") for name in ("models", "openai"))
    cpu = importlib.import_module("torch").device("cpu")
    official = [info for info in models.available_models() if info.name in openai.OFFICIAL_URLS]
    return {
        "where": found,
        "official": [(info.name, info.download_mib, openai.OFFICIAL_URLS[info.name]) for info in official],
        "bfloat16": not models.emulates_bfloat16(cpu) if models.PROCESSOR.is_file() else None,
    }


def kernel() -> dict:
    """Ask Jupyter which Python it starts for a lesson."""
    if where("ipykernel") is None:
        return {}
    kernels = importlib.import_module("jupyter_client.kernelspec").KernelSpecManager()
    spec = kernels.get_kernel_spec("python3")
    return {"python": spec.argv[0], "place": spec.resource_dir}


def tell(step: str, **found: Any) -> None:
    """Print one line."""
    print(json.dumps({"step": step, **found}), flush=True)


if __name__ == "__main__":
    for look in (numpy, torch, arrays, torchvision, pillow, clip, helpers, kernel):
        tell(look.__name__, begins=True)
        try:
            found = look()
        except BaseException as error:  # an import may raise anything, SystemExit too
            found = {"error": f"{type(error).__name__}: {error}"}
        tell(look.__name__, **found)
