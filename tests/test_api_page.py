"""The page of the API is what the docstrings say."""

from tests.api_page import PAGE, page


def test_the_page_is_made_of_the_docstrings():
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make api`"
