"""The site, as a reader opens it in a real browser: ``make test-site``.

A plain ``pytest`` does not collect this file, for it needs Chromium. Every page is opened from a server, as wide as a
phone, and from the disk, as wide as a laptop.
"""

from collections import Counter
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlparse

import pytest
from bs4 import BeautifulSoup
from fontTools.ttLib import TTFont
from playwright.sync_api import expect

from docs.site import build
from tests.conftest import ROOT
from tests.test_lessons import IMAGES, LESSONS, cells

NAMES = [
    *(Path(name).with_suffix(".html").as_posix() for name in build.PAGES.values()),
    "playground.html",
    "search.html",
]
PHONE = {"width": 390, "height": 844}
SHOW_IMAGES = """async images => {
    for (const image of images) image.loading = "eager";
    await Promise.allSettled(images.map(image => image.decode()));
    return images.filter(image => !image.naturalWidth).map(image => image.src);
}"""

every_page = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="session")
def parsed(site):
    """Each page of the site, read."""
    pages = sorted(site.rglob("*.html"))
    return {path: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser") for path in pages}


def assert_quiet(page, start):
    """No other host is asked for anything, and the body does not scroll sideways."""
    assert [asked for asked in page.asked if not asked.startswith((start, "data:", "blob:"))] == []
    boxes = page.locator("html, body, .content")
    assert boxes.evaluate_all("boxes => boxes.filter(box => box.scrollWidth > box.clientWidth).length") == 0, "too wide"


@every_page
def test_a_page_is_quiet_on_a_phone(name, page, served):
    page.set_viewport_size(PHONE)
    page.goto(f"{served}/{name}")
    if name == "playground.html":
        page.wait_for_selector("[data-state=ready]")  # the model has been loaded
    assert page.locator("article img").evaluate_all(SHOW_IMAGES) == []
    assert_quiet(page, served)
    assert page.errors == []


@every_page
def test_a_page_is_quiet_from_the_disk(name, page, site):
    page.goto((site / name).as_uri())
    assert_quiet(page, site.as_uri())
    assert page.errors == [] or name == "playground.html"  # a browser loads its modules from a server only


def test_the_search_finds_a_word_from_the_disk(page, site):
    page.goto((site / "index.html").as_uri())
    page.get_by_role("textbox", name="Search").first.fill("threshold")
    page.keyboard.press("Enter")
    expect(page.locator("#search-results")).to_contain_text("10 · Choose a threshold")
    page.get_by_role("link", name="10 · Choose a threshold").last.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Choose a threshold")
    assert page.errors == []


def test_an_answer_is_folded_until_it_is_asked_for(page, site):
    page.goto((site / "lessons" / "06-compare.html").as_uri())
    answer = page.locator("details", has_text="np.argsort(-np.asarray(scores)").last
    expect(answer.locator("pre")).to_be_hidden()
    answer.locator("summary").click()
    expect(answer.locator("pre")).to_be_visible()


def test_the_pages_are_those_that_were_staged(parsed, site):
    assert {path.relative_to(site).as_posix() for path in parsed} == set(NAMES)


def test_every_link_leads_somewhere(parsed, site):
    """Within the site, to a file and a place in it; links to other hosts are not followed, but counted and listed."""
    names = {
        path: {tag[key] for key in ("id", "name") for tag in soup.select(f"[{key}]")} for path, soup in parsed.items()
    }
    outside, dead = Counter(), []
    for path, soup in parsed.items():
        targets = [tag.get("href") or tag.get("src") for tag in soup.select("[href], [src]")]
        for link in targets:
            address, anchor = urldefrag(link)
            if urlparse(link).scheme:
                outside[address] += not link.startswith("data:")
                continue
            target = (path.parent / unquote(urlparse(address).path)).resolve() if address else path
            if not target.is_file() or (anchor and anchor not in names.get(target, {anchor})):
                dead.append(f"{path.relative_to(site)}: {link}")
    (site.parent / "external-links.txt").write_text(
        "\n".join(f"{n} {link}" for link, n in outside.most_common()) + "\n"
    )
    print(f"\n{outside.total()} links to {len(outside)} other pages, see build/external-links.txt")
    assert dead == []


@every_page
def test_a_page_says_what_it_is(name, parsed, site):
    """To those who hear it read, and to search engines: language, title, description, headings in order, images."""
    soup = parsed[site / name]
    levels = [int(tag.name[1]) for tag in soup.select("article :is(h1, h2, h3, h4, h5, h6)")]
    assert soup.html["lang"] == "en"
    assert soup.title.text.endswith("CLIP, step by step")
    assert len(soup.select_one("meta[name=description]")["content"]) > 20
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False)), levels
    assert all(tag.get("alt") for tag in soup.select("article img"))
    assert soup.select_one("a.skip-to-content")


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_is_complete(path, parsed, site):
    """It has its neighbours, its download, all its figures, and a folded cell for Colab."""
    soup = parsed[site / "lessons" / f"{path.stem}.html"]
    assert (site / "lessons" / path.name).read_bytes() == path.read_bytes()
    assert soup.select_one(f'.links a[href="{path.name}"]')
    for arrow, other in build.refresh.neighbours(path).items():
        (link,) = soup.select(".related-pages a.prev-page" if arrow == "←" else ".related-pages a.next-page")
        assert link["href"] == f"{other.stem}.html"
    shown = [output.data.keys() for cell in cells(path, "code") for output in cell.outputs if "data" in output]
    assert len(soup.select("img.figure")) == sum(bool(set(IMAGES) & data) for data in shown)
    (folded,) = [tag for tag in soup.select(".cell_input") if "google.colab" in tag.text]
    assert folded.find_parent("details").get("open") is None


def test_links_out_of_the_site_lead_to_the_repository_once_it_has_an_address():
    text = "[a](LICENSE) `[b](LICENSE)` [c](docs/models.md#the-models) [d](https://example.org)\n```\n[e](LICENSE)\n```"
    rest = "`[b](LICENSE)` [c](models.md#the-models) [d](https://example.org)\n```\n[e](LICENSE)\n```"
    assert build.links(text, "README.md", build.refresh.UNSET) == f"a {rest}"
    known = "https://github.com/you/course"
    assert build.links(text, "README.md", known) == f"[a]({known}/blob/main/LICENSE) {rest}"


def test_the_font_has_every_sign_of_the_formulas(parsed, site):
    font = TTFont(site / "_static" / "math.woff").getBestCmap()
    signs = {sign for soup in parsed.values() for formula in soup.select("math") for sign in formula.text}
    assert {sign for sign in {*signs, "√"} if ord(sign) not in font and not sign.isspace()} == set()


def test_nothing_that_is_built_is_committed():
    assert "/build" in (ROOT / ".gitignore").read_text().splitlines()
