"""Search the shards that `encode_manifest` wrote."""

from collections.abc import Callable
from os import PathLike
from pathlib import Path

import numpy as np
import pyarrow as pa

from helpers._clip import CLIP
from helpers._validation import path_of, printable, reason
from helpers.fingerprint import made_by
from helpers.forward import feature_size
from helpers.index.searchable import Searchable
from helpers.index.store import Blocks
from helpers.shards.encoder import FORMAT
from helpers.shards.shards import read_encoded
from helpers.similarity import normalize


class ShardIndex(Searchable):
    """The images of a manifest, to be searched by what `encode_manifest` wrote: all shards that are there by now.

    Another process may still be writing; each search takes in what has come. One object serves one thread.

    Attributes:
        folder: that the paths of the manifest are meant from.
        model, preprocess: what made the features.
    """

    mend, fill = "delete the file, and encode the manifest again", "encode a manifest first"

    def __init__(
        self,
        shards: str | PathLike,
        model: CLIP,
        preprocess: Callable,
        folder: str | PathLike | None = None,
        fast_decode: bool = True,
    ) -> None:
        """Read the shards that are there.

        Args:
            shards: their folder.
            model: from `load` or `clip.load`.
            preprocess: the transform that came with it.
            folder: where the manifest was; by default, that in which the folder of the shards lies.
            fast_decode: as in `encode_images`.

        Raises:
            TypeError: an argument is of another kind.
            ValueError: there is no such folder, or the features are of another model.
        """
        place, size = path_of("shards", shards).absolute(), feature_size(model)
        if not place.is_dir():
            raise ValueError(f"no such folder: {printable(place)}")
        self.folder = place.parent if folder is None else path_of("folder", folder).absolute()
        self.model, self.preprocess, self.fast_decode = model, preprocess, fast_decode
        self.store = _ShardRows(place, made_by(model, preprocess, fast_decode), size)
        self.store.catch_up()


class _ShardRows:
    """The features of the shards of a folder, as `Rows`."""

    def __init__(self, place: Path, maker: dict[str, str], size: int) -> None:
        self.damage: str | None = None
        self._place, self._about, self._size = place, {"format": FORMAT, **maker}, size
        self._forget()

    def _forget(self) -> None:
        self._known: dict[Path, tuple[int, int]] = {}
        self._paths: list[str] = []
        self._blocks = Blocks(self._size)
        self._listed: tuple[list[str], np.ndarray] | None = None

    @property
    def features(self) -> np.ndarray:
        return self._blocks.joined()

    def searchable(self) -> tuple[list[str], np.ndarray]:
        if self._listed is None:
            rows = np.array(sorted(range(len(self._paths)), key=self._paths.__getitem__), dtype=np.int64)
            self._listed = [self._paths[row] for row in rows], rows
        return self._listed

    def catch_up(self) -> None:
        """Read files that are new; all, if one was replaced or is gone."""
        found = {file: (file.stat().st_mtime_ns, file.stat().st_size) for file in sorted(self._place.glob("*.parquet"))}
        if any(found.get(file) != stamp for file, stamp in self._known.items()):
            self._forget()
        self.damage = None
        for file in sorted(found.keys() - self._known.keys()):
            try:
                self._take(file)
            except (pa.ArrowException, OSError) as error:
                self.damage = f"{printable(file)} is damaged: {reason(error)}"
                return
            self._known[file], self._listed = found[file], None

    def _take(self, file: Path) -> None:
        rows = read_encoded(file, self._about, ["path", "features"])
        if rows.num_rows:
            values = rows["features"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
            self._blocks.append(normalize(values.reshape(-1, self._size).astype(np.float32)))
            self._paths += rows["path"].to_pylist()
