"""The evaluation's page, its words, its charts and its machine-readable twin."""

import itertools
import json
import re
from collections import Counter
from dataclasses import fields
from datetime import date
from importlib.resources import files

import numpy as np
import pytest

from reports.evaluation.curve import Mark, curve_chart
from reports.evaluation.export import figure_rows, figure_tree
from reports.evaluation.markdown import render_evaluation_markdown
from reports.evaluation.measures import LabelCounts, Measure, ShareRow
from reports.evaluation.report import MOST_BYTES, render_evaluation_report
from reports.evaluation.shares import share_chart
from reports.evaluation.words import DASH, WORDS, in_digits, next_steps
from reports.histogram import Group, histogram
from reports.overlay import outlined
from tests.reports.html_page import Page, words

NASTY = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{ 7 * 7 }}"


def undefined(why: str = "no judged image is labelled normal") -> tuple[Measure, ...]:
    return tuple(Measure(name, None, why=why) for name in WORDS)


def test_the_page_needs_nothing_from_outside(evaluation):
    html = render_evaluation_report(evaluation())
    page = Page(html)
    assert not {"script", "link", "iframe", "object", "form"} & {tag for tag, _ in page.elements}
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("src", "href", "srcset", "data", "poster"):
            assert attributes.get(name, "#").startswith(("#", "data:image/webp;base64,"))
    assert "url(" not in html and "@import" not in html and "default-src 'none'" in html
    assert all(attributes.get("alt") for attributes in page.all("img"))


def test_names_are_text_wherever_they_stand(evaluation, evaluated, scored_image):
    image = scored_image(image_key=NASTY, label=NASTY, kind=NASTY)
    one = evaluated(
        category=NASTY, model_version=NASTY, by_kind=(ShareRow(NASTY, 0, 1, 0.0, 0.0, 1.0),), misses=(image,),
        false_alarms=(image,), borderline=(image,), problems=((NASTY, NASTY),), notes=(NASTY,),
        measures=undefined(NASTY),
    )  # fmt: skip
    report = evaluation(
        categories=(one,), run_id=NASTY, store_uri=NASTY, unlabelled=(NASTY,), failed=((NASTY, NASTY),),
        software={NASTY: NASTY},
    )  # fmt: skip
    html = render_evaluation_report(report)
    page = Page(html)
    assert not page.all("script")
    assert len(page.all("img")) == 6
    assert page.text.count(NASTY) >= 20
    markdown = render_evaluation_markdown(report)
    assert "<script>" not in markdown and "<img" not in markdown


def test_credentials_do_not_appear(evaluation, evaluated):
    leak = "s3://AKIAIOSFODNN7EXAMPLE:hunter2@plant/x"
    report = evaluation(categories=(evaluated(problems=((leak, leak),), notes=(leak,)),), store_uri=leak,
                        failed=((leak, leak),))  # fmt: skip
    for text in (render_evaluation_report(report), render_evaluation_markdown(report)):
        assert "hunter2" not in text and "AKIAIOSFODNN7EXAMPLE" not in text


def test_every_figure_says_what_it_means_and_what_to_do(evaluation):
    html = render_evaluation_report(evaluation())
    table = words(html.partition('<table class="measures-table">')[2].partition("</table>")[0])
    for one in WORDS.values():
        assert f"{one.meaning} {one.action}" in table
    assert "Image AUROC 0.900 0.800 to 0.950 40 images" in table
    assert "Recall 90\u202f% 80\u202f% to 95\u202f% 40 images" in table


def test_what_is_undefined_is_a_dash_with_its_reason(evaluation, evaluated):
    one = evaluated(measures=undefined(), roc=None, pro=None, by_kind=(), by_size=(), alpha=None, threshold=None)
    html = render_evaluation_report(evaluation(categories=(one,), means=undefined("in no category is it defined")))
    table = words(html.partition('<table class="measures-table">')[2].partition("</table>")[0])
    assert table.count(f"{DASH} No judged image is labelled normal.") == len(WORDS)
    assert "nan" not in words(html).lower().split()
    assert "None" not in words(html)


