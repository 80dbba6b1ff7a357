"""Damage the files that helpers reads, at random: each is refused in one line, or read as it was.

    make fuzz                               a short run, as in `make test-all`
    make fuzz BYTES=1000000 SEED=7          a long one

A case flips, cuts out or inserts 1 to 1,024 bytes of an index, a shard, a manifest (CSV, Parquet) or a checkpoint. A
finding is an answer that differs from the truth, an exception other than ValueError, or a message of several lines.
Nobody can tell an edited CSV from a damaged one; there the truth is what a second reader makes of the very bytes.
"""

import argparse
import csv
import io
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from clip.model import CLIP
from pyarrow import parquet

import helpers
from helpers.shards import encode_manifest, read_shard
from helpers.shards.manifest import Manifest
from tests.conftest import IMAGES
from tests.test_store import ROWS, file_of, fill, is_right, opened

MOST = 1024  # bytes of one case


def damaged(sound: bytes, dice: random.Random) -> tuple[bytes, int]:
    """Return the bytes with one damage, and how many bytes it took."""
    size, place = int(MOST ** dice.random()), dice.randrange(len(sound))
    kind = dice.choice(("flip", "cut", "insert"))
    if kind == "flip":
        changed = bytearray(sound)
        for _ in range(size):
            changed[dice.randrange(len(sound))] ^= 1 << dice.randrange(8)
        return bytes(changed), size
    if kind == "cut":
        rest = sound[:place] + sound[place + size :]
        return rest, len(sound) - len(rest)
    return sound[:place] + dice.randbytes(size) + sound[place:], size


class Index:
    """The SQLite file of a folder's index. A second look says that it is damaged, or that all of it is there."""

    def __init__(self, folder: Path) -> None:
        self.file = file_of_filled(folder / "index")

    def read(self) -> str:
        store = opened(self.file.parent)
        found = is_right(store)
        if not store.damage:
            assert found in (0, len(ROWS)), f"{found} of {len(ROWS)} rows, and no word of damage"
            return "harmless"
        raise ValueError(store.damage)


def file_of_filled(home: Path) -> Path:
    fill(home)
    return file_of(home)


class Shard:
    """A Parquet file that `encode_manifest` wrote."""

    def __init__(self, folder: Path) -> None:
        manifest = folder / "images.csv"
        manifest.write_text("id,path\n" + "".join(f"{i},{file}\n" for i, file in enumerate(some_images())))
        encode_manifest(manifest, folder / "out", workers=1, progress=False)
        self.file = folder / "out" / "000000.parquet"
        self.truth = read_shard(self.file)

    def read(self) -> str:
        assert read_shard(self.file).equals(self.truth)
        return "harmless"


def some_images() -> list[Path]:
    return sorted(IMAGES.glob("*.png"))[:5]


def second_reader(read: Callable[[], Any]) -> Any:
    """What `helpers` accepts, this one must not refuse."""
    try:
        return read()
    except Exception as error:
        raise AssertionError(f"accepted what a second reader refuses: {error}") from error


class ManifestCSV:
    """A manifest with captions in quotation marks, of several lines and alphabets."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "manifest.csv"
        with self.file.open("w", newline="", encoding="utf-8") as lines:
            writer = csv.writer(lines)
            writer.writerow(["id", "path", "caption"])
            writer.writerows([i, f"images/{i:03}.png", f'a "cat", né {i}\nein Käfer 猫'] for i in range(60))

    def read(self) -> str:
        found = Manifest(self.file)
        rows = [row for table in found.tables(16) for row in table.to_pylist()]
        names, *truth = second_reader(self._read_plainly)
        assert len(rows) == len(truth) == found.rows
        for row, fields in zip(rows, truth, strict=True):
            error = row.pop("error")
            if len(fields) == len(names):
                assert row == dict(zip(names, fields, strict=True))
            else:
                assert error
        return "as it stands"

    def _read_plainly(self) -> list[list[str]]:
        text = self.file.read_bytes().decode("utf-8-sig")
        return [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]


class ManifestParquet:
    """A manifest of several row groups."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "manifest.parquet"
        table = pa.table(
            {"id": range(60), "path": [f"images/{i:03}.png" for i in range(60)], "caption": ["a cat"] * 60}
        )
        parquet.write_table(table, self.file, row_group_size=20)

    def read(self) -> str:
        found = Manifest(self.file)
        rows = pa.concat_tables(found.tables(16))
        truth = second_reader(lambda: parquet.read_table(pa.BufferReader(self.file.read_bytes())))
        assert rows.num_rows == found.rows
        assert rows.drop_columns("error").select(truth.column_names).to_pydict() == truth.to_pydict()
        return "as it stands"


class Checkpoint:
    """The state dict of a small image encoder, which takes the texts of `tiny`: an embedding of 49,408 tokens in the
    file would catch nearly all damage.
    """

    def __init__(self, folder: Path) -> None:
        torch.manual_seed(0)
        embed_dim = helpers.load("tiny", "cpu")[0].text_projection.shape[1]
        weights = CLIP(embed_dim, 32, 1, 64, 16, 1, 1, 64, 1, 1).state_dict()
        self.file = folder / "model.pt"
        torch.save({name: weights[name] for name in weights if name.startswith("visual.")}, self.file)
        self.truth = self.weights()

    def weights(self) -> dict[str, torch.Tensor]:
        return helpers.load(self.file, "cpu")[0].state_dict()

    def read(self) -> str:
        found = self.weights()
        assert found.keys() == self.truth.keys()
        assert all(torch.equal(found[name], value) for name, value in self.truth.items())
        return "harmless"


TARGETS = (Index, Shard, ManifestCSV, ManifestParquet, Checkpoint)


def attack(target: type, most: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Damage a file until that many bytes were changed; return how it ended, and what was found."""
    ends, findings = Counter(), []
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "index").mkdir()
        it = target(Path(folder))
        sound = it.file.read_bytes()
        while ends["bytes"] < most:
            case = f"{target.__name__} {seed}-{ends['cases']}"
            content, size = damaged(sound, random.Random(case))
            it.file.write_bytes(content)
            ends["cases"] += 1
            ends["bytes"] += size
            try:
                ends[it.read()] += 1
            except ValueError as error:
                ends["refused"] += 1
                if not str(error).isprintable():
                    findings.append(f"{case}: not one line: {str(error)!r}")
            except Exception as error:  # whatever else it is, it is a finding
                findings.append(f"{case}: {type(error).__name__}: {str(error)[:300]}")
    return ends, findings


def main() -> int:
    """Attack each kind of file, print a line for each and the findings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bytes", nargs="?", type=int, default=200_000, help="that are changed in sum")
    parser.add_argument("seed", nargs="?", type=int, default=0)
    options = parser.parse_args()
    found = []
    for target in TARGETS:
        start = time.perf_counter()
        ends, findings = attack(target, options.bytes // len(TARGETS), options.seed)
        rest = ", ".join(f"{count:,} {name}" for name, count in ends.items())
        print(f"{target.__name__:16} {rest}, {len(findings)} findings, {time.perf_counter() - start:.0f} s", flush=True)
        found += findings
    print(*found, sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
