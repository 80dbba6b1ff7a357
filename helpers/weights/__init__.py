"""The files that travel with the package, and how they are known."""

from pathlib import Path

TINY_PATH = Path(__file__).parent / "tiny.pt"
TINY_SHA256 = "23dbeb750fab3da28d47d2027cc25ebd74860e78fd0bea487a1f438e736c1847"
VIT_PATH = TINY_PATH.with_name("tiny-vit.pt")  # an image side alone: the text side is that of `tiny`
VIT_SHA256 = "6716eddaba1129504407b872fdc96c81d641933073f88969ebca411814a8d12c"
