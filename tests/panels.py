"""The playground's page, used as a reader would, in a real browser: ``make test-site``.

A plain ``pytest`` does not collect this file, for it needs Chromium and Node.js.
"""

import io
import re

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

import helpers
from docs.playground import page as first_state
from docs.playground.build import HERE
from tests.conftest import IMAGES

AXE = HERE / "node_modules" / "axe-core" / "axe.min.js"
PHONE = {"width": 390, "height": 844}
SERIOUS = ("serious", "critical")
LOADED = "#try-clip[data-state=ready]"
NUMBER = re.compile(r"−?\d+(?:\.\d+)?")
INK = """() => {
    const { data } = document.querySelector("#draw-canvas").getContext("2d").getImageData(0, 0, 256, 256);
    return data.filter((value, i) => i % 4 === 1 && value < 200).length;
}"""
DROP = """(bytes) => {
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([Uint8Array.from(bytes)], "a.jpg", { type: "image/jpeg" }));
    document.querySelector("#own").dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true }));
}"""
PASTE = """(bytes) => {
    const clipboardData = new DataTransfer();
    clipboardData.items.add(new File([Uint8Array.from(bytes)], "b.png", { type: "image/png" }));
    document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true }));
}"""


@pytest.fixture
def playground(page, served):
    """The page, with the model loaded."""
    page.goto(f"{served}/playground.html")
    page.wait_for_selector(LOADED, timeout=30_000)
    yield page
    assert [asked for asked in page.asked if not asked.startswith((served, "data:", f"blob:{served}"))] == []
    assert page.errors == []


def texts_of(page, selector):
    """What stands in each element, in one line."""
    return [" ".join(text.split()) for text in page.locator(selector).all_inner_texts()]


def are_alike(old, new):
    """Whether two texts are equal, but for the last place of a cosine, and for two percent."""
    if NUMBER.sub("", old) != NUMBER.sub("", new):
        return False
    pairs = zip(NUMBER.findall(old), NUMBER.findall(new), strict=True)
    return all(abs(value(a) - value(b)) <= (0.011 if "." in a else 2) for a, b in pairs)


def value(number):
    return float(number.replace("−", "-"))


def type_into(page, selector, text):
    """Replace what stands in a field, key by key."""
    page.fill(selector, "")
    page.locator(selector).press_sequentially(text)


STATES = {  # what to do so that the page computes what it shows at first, and what shows it
    "search": ("#search-text", "input", ["#search-best", "#search-results li"]),
    "heatmap": ("#heatmap-table tbody tr:nth-child(2) input", "input", ["#heatmap-table tbody tr:nth-child(2) td"]),
    "temperature": ("#temperature-texts", "input", ["#temperature-cosines li", "#temperature-probabilities li"]),
    "draw": ("#draw-start", "change", ["#draw-captions li"]),
    "why": ("#why-drawing", "change", ["#why-score", "#why-words li"]),
}


@pytest.mark.parametrize("panel", STATES)
def test_what_is_saved_is_what_is_computed(panel, playground, chromium, served):
    """The page begins with results of PyTorch; the browser's own differ by its int8 tokens alone."""
    selector, event, shown = STATES[panel]
    context = chromium.new_context(java_script_enabled=False)
    saved = context.new_page()
    saved.goto(f"{served}/playground.html")
    before = {each: texts_of(saved, each) for each in shown}
    context.close()
    for each in shown:
        playground.locator(each).first.evaluate("element => { element.textContent = ''; }")
    playground.dispatch_event(selector, event)
    for each in shown:
        expect(playground.locator(each).first).not_to_have_text("")
        assert len(before[each][0]) > 3
        after = texts_of(playground, each)
        assert [pair for pair in zip(before[each], after, strict=True) if not are_alike(*pair)] == []


def wait_for_map(page):
    expect(page.locator("#why-progress")).to_be_visible()
    expect(page.locator("#why-progress")).to_be_hidden(timeout=20_000)


def test_the_map_is_that_of_helpers(playground, tiny):
    playground.click("#why button[type=submit]")
    wait_for_map(playground)
    pixels = playground.evaluate(
        "() => { const map = document.querySelector('#why-map');"
        "return Array.from(map.getContext('2d').getImageData(0, 0, map.width, map.height).data); }"
    )
    path = IMAGES / f"{first_state.WHY}.png"
    (drops,) = helpers.occlusion_maps(*tiny, path, [first_state.WHY_TEXT], progress=False)
    expected = np.asarray(first_state.draw_map(helpers.open_image(path), drops)).astype(int)
    found = np.array(pixels).reshape(*expected.shape[:2], 4)[:, :, :3]
    assert np.abs(found - expected).max() <= 4
    assert expected.std() > 20


