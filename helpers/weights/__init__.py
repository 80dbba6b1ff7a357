"""The file that travels with the package, and how it is known."""

from pathlib import Path

TINY_PATH = Path(__file__).parent / "tiny.pt"
TINY_SHA256 = "23dbeb750fab3da28d47d2027cc25ebd74860e78fd0bea487a1f438e736c1847"
