"""Open damaged images, and report what is answered with anything but an image or an `ImageError`.

    python tests/fuzz_images.py [SECONDS] [SEED] [FOLDER]

It starts from one image in every format and mode that Pillow can write. A finding, and the image that was being
opened when the process died, is kept in FOLDER. Not part of the tests, for it is never done.
"""

import collections
import io
import random
import resource
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path

from PIL import Image

import helpers

SECONDS_EACH, MEGABYTES_EACH = 5, 1500  # Pillow itself allows 179 megapixels, which take 0.7 GB
MODES = "1 L LA P RGB RGBA CMYK YCbCr LAB I I;16 F".split()
ODD_NUMBERS = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]


def seeds() -> list[tuple[str, bytes]]:
    """Write a small image in each format and mode, also an animation, one with EXIF data, and a progressive JPEG."""
    Image.init()
    image = helpers.course.drawings.draw("cat", 48)
    frames = [helpers.course.drawings.draw(name, 48) for name in ("dog", "bus")]
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a cat"
    found = []
    for kind in sorted(Image.SAVE):
        for mode in MODES:
            for options in ({}, {"save_all": True, "append_images": frames}, {"exif": exif, "progressive": True}):
                stored = io.BytesIO()
                try:
                    (image.convert("L") if mode == "I;16" else image).convert(mode).save(stored, kind, **options)
                    Image.open(io.BytesIO(stored.getvalue())).load()
                except Exception:  # not every format takes every mode, or is read again
                    continue
                found.append((f"{kind} {mode}", stored.getvalue()))
    return found


def damaged(content: bytes, other: bytes, chance: random.Random) -> bytes:
    """Cut, flip, overwrite, double or splice; most of it near the head, where the sizes stand."""
    bytes_ = bytearray(content)
    for _ in range(chance.choice([1, 1, 2, 4, 16])):
        place = min(int(len(bytes_) * chance.random() ** chance.choice([1, 4])), max(0, len(bytes_) - 1))
        match chance.randrange(7) if bytes_ else 6:
            case 0:
                bytes_[place] ^= 1 << chance.randrange(8)
            case 1:
                bytes_[place] = chance.randrange(256)
            case 2:
                width, order = chance.choice([1, 2, 4]), chance.choice(["big", "little"])
                number = chance.choice(ODD_NUMBERS) % 256**width
                bytes_[place : place + width] = number.to_bytes(width, order)
            case 3:
                del bytes_[place:]
            case 4:
                del bytes_[place : place + chance.randrange(1, 32)]
            case 5:
                bytes_[place:place] = bytes_[place : place + chance.randrange(1, 200)]
            case 6:
                start = chance.randrange(len(other))
                bytes_[place:place] = other[start : start + chance.randrange(1, 200)]
    return bytes(bytes_)


def main(seconds: float = 600, seed: int = 0, folder: Path | None = None) -> int:
    """Open one after the other; tell the counts."""
    folder = folder or Path(tempfile.mkdtemp(prefix="fuzz-"))
    folder.mkdir(exist_ok=True)
    chance, known = random.Random(seed), seeds()
    used = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_DATA, (used + MEGABYTES_EACH * 1_000_000, resource.RLIM_INFINITY))
    warnings.simplefilter("ignore")
    counts: collections.Counter[str] = collections.Counter()
    slowest, end = (0.0, ""), time.monotonic() + seconds
    current = folder / "current"
    while time.monotonic() < end:
        (kind, content), (_, other) = chance.choices(known, k=2)
        current.write_bytes(damaged(content, other, chance))
        signal.setitimer(signal.ITIMER_PROF, SECONDS_EACH)  # then the process dies, and leaves `current`
        start = time.process_time()
        try:
            image = helpers.open_image(current, chance.choice([None, 8]))
            fine = image.mode == "RGB" and min(image.size) > 0
            outcome = "opened" if fine else f"FINDING: {image.mode} {image.size}"
        except helpers.ImageError as error:
            fine = str(error).isprintable() and len(str(error)) < 1000
            outcome = "refused" if fine else "FINDING: not one line"
        except BaseException as error:
            outcome = f"FINDING: {type(error).__name__}: {error}"
        signal.setitimer(signal.ITIMER_PROF, 0)
        slowest = max(slowest, (time.process_time() - start, kind))
        counts[outcome] += 1
        if outcome.startswith("FINDING"):
            current.replace(folder / f"finding-{counts.total()}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000
    kinds = len({kind for kind, _ in known})
    print(f"{counts.total():,} damaged images from {len(known)} in {kinds} formats and modes: {dict(counts)}")
    print(f"the slowest took {slowest[0]:.2f} s ({slowest[1]}); the process at most {peak} MB; in {folder}")
    return any(outcome.startswith("FINDING") for outcome in counts)


if __name__ == "__main__":
    sys.exit(main(*[make(word) for make, word in zip((float, int, Path), sys.argv[1:], strict=False)]))