def test_each_key_ranks_the_drawings_anew(playground):
    type_into(playground, "#search-text", "winter")
    expect(playground.locator("#search-best")).to_have_text(re.compile("“winter”: a snowman"))
    playground.click("#search .example:has-text('something to drink')")
    expect(playground.locator("#search-best")).to_have_text(re.compile("“something to drink”: a cup of coffee"))
    scores = [value(text) for text in texts_of(playground, "#search-results li")]
    assert len(scores) == 31 and scores == sorted(scores, reverse=True)


def test_a_text_that_is_too_long_is_refused_and_the_next_one_is_not(playground):
    playground.fill("#search-text", "word " * 90)
    message = playground.locator("#search-message")
    expect(message).to_have_text(re.compile("^Expected a text of at most 77 tokens; got 92"))
    playground.fill("#search-text", " ")
    expect(message).to_have_text("Type a word or two.")
    playground.fill("#search-text", "winter")
    expect(message).to_have_text("")
    expect(playground.locator("#search-best")).to_contain_text("a snowman")


def test_a_cell_is_the_sum_of_its_products(playground):
    cell = "#heatmap-table tbody tr:nth-child(1) td:nth-of-type(2) button"
    playground.dispatch_event("#heatmap-table tbody tr:nth-child(1) input", "input")
    playground.wait_for_selector(cell)
    playground.focus(cell)
    playground.keyboard.press("Enter")
    words = playground.locator("#heatmap-words")
    expect(words).to_have_text(re.compile("^“a pet” and a dog: 384 products"))
    numbers = [value(number) for number in re.findall(r"−?\d\.\d\d", words.inner_text())]
    assert numbers[2] == pytest.approx(numbers[0] + numbers[1], abs=0.011)
    assert playground.inner_text(cell) == words.inner_text().split("Together: ")[1][:4]
    playground.fill("#heatmap-table tbody tr:nth-child(1) input", "a dog")
    expect(words).to_have_text(re.compile("^“a dog” and a dog"))
    assert float(playground.inner_text(cell)) > numbers[2]


def test_the_scale_changes_the_probabilities_and_not_the_cosines(playground):
    cosines = texts_of(playground, "#temperature-cosines li")
    assert [text[-4:] for text in texts_of(playground, "#temperature-probabilities li")] == ["36 %", "32 %", "32 %"]
    playground.fill("#temperature-scale", "1.6")
    expect(playground.locator("#temperature-value")).to_have_text("40")
    assert texts_of(playground, "#temperature-cosines li") == cosines
    expect(playground.locator("#temperature-probabilities li").first).to_have_text(re.compile("a maze.*9[678] %"))
    playground.fill("#temperature-texts", "a cat")
    expect(playground.locator("#temperature-message")).to_have_text(re.compile("^Expected at least two texts"))


def test_drawing_by_mouse_and_by_keys_changes_the_captions(playground):
    best = playground.locator("#draw-captions li").first
    expect(best).to_contain_text("a house")
    playground.click("#draw-clear")
    playground.fill("#draw-size", "60")
    sheet = playground.locator("#draw-canvas")
    sheet.scroll_into_view_if_needed()
    box = sheet.bounding_box()
    playground.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.5 * box["height"])
    playground.mouse.down()
    playground.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.5 * box["height"], steps=9)
    playground.mouse.up()
    expect(best).to_contain_text("red")
    drawn = playground.evaluate(INK)
    playground.click("#draw-undo")
    assert playground.evaluate(INK) == 0 < drawn
    sheet.focus()
    for key in ["Space", *["ArrowRight"] * 5, "Space", *["ArrowDown"] * 5]:
        playground.keyboard.press(key)
    by_keys = playground.evaluate(INK)
    assert 60 * 60 * 0.7 < by_keys < 60 * 60 + 60 * 40


