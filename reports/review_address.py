"""Addresses of the review page and their parameters.

| address | shows |
|---|---|
| `/?key=<image key>` | one image with its heat map, to label |
| `/?<list>` | the images of a list, one after the other |
| `/?<list>&key=<image key>` | the same, beginning at that image |
| `/list?<list>` | the same list as rows with thumbnails; `&page=2` is its second page |
| `/audit?category=<category>` | the history of labels, newest first |

`<list>` consists of these optional parameters:

- `show`: `to-label` (images worth a look that the reviewer has not labelled yet; the default),
  `look` ("look at these first": flagged, in the review band or borderline), `flagged`, `not-flagged`, `band`,
  `unreadable`, `rejected`, `all`
- `day`: a production day, such as `2026-01-14`; default: all days
- `category`: default: all
- `from`, `to`: scores, both included
- `label`: `none`, `normal`, `anomalous`, `unsure`: the label in force; `differ`: people disagree
- `by`: a person's name; `label` then means this person's latest label; alone: all that this person labelled
- `sort`: `first` (nearest to the threshold first; the default), `highest`, `lowest`, `name`

Lists that depend on labels change with them; the others are the same for everybody.
"""

from datetime import date
from urllib.parse import urlencode


def picture_address(review_url: str, image_key: str) -> str:
    """The address of this image on the review page at `review_url`, such as 'http://plant:8010'."""
    return f"{review_url.rstrip('/')}/?{urlencode({'key': image_key})}"


def list_address(
    review_url: str, *, show: str = "look", day: date | None = None, category: str | None = None, **others: str
) -> str:
    """The address of a list on the review page at `review_url`; `others`: further parameters, see above."""
    given = {"show": show, "day": day.isoformat() if day else "", "category": category or "", **others}
    return f"{review_url.rstrip('/')}/list?{urlencode({name: value for name, value in given.items() if value})}"
