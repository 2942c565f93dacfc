import itertools
import re

import numpy as np
import pytest

from reports.run.report import category_figures, render_run_report
from tests.reports.html_page import Page, words

_NASTY = [
    "images/cloth/d/<script>alert(1)</script>.png",
    "images/cloth/d/\"><img src=x onerror='alert(1)'>.png",
    "images/cloth/d/../../etc/passwd",
    "images/cloth/d/{{ 7 * 7 }}.png",
    "images/cloth/d/Prüfling 日本 №1.png",
]


def test_the_page_needs_nothing_from_outside(run_report):
    html = render_run_report(run_report())
    page = Page(html)
    assert not {"script", "link", "iframe", "object", "form"} & {tag for tag, _ in page.elements}
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("src", "href", "srcset", "data", "poster"):
            assert attributes.get(name, "#").startswith(("#", "data:image/webp;base64,"))
    assert "url(" not in html
    assert "@import" not in html
    assert "default-src 'none'" in html


@pytest.mark.parametrize("key", _NASTY)
def test_names_are_text_wherever_they_stand(run_report, category_run, scored_image, key):
    run = category_run(
        category=key, state=key, model_version=key, message=key, maps_key=key, scores_key=key,
        worst=[scored_image(image_key=key, label=key, kind=key, error=key)],
        unreadable_images=[(key, key)], seconds_by_stage={key: 1.0},
    )  # fmt: skip
    html = render_run_report(
        run_report(categories=[run], run_id=key, outcome=key, store_uri=key, software={key: key})
    )
    page = Page(html)
    assert not page.all("script")
    assert len(page.all("img")) == 2
    assert page.text.count(key) >= 14
    assert f"Image {key}" in [image["alt"] for image in page.all("img")]


def test_credentials_do_not_appear_in_any_field(run_report, category_run, scored_image):
    leak = "s3://AKIAIOSFODNN7EXAMPLE:hunter2@plant/x"
    run = category_run(
        message=leak, maps_key=leak, scores_key=leak, unreadable_images=[(leak, leak)],
        worst=[scored_image(image_key=leak, error=leak)],
    )  # fmt: skip
    html = render_run_report(run_report(categories=[run], store_uri=leak, software={"s3fs": leak}))
    assert "hunter2" not in html
    assert "AKIAIOSFODNN7EXAMPLE" not in html
    assert "s3://plant/x" in html


def test_the_glance_shows_every_category_and_the_sums(run_report, category_run):
    failed = category_run(category="metal", state="failed", images=60, ok=0, unreadable=0, anomalous=0)
    html = render_run_report(run_report(categories=[category_run(), failed]))
    glance = words(html.partition('<table class="glance">')[2].partition("</table>")[0])
    assert glance.endswith(
        "cloth complete 40 3 7.9\u202f% 2 v1-abc metal failed 60 0 none 60 v1-abc All 100 3 7.9\u202f% 62"
    )


def test_links_of_the_glance_lead_to_sections(run_report, category_run):
    page = Page(render_run_report(run_report(categories=[category_run(), category_run(category="metal")])))
    targets = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    links = [link["href"].removeprefix("#") for link in page.all("a")]
    assert {"glance", "category-1", "category-2"} <= set(links) <= targets
    assert len(targets) == len([1 for _, attributes in page.elements if "id" in attributes])


def test_a_worst_image_stands_with_its_map_and_its_figures(run_report):
    html = render_run_report(run_report())
    card = html.partition('<li class="card" id="category-1-1">')[2].partition("</li>")[0]
    assert words(card.partition("</figure>")[2]) == (
        "images/cloth/2026-11-21/hole/003.png score 0.9 1.80 × threshold p 0.012 area 3.4\u202f% anomalous"
    )
    alts = [image["alt"] for image in Page(card).all("img")]
    assert alts == [
        "Image images/cloth/2026-11-21/hole/003.png",
        "Anomaly map over images/cloth/2026-11-21/hole/003.png, 3.4\u202f% of it above its threshold",
    ]


def test_an_image_without_picture_map_or_score_still_has_its_card(run_report, category_run, scored_image):
    bare = scored_image(
        picture=None, score=None, threshold=None, is_anomalous=None, p_value=None, anomalous_area=None
    )
    no_map = scored_image(anomaly_map=None, image_key="images/plain.png")
    html = render_run_report(run_report(categories=[category_run(worst=[bare, no_map])]))
    assert "no picture" in words(html)
    assert "no anomaly map" in words(html)
    assert "score none" in words(html)


def test_unreadable_files_are_listed_and_the_rest_counted(run_report, category_run):
    listed = [(f"images/{number}.png", f"error {number}") for number in range(250)]
    text = words(render_run_report(run_report(categories=[category_run(unreadable=1234, unreadable_images=listed)])))
    assert "images/199.png" in text
    assert "error 199" in text
    assert "images/200.png" not in text
    assert "and 1\u202f034 more" in text


def test_a_list_cut_short_by_the_caller_is_counted_too(run_report, category_run):
    run = category_run(unreadable=30, unreadable_images=[("images/a.png", "empty")])
    assert "and 29 more" in words(render_run_report(run_report(categories=[run])))


