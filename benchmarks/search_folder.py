"""Index thousands of images, kill the work five times, and see what it costs.

python -m benchmarks.search_folder

Checks that the killed and resumed index equals an uninterrupted one bit for bit, then prints the seconds of an
update of the unchanged folder, and the peak memory for 500 and for 4,000 images.
"""

import multiprocessing
import random
import resource
import tempfile
import time
from pathlib import Path

import torch
from PIL import Image, ImageChops

from helpers import FolderIndex, drawings, load

COLOURS = ["tomato", "royalblue", "gold", "seagreen", "orchid", "lightgrey", "black", "white"]


def write_images(folder: Path, count: int) -> Path:
    """Write drawings of 96 pixels, each base drawing shifted, mirrored and tinted to give all others."""
    folder.mkdir()
    generator = random.Random(0)
    base = [drawings.draw(name, 96, background) for name in drawings.drawing_names() for background in COLOURS]
    for i in range(count):
        image = ImageChops.offset(base[i % len(base)], generator.randrange(-9, 10), generator.randrange(-9, 10))
        if generator.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        tint = Image.new("RGB", image.size, tuple(generator.randrange(256) for _ in range(3)))
        Image.blend(image, tint, 0.1).save(folder / f"{i:05}.png")
    return folder


def update(folder: Path, place: Path) -> None:
    """Bring an index up to date, as a process of its own does."""
    torch.set_num_threads(2)
    FolderIndex(folder, *load(), place).update(progress=False)


def measure(folder: Path, place: Path, answer: multiprocessing.connection.Connection) -> None:
    """Update, and send the peak memory in MiB."""
    update(folder, place)
    answer.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def files(folder: Path, place: Path) -> dict[str, bytes]:
    """Read the files of an index."""
    index = FolderIndex(folder, *load(), place)
    return {name: (index.store.place / name).read_bytes() for name in ("features.npy", "files.jsonl")}


def indexed(place: Path) -> int:
    """Count the files of an index that is being written."""
    return sum(log.read_bytes().count(b'"path"') for log in place.glob("*/*/files.jsonl"))


def main() -> None:
    """Run all measurements in a temporary folder."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["helpers"])
    root = Path(tempfile.mkdtemp())
    images = write_images(root / "2000", 2000)

    start = time.perf_counter()
    whole = context.Process(target=update, args=(images, root / "whole"))
    whole.start()
    whole.join()
    seconds = time.perf_counter() - start
    print(f"2000 images, uninterrupted: {seconds:.1f} s", flush=True)

    generator = random.Random(1)
    for target in sorted(generator.sample(range(1800), 5)):
        process = context.Process(target=update, args=(images, root / "killed"))
        process.start()
        while process.is_alive() and indexed(root / "killed") < target:
            time.sleep(0.002)
        time.sleep(generator.uniform(0, 0.05))
        process.kill()
        process.join()
        print(f"exit code {process.exitcode}: killed after {indexed(root / 'killed')} files", flush=True)
    update(images, root / "killed")
    print("bit for bit the same:", files(images, root / "killed") == files(images, root / "whole"), flush=True)

    index = FolderIndex(images, *load(), root / "whole")
    start = time.perf_counter()
    changes = index.update()
    print(f"unchanged: {changes} in {time.perf_counter() - start:.3f} s", flush=True)
    start = time.perf_counter()
    FolderIndex(images, *load(), root / "whole").update()
    print(f"with the model loaded first: {time.perf_counter() - start:.2f} s", flush=True)

    for count in (500, 4000):
        receiver, sender = context.Pipe(duplex=False)
        folder = write_images(root / f"memory{count}", count)
        process = context.Process(target=measure, args=(folder, root / "memory", sender))
        process.start()
        print(f"{count} images: peak {receiver.recv():.0f} MiB", flush=True)
        process.join()


if __name__ == "__main__":
    main()