def test_the_glance_has_a_line_a_category_and_the_mean(evaluation, evaluated):
    older = evaluated(model_version="v0", in_mean=False)
    html = render_evaluation_report(evaluation(categories=(older, evaluated(), evaluated(category="metal"))))
    glance = words(html.partition('<table class="glance">')[2].partition("</table>")[0])
    assert "cloth earlier version, not in the mean v0 50 40 0.900" in glance
    assert "Mean of 2 models 0.900 of 1" in glance
    page = Page(html)
    targets = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(targets) == len(set(targets))
    assert {link["href"].removeprefix("#") for link in page.all("a")} <= set(targets)


def test_what_is_not_in_the_figures_is_told(evaluation):
    report = evaluation(unlabelled=("metal",), failed=(("print of d", "broken"),), missing_days=(date(2026, 11, 20),))
    said = words(render_evaluation_report(report))
    assert "no image is labelled for evaluation: metal" in said
    assert "print of d: broken" in said
    assert "Not inspected: 2026-11-20." in said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"false_alarm_rate": Measure("false_alarm_rate", 0.1, 0.02, 0.2, 50)}, "More false alarms than promised"),
        ({"recall": Measure("recall", 0.5, 0.3, 0.7, 40)},
         "20 of 40 anomalous images missed. The AUROC is low"),
        ({"recall": Measure("recall", 0.5, 0.3, 0.7, 40), "image_auroc": Measure("image_auroc", 0.98, n=90)},
         "a higher promised false-alarm rate (setting alpha) would find more"),
    ],
)  # fmt: skip
def test_advice_follows_the_figures(evaluated, change, said):
    measures = tuple(change.get(name, Measure(name, 0.92, 0.005, 0.95, 40)) for name in WORDS)
    assert any(said in step for step in next_steps(evaluated(measures=measures)))


def test_advice_names_blind_spots_few_labels_masks_and_leaks(evaluated):
    counts = LabelCounts(normal=4, anomalous=40, unmasked=3, trained_on=2, chose=1, left_out=1)
    said = " ".join(next_steps(evaluated(counts=counts)))
    for expected in (
        "found no image of: stain", "Only 4 normal images are labelled", "3 anomalous images without a mask",
        "2 images labelled for evaluation trained this model", "1 labelled image could not",
        "1 image labelled for evaluation helped to choose this model's method",
    ):  # fmt: skip
        assert expected in said
    good = (ShareRow("hole", 4, 4, 1.0, 0.4, 1.0),)
    quiet = tuple(Measure(name, 0.95, 0.005, 0.99, 40) for name in WORDS)
    assert next_steps(evaluated(counts=LabelCounts(50, 40, 40), by_kind=good, measures=quiet)) == []


def test_the_page_stays_small_with_many_large_pictures(evaluation, evaluated, scored_image):
    random = np.random.default_rng(0)
    noise = random.integers(0, 255, (224, 224, 3), dtype=np.uint8)
    images = tuple(scored_image(picture=noise, label="normal") for _ in range(6))
    many = tuple(evaluated(misses=images, false_alarms=images, borderline=images) for _ in range(8))
    html = render_evaluation_report(evaluation(categories=many))
    assert len(html.encode()) <= MOST_BYTES
    assert html.count("data:image/webp") == 8 * 18 * 2


def test_an_evaluation_of_nothing_is_a_page(evaluation):
    Page(render_evaluation_report(evaluation(categories=(), means=())))
    assert render_evaluation_markdown(evaluation(categories=(), means=()))


