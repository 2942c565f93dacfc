"""Links to the review page."""

from datetime import date
from urllib.parse import parse_qs, urlsplit

from reports.review_address import list_address, picture_address


def test_a_picture_and_a_list_have_addresses_that_keep_every_letter() -> None:
    key = "images/Tür & Tor/2026-03-02/links/a b+c#1?.png"
    link = urlsplit(picture_address("http://plant:8010/", key))
    assert (link.netloc, link.path, parse_qs(link.query)) == ("plant:8010", "/", {"key": [key]})
    link = urlsplit(list_address("http://plant:8010", day=date(2026, 3, 2), category="cloth", sort="highest"))
    wanted = {"show": ["look"], "day": ["2026-03-02"], "category": ["cloth"], "sort": ["highest"]}
    assert (link.path, parse_qs(link.query)) == ("/list", wanted)
    assert urlsplit(list_address("http://plant:8010", show="all")).query == "show=all"