def test_stages_are_bars_of_their_share(run_report):
    table = render_run_report(run_report()).partition('<table class="stages">')[2].partition("</table>")[0]
    assert re.findall(r"width: ([\d.]+)%", table) == ["10.0", "30.0", "60.0"]
    assert words(table).endswith("read 1.0 s decode 3.0 s forward 6.0 s")


def test_a_category_that_never_ran_says_what_to_do_and_shows_no_empty_drawings(run_report, category_run):
    run = category_run(
        state="no champion", model_version=None, threshold=None, alpha=None, ok=0, unreadable=0, anomalous=0,
        scores=np.empty(0, np.float32), calibration_scores=np.empty(0, np.float32), worst=[], unreadable_images=[],
        seconds_by_stage={}, images_per_second=None, maps_key=None, scores_key=None,
    )  # fmt: skip
    html = render_run_report(run_report(categories=[run], outcome="failed"))
    text = words(html)
    assert "rd-inspect train --category cloth" in text
    assert "40 not reached by this run: not judged" in text
    assert not Page(html).all("svg")
    for heading in (
        "Score distribution",
        "Highest scores",
        "Files without a score",
        "Throughput",
        "Where the data lie",
    ):
        assert heading not in text


def test_an_empty_night_says_where_images_belong(run_report):
    text = words(render_run_report(run_report(categories=[], outcome="nothing to do")))
    assert "No category has images of this day" in text
    assert "images/<category>/2026-11-21/" in text


def test_headings_never_skip_a_level_and_tables_name_their_columns(run_report):
    page = Page(render_run_report(run_report()))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert all(header.get("scope") in ("col", "row") for header in page.all("th"))
    assert all(image["alt"] for image in page.all("img"))
    assert page.all("html") == [{"lang": "en"}]


def test_many_large_noisy_pictures_stay_below_five_megabytes(run_report, category_run, scored_image):
    noisy = np.random.default_rng(0).integers(0, 255, (256, 256, 3), dtype=np.uint8)
    worst = [scored_image(picture=noisy)] * 12
    html = render_run_report(run_report(categories=[category_run(worst=worst)] * 20))
    assert html.count("data:image/webp") == 480
    assert len(html.encode()) < 5_000_000


def test_the_same_report_gives_the_same_page(run_report):
    assert render_run_report(run_report()) == render_run_report(run_report())


def test_images_to_review_are_counted_where_there_are_some(category_run) -> None:
    figures = {one.name: one.value for one in category_figures(category_run(to_review=4))}
    assert figures["To review"] == "4"
    assert "To review" not in {one.name for one in category_figures(category_run())}


def test_each_picture_opens_large_in_place_and_leads_on_to_the_next(run_report, category_run, scored_image):
    images = [scored_image(image_key=f"images/{number}.png") for number in range(3)]
    page = Page(render_run_report(run_report(categories=[category_run(worst=images)])))
    assert [one["id"] for one in page.all("figure")] == [f"category-1-{number}-large" for number in (1, 2, 3)]
    hrefs = [link["href"] for link in page.all("a")]
    assert [hrefs.count(f"#category-1-{number}-large") for number in (1, 2, 3)] == [2, 3, 2]
    assert all(hrefs.count(f"#category-1-{number}") == 2 for number in (1, 2, 3))
    assert len(page.all("img")) == 6


def test_the_legend_stands_once_a_category_that_has_maps(run_report, category_run, scored_image):
    bare = category_run(category="metal", worst=[scored_image(anomaly_map=None)])
    html = render_run_report(run_report(categories=[category_run(), bare]))
    assert html.count('class="scale"') == html.count("the most anomalous place") == 1
    assert ">threshold</span>" in html


def test_each_picture_leads_to_its_review_page_where_there_is_one(run_report, category_run, scored_image):
    image = scored_image(image_key="images/cloth/2026-11-21/a b#1.png")
    bare = scored_image(image_key="images/cloth/2026-11-21/c.png", picture=None)
    report = run_report(categories=[category_run(first=[image], worst=[bare])], review_url="http://plant:8010/")
    hrefs = [one["href"] for one in Page(render_run_report(report)).all("a")]
    assert hrefs.count("http://plant:8010/?key=images%2Fcloth%2F2026-11-21%2Fa+b%231.png") == 2
    assert hrefs.count("http://plant:8010/?key=images%2Fcloth%2F2026-11-21%2Fc.png") == 1
    assert "http://plant:8010/list?show=look&day=2026-11-21&category=cloth" in hrefs
    assert "plant:8010" not in render_run_report(run_report(categories=[category_run(first=[image])]))


def test_what_to_look_at_first_comes_first_and_once(run_report, category_run, scored_image):
    first, worst = ([scored_image(image_key=f"images/{name}.png")] for name in ("near", "far"))
    html = render_run_report(run_report(categories=[category_run(first=first, worst=worst)]))
    titles = re.findall(r"<h4>(.*?)</h4>", html)
    assert titles == ["Look at these first", "Highest scores among the others"]
    assert html.index("images/<wbr>near") < html.index("Highest scores") < html.index("images/<wbr>far")
    ids = [one["id"] for _, one in Page(html).elements if "id" in one]
    assert len(ids) == len(set(ids))
    assert html.count('class="scale"') == 1