def test_machines_get_the_same_figures(evaluation, evaluated):
    report = evaluation(categories=(evaluated(), evaluated(category="metal", measures=undefined())))
    tree = figure_tree(report)
    assert json.loads(json.dumps(tree, allow_nan=False)) == tree
    rows = figure_rows(report)
    assert len(rows) == 2 * (len(WORDS) + 4) + len(WORDS)
    cloth = next(row for row in rows if (row["category"], row["figure"]) == ("cloth", "image_auroc"))
    assert (cloth["value"], cloth["low"], cloth["high"], cloth["n"]) == (0.9, 0.8, 0.95, 40)
    assert tree["categories"][0]["figures"]["image_auroc"]["value"] == 0.9
    assert set(tree["categories"][0]["counts"]) == {field.name for field in fields(LabelCounts)}
    empty = next(row for row in rows if row["of"] == "0 % to 1 %")
    assert (empty["value"], empty["why"]) == (None, "no such case is labelled")


def test_a_curve_keeps_to_its_square_and_tells_its_points():
    svg = curve_chart(
        np.array([0, 0.1, 0.5, 1]), np.array([0, 0.8, 0.9, 1]), x_end=0.5, x_name="fpr", y_name="overlap <b>",
        title="PRO", marks=[Mark(0.1, 0.8, "threshold: here"), Mark(0.9, 1, "beyond: not drawn")],
    )  # fmt: skip
    points = [tuple(map(float, pair.split(","))) for pair in re.search(r'points="([^"]*)"', svg)[1].split()]
    assert len(points) == 3
    assert all(a[0] <= b[0] and a[1] >= b[1] for a, b in itertools.pairwise(points))
    assert points[-1][0] == 360 - 14
    assert "<title>fpr 0.1, overlap &lt;b&gt; 0.8</title>" in svg
    assert svg.count('class="mark"') == 2
    assert 'role="img"' in svg and "<desc>" in svg
    with pytest.raises(ValueError, match="make no line"):
        curve_chart(np.array([]), np.array([]), x_end=1.0, x_name="x", y_name="y", title="t")


def test_histogram_puts_a_score_equal_to_the_threshold_below_it():
    groups = Group("normal image", np.array([0.1, 0.5, 0.9])), Group("anomalous image", np.array([0.5, 0.8]))
    svg = histogram(*groups, 0.5, "scores", mirrored=True)
    count = Counter()
    for number, group, above in re.findall(r"<title>(\d+) (\w+) images? \([^)]*\) with [^<,]*(, above)?", svg):
        count[group, bool(above)] += int(number)
    assert count == {("normal", True): 1, ("normal", False): 2, ("anomalous", True): 1, ("anomalous", False): 1}


def test_shares_show_dot_interval_and_dash():
    rows = [ShareRow("hole", 3, 4, 0.75, 0.2, 1.0), ShareRow("none <i>", 0, 0, None, 0.0, 1.0)]
    svg = share_chart(rows, "recall")
    assert 'x1="220.0" x2="500.0"' in svg
    assert 'cx="412.5"' in svg
    assert "hole: 3 of 4, 75\u202f%, interval 20\u202f% to 100\u202f%" in svg
    assert "none &lt;i&gt;: none labelled" in svg
    assert svg.count("<circle") == 1
    assert share_chart([], "recall") == ""


def test_an_outline_hides_nothing_of_the_defect():
    picture = np.full((20, 30, 3), 128, np.uint8)
    mask = np.zeros((40, 60), np.bool_)
    mask[10:20, 20:30] = True
    drawn = outlined(picture, mask)
    assert (drawn[5:10, 10:15] == 128).all()
    assert (drawn[4, 9:16] == drawn[4, 9]).all() and drawn[4, 9, 1] == 255
    assert (drawn[3, 8:17] == 0).all()
    assert (drawn[:2] == 128).all()
    assert (picture == 128).all()


def test_numbers_as_people_read_them():
    assert in_digits(Measure("image_auroc", 0.98765)) == "0.988"
    assert in_digits(Measure("recall", 0.5)) == "50\u202f%"
    assert in_digits(Measure("recall", None)) == DASH


def test_no_new_colours_are_defined():
    """Contrast of the palette is tested with the run report's style; this one may only use it."""
    css = files("reports.templates").joinpath("evaluation.css").read_text()
    assert not re.findall(r"#[0-9a-fA-F]{3,6}\b|rgb\(", css)
