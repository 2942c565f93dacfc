"""Addresses of the review page: the one place that says what may stand in them.

| address | shows |
|---|---|
| `/?key=<image key>` | one image, whichever it is, with its heat map; here it can be labelled |
| `/?<list>` | the images of a list, one after the other |
| `/?<list>&key=<image key>` | the same, beginning at that image |
| `/list?<list>` | the same list as rows with small pictures; `&page=2` its second page |
| `/audit?category=<category>` | every word that was said, the newest first |

`<list>` is made of these, all of which may be left out:

- `show`: `to-label` (what the reviewer has not labelled yet of what is worth a look; so it is if nothing is said),
  `look` ("look at these first": flagged, in the review band or borderline), `flagged`, `not-flagged`, `band`,
  `unreadable`, `rejected`, `all`
- `day`: a production day, such as `2026-01-14`; else all days
- `category`: one of them; else all
- `from`, `to`: scores, both included
- `label`: `none`, `normal`, `anomalous`, `unsure`: the word that holds; `differ`: people say different things
- `by`: a person's name; `label` then means their latest word, and alone it is whatever they said
- `sort`: `first` (the nearest to the threshold first; so it is if nothing is said), `highest`, `lowest`, `name`

What follows from labels may change from day to day; the other lists are the same for everybody who follows a link.
"""

from datetime import date
from urllib.parse import urlencode


def picture_address(review_url: str, image_key: str) -> str:
    """Where the review page at `review_url`, such as 'http://plant:8010', shows this image."""
    return f"{review_url.rstrip('/')}/?{urlencode({'key': image_key})}"


def list_address(
    review_url: str, *, show: str = "look", day: date | None = None, category: str | None = None, **others: str
) -> str:
    """Where the review page at `review_url` shows a list; `others` as in the table above."""
    given = {"show": show, "day": day.isoformat() if day else "", "category": category or "", **others}
    return f"{review_url.rstrip('/')}/list?{urlencode({name: value for name, value in given.items() if value})}"