def test_an_image_of_ones_own(playground, tmp_path):
    best = playground.locator("#own-captions li").first
    playground.set_input_files("#own-file", IMAGES / "pizza.png")
    expect(best).to_contain_text("a slice of pizza")
    playground.fill("#own-more", "a pizza with salami, a spaceship")
    expect(playground.locator("#own-captions")).to_contain_text("a pizza with salami")
    playground.fill("#own-more", "word " * 90)
    expect(playground.locator("#own-message")).to_have_text(re.compile("^Expected a text of at most 77 tokens"))
    expect(best).to_contain_text("a slice of pizza")
    playground.fill("#own-more", "")
    (tmp_path / "notes.png").write_text("no image")
    playground.set_input_files("#own-file", tmp_path / "notes.png")
    expect(playground.locator("#own-problem")).to_have_text(re.compile("^Expected an image that this browser can read"))
    expect(playground.locator("#own-pair")).to_be_hidden()
    Image.new("1", (9000, 6000)).save(tmp_path / "huge.png")
    playground.set_input_files("#own-file", tmp_path / "huge.png")
    expect(playground.locator("#own-problem")).to_have_text(
        "Expected an image of at most 50 megapixels; got 54. Make it smaller first."
    )
    photo = io.BytesIO()
    Image.open(IMAGES / "rocket.png").convert("RGB").resize((900, 1200)).save(photo, "JPEG")
    playground.evaluate(DROP, list(photo.getvalue()))
    expect(best).to_contain_text("a rocket")
    expect(playground.locator("#own-problem")).to_have_text("")
    playground.evaluate(PASTE, list((IMAGES / "cat.png").read_bytes()))
    expect(best).to_contain_text("a cat")
    playground.fill("#why-text", "a cat")
    playground.select_option("#why-drawing", "")
    expect(playground.locator("#why-score")).to_have_text(re.compile(r"“a cat”: cosine 0\.[34]\d\."))
    wait_for_map(playground)


def test_a_question_in_the_middle_of_another_is_answered(playground):
    playground.click("#why button[type=submit]")
    playground.wait_for_function("document.querySelector('#why-progress').value > 0")
    playground.fill("#why-text", "a yellow beak")
    playground.keyboard.press("Enter")
    expect(playground.locator("#why-score")).to_contain_text("a yellow beak", timeout=20_000)
    wait_for_map(playground)
    expect(playground.locator("#why-message")).to_have_text("")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_use_it(scheme, playground):
    playground.emulate_media(color_scheme=scheme)
    playground.set_viewport_size(PHONE)
    playground.dispatch_event("#heatmap-table tbody tr:nth-child(1) input", "input")
    playground.wait_for_selector("#heatmap-table tbody tr:nth-child(1) button")
    playground.click("#heatmap-table tbody tr:nth-child(1) button >> nth=0")
    playground.evaluate(AXE.read_text(encoding="utf-8"))
    found = playground.evaluate("async () => (await axe.run('article')).violations")
    told = [f"{each['impact']} {each['id']}: {each['nodes'][0]['html'][:120]}" for each in found]
    assert [line for line in told if line.startswith(SERIOUS)] == [], told
    assert playground.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


@pytest.mark.parametrize("missing", ["text.onnx", "drawings.json"])
def test_without_a_file_the_saved_results_stay(missing, page, served):
    page.route(f"**/{missing}", lambda route: route.fulfill(status=404))
    page.goto(f"{served}/playground.html")
    told = re.compile(rf"^Expected .*{re.escape(missing)}.* What you see are saved results\.$")
    page.wait_for_selector("[data-state=failed]")
    expect(page.locator("#status-text")).to_have_text(told)
    page.wait_for_timeout(1000)  # what is still being loaded says nothing
    expect(page.locator("#status-text")).to_have_text(told)
    assert len(texts_of(page, "#search-results li")) == 31


def test_without_the_image_encoder_texts_work(page, served):
    page.route("**/image.onnx", lambda route: route.fulfill(status=404))
    page.goto(f"{served}/playground.html")
    page.wait_for_selector("[data-state=failed]")
    page.fill("#search-text", "winter")
    expect(page.locator("#search-best")).to_contain_text("a snowman")
    page.click("#draw-clear")
    expect(page.locator("#draw-message")).to_have_text(re.compile(r"^Expected .*image\.onnx"))


def test_a_drawing_that_does_not_come_is_told(page, served):
    page.goto(f"{served}/playground.html")
    page.wait_for_selector(LOADED)
    page.route("**/tree.png", lambda route: route.abort())
    page.select_option("#draw-start", "tree")
    expect(page.locator("#draw-problem")).to_have_text(re.compile(r"^Expected the file tree\.png"))
    page.select_option("#draw-start", "ghost")
    expect(page.locator("#draw-captions li").first).to_contain_text("a ghost")
    expect(page.locator("#draw-problem")).to_have_text("")


def test_both_languages_share_their_constants():
    """What page.py computes and what the modules compute must be drawn alike."""
    for file, name, value in [
        ("colours.js", "LOWEST", first_state.LOWEST),
        ("colours.js", "HIGHEST", first_state.HIGHEST),
        ("colours.js", "DARK", first_state.DARK),
        ("panels/why.js", "FULL", first_state.FULL),
        ("panels/why.js", "FULL_WORD", first_state.FULL_WORD),
        ("panels/captions.js", "SHOWN", first_state.SHOWN),
    ]:
        text = (HERE / "js" / file).read_text(encoding="utf-8")
        assert float(re.search(rf"^const {name} = ([-\d.]+);", text, re.M)[1]) == value
