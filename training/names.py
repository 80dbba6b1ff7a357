"""One name for one thing: how the drawings of many makers get their names."""

import json
import re
import unicodedata
from collections import Counter
from pathlib import Path

STYLE_WORDS = set(
    "outline outlined filled fill solid bold line linear duotone duo light thin rounded round sharp regular broken "
    "twotone two tone alt remix free flat color colour sm md lg xl icon svgrepo com o s button".split()
)
NO_IMAGES = set(
    "user file folder text view link filter list layout page align border grid column row index media plugin token "
    "server database button window tab menu form label field cell stack layer input output node module widget "
    "archive document record option switch slider panel bar drawer sidebar terminal cursor selection line dot left "
    "right up down top bottom center vertical horizontal arrow angle chevron caret corner toggle alignment diagram "
    "drag handle "
    "brightness setting settings programming browser auto add remove alert check lock local double small big unknown "
    "logo brand call forum account modern zodiac keyboard drop zoom insert device collect monetization computer "
    "battery phone calendar git code mail shield cloud signal people group no shape area part unit "
    "stop start".split()
)
SINGLE_WORDS = set("computer battery phone calendar mail shield cloud keyboard drop lock arrow shape".split())
SKIN_TONE = re.compile(r"skin|tone\d|-(medium|light|dark)\b")


def clean_name(text: str) -> str:
    """Lower-case ``text``, drop accents and punctuation: ``"flag: Türkiye"`` gives ``"flag turkiye"``."""
    plain = unicodedata.normalize("NFKD", text.replace("&", " and ").replace("#", "hash").replace("*", "asterisk"))
    plain = plain.encode("ascii", "ignore").decode().lower().replace("'", "")
    return " ".join(re.sub(r"[^a-z0-9]+", " ", plain).split())


def squash(text: str) -> str:
    """Reduce a name to its letters and digits, for comparing names of makers who spell them differently."""
    return clean_name(text).replace(" ", "")


def plain_code(hexcode: str) -> str:
    """Return a code point sequence in lower case without variation selectors."""
    return "-".join(part for part in hexcode.lower().split("-") if part != "fe0f")


class EmojiNames:
    """The canonical emoji names of emojibase, found by code point or by any maker's spelling."""

    def __init__(self, emojibase: Path, iconify: Path):
        entries = json.loads((emojibase / "en" / "data.json").read_text())
        self.by_code = {plain_code(entry["hexcode"]): clean_name(entry["label"]) for entry in entries}
        self.tags = {clean_name(entry["label"]): [clean_name(t) for t in entry.get("tags", [])] for entry in entries}
        self.flags = {}
        for entry in entries:
            letters = [int(part, 16) - 0x1F1E6 for part in entry["hexcode"].split("-")]
            if len(letters) == 2 and all(0 <= letter < 26 for letter in letters):
                self.flags["".join(chr(97 + letter) for letter in letters)] = clean_name(entry["label"])
        self.by_spelling = self._collect_spellings(emojibase, iconify)

    def _collect_spellings(self, emojibase: Path, iconify: Path) -> dict[str, str]:
        spellings = {}
        for path in sorted((emojibase / "en" / "shortcodes").glob("*.json")):
            for code, names in json.loads(path.read_text()).items():
                for name in [names] if isinstance(names, str) else names:
                    if plain_code(code) in self.by_code:
                        spellings.setdefault(squash(name), self.by_code[plain_code(code)])
        for path in sorted((iconify / "json").glob("*.json")):
            if path.stem in ("twemoji", "noto", "openmoji", "fluent-emoji-flat"):
                for code, name in json.loads(path.read_text())["chars"].items():
                    if plain_code(code) in self.by_code:
                        spellings[squash(name)] = self.by_code[plain_code(code)]
        return spellings | {squash(label): label for label in self.by_code.values()}

    def find(self, icon_name: str, codes: list[str] = ()) -> str | None:
        """Return the canonical name of an emoji drawing, or None when it is not a plain emoji."""
        for code in codes:
            if plain_code(code) in self.by_code:
                return self.by_code[plain_code(code)]
        name = re.sub(r"^flag-for-(flag-)?", "flag-", icon_name)
        return self.by_spelling.get(squash(name))

    def specific_tags(self, most: int = 4) -> dict[str, list[str]]:
        """Return each emoji its keywords that at most ``most`` emoji share: those that tell what it is."""
        count = Counter(tag for tags in self.tags.values() for tag in set(tags))
        return {label: [t for t in tags if count[t] <= most and t != label] for label, tags in self.tags.items()}


def icon_name_to_words(icon_name: str) -> str:
    """Turn ``"dog-side-24-filled"`` into ``"dog side"``."""
    words = [w for w in re.split(r"[-_]", icon_name) if w and not re.fullmatch(r"\d+(x\d+)?(px)?|[a-z]", w)]
    return " ".join([w for w in words if w not in STYLE_WORDS] or words)


class WordNet:
    """English nouns, and which of them are things that can be drawn."""

    def __init__(self, folder: Path):
        parents = {}
        for line in (folder / "data.noun").read_text().splitlines():
            if not line.startswith(" "):
                fields = line.split(" | ")[0].split()
                parents[fields[0]] = [fields[i + 1] for i, field in enumerate(fields) if field in ("@", "@i")]
        self._parents = parents
        self.senses = {}
        for line in (folder / "index.noun").read_text().splitlines():
            if not line.startswith(" "):
                fields = line.split()
                self.senses[fields[0].replace("_", " ")] = fields[-int(fields[2]) :]

    def is_thing(self, noun: str, senses: int = 2) -> bool:
        """Say whether one of the first ``senses`` meanings of ``noun`` is a physical entity (00001930)."""
        return any("00001930" in self._ancestors(sense) for sense in self.senses.get(noun, [])[:senses])

    def _ancestors(self, synset: str) -> set[str]:
        found, to_visit = set(), [synset]
        while to_visit:
            current = to_visit.pop()
            if current not in found:
                found.add(current)
                to_visit.extend(self._parents.get(current, []))
        return found


def can_be_drawn(name: str, wordnet: WordNet) -> bool:
    """Say whether ``name``, of one to three words, names a thing and not a part of a screen."""
    words = name.split()
    if not 1 <= len(words) <= 3 or (name not in SINGLE_WORDS and any(word in NO_IMAGES for word in words)):
        return False
    return wordnet.is_thing(name) or (
        len(words) > 1 and wordnet.is_thing(words[-1], senses=1) and words[0] in wordnet.senses
    )
