"""The comparison's page: verdict first, drawn defects marked everywhere, every text escaped, complete in itself."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from reports.comparison import report as comparison_report
from reports.comparison import words as comparison_words
from reports.comparison.export import figure_rows, figure_tree
from reports.comparison.forest import forest
from reports.comparison.markdown import render_comparison_markdown
from reports.comparison.report import render_comparison_report
from reports.comparison.results import (
    ComparedMethod,
    ComparisonReport,
    DisagreedImage,
    Figure,
    JudgedCounts,
    MethodView,
    Ranked,
    Share,
)
from reports.scored_image import ScoredImage
from tests.reports.html_page import Page, words

EVIL = "<img src=x onerror=alert(1)>&\u202eevil\x00 aws_secret_access_key=abc"
NONE = Share("", 0, 0, Figure(None, 0.0, 1.0))


def share(name: str, flagged: int, total: int) -> Share:
    return Share(name, flagged, total, Figure(flagged / total, 0.1, 0.9))


def method(name: str, **fields: object) -> ComparedMethod:
    ahead = None if name == "padim" else Figure(0.05, 0.01, 0.09)
    ranked = Ranked(Figure(0.9, 0.85, 0.95), 0.88, 0.93, ahead, None if ahead is None else 0.012)
    return ComparedMethod(
        **{
            "method": name, "seeds": (0, 1, 2), "typical": 1, "standing": "best" if name == "padim" else "worse",
            "choosing": ranked, "auroc": ranked, "average_precision": ranked, "pixel_auroc": 0.97, "aupro_30": 0.8,
            "aupro_05": None, "recall": share("recall", 3, 4),
            "false_alarms": replace(share("false alarms", 1, 50), figure=Figure(0.02, 0.001, 0.1)),
            "undecided": share("undecided", 2, 54),
            "by_kind": (share("hole", 1, 2), share("stain", 2, 2)),
            "by_size": (replace(NONE, name="0 % to 1 %"), share("1 % to 10 %", 3, 4)), "training_seconds": 75.0,
            "images_per_second": 12.5, "peak_memory": 1_500_000_000, "model_bytes": 10_800_000, **fields,
        }
    )  # fmt: skip


def disagreed(drawn: bool = False, **fields: object) -> DisagreedImage:
    picture = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    views = tuple(
        MethodView(
            name, rank,
            ScoredImage("a", 2.0, 1.0, flagged, pixel_threshold=1.0, anomaly_map=np.full((8, 8), value, np.float32)),
        )
        for name, rank, flagged, value in (("padim", 0.95, True, 3.0), ("spade", 0.125, False, 0.5))
    )  # fmt: skip
    defect = np.zeros((6, 8), bool)
    defect[2:4, 2:4] = True
    given = {"image_key": "images/cloth/a.png", "label": "anomalous", "kind": "hole", "drawn": drawn}
    return DisagreedImage(**{**given, "picture": picture, "defect": defect, "views": views, **fields})


def report(drawn: int = 0, **fields: object) -> ComparisonReport:
    return ComparisonReport(
        **{
            "category": "cloth", "comparison_id": "c-01", "store_uri": "s3://plant", "alpha": 0.01,
            "made_at": datetime(2026, 3, 3, 5, tzinfo=UTC), "sentence": "padim is the best for these images.",
            "named": "padim", "beyond_chance": True, "reference": "padim", "near": 0.02,
            "halves": "20 choose; 20 report.",
            "counts": JudgedCounts(50, 4, 54, drawn), "methods": (method("padim"), method("spade")),
            "disagreed": (disagreed(drawn > 0),), "software": {"python": "3.11.7"}, **fields,
        }
    )  # fmt: skip


def test_the_verdict_comes_first_then_the_figures_then_how_it_was_chosen() -> None:
    page = render_comparison_report(report())
    order = ["padim, beyond chance", "padim is the best for these images.", "on the images that report", "Costs",
             "How the method was chosen", "Defects found", "Where the methods disagree most"]  # fmt: skip
    places = [words(page).index(one) for one in order]
    assert places == sorted(places)
    assert "<title>Comparison for cloth: padim, beyond chance</title>" in page
    assert "Before you rely on it" not in page


def test_every_figure_of_a_method_is_in_its_row() -> None:
    text = words(render_comparison_report(report()))
    assert (
        "spade 0.900 0.850 to 0.950 3 seeds: 0.880 to 0.930 0.900 0.850 to 0.950 3 seeds: 0.880 to 0.930 0.970 0.800 "
        "– 75\u202f% 3 of 4 10\u202f% to 90\u202f% 2\u202f% 1 of 50 0.10\u202f% to 10\u202f% 3.7\u202f% 2 of 54"
    ) in text
    assert "spade 1 min 15 s 12.5 1.50 GB 10.8 MB" in text
    assert "spade worse beyond chance 0.900" in text
    assert "+0.050 (+0.010 to +0.090), p = 0.012 12.5 1 min 15 s" in text
    assert "hole 2 50\u202f% 50\u202f% stain 2 100\u202f% 100\u202f%" in text
    assert "1 % to 10 % 4 75\u202f%" in text and "0 % to 1 %" not in text
    one_kind = tuple(method(name, by_kind=(share("no kind given", 3, 4),)) for name in ("padim", "spade"))
    assert "no kind given" not in render_comparison_report(report(methods=one_kind))


def test_drawn_defects_are_marked_in_every_section() -> None:
    page = render_comparison_report(report(drawn=4))
    titles = re.findall(r"<h[12][^>]*>(.*?)</h", page, re.DOTALL)
    assert [title for title in titles if "drawn defects" not in title] == ["Files and software"]
    assert "All defects here are drawn into normal images" in words(page)
    assert "4 anomalous (4 with a drawn defect) of 54 parts" in words(page)
    assert page.count(">drawn defect</span>") == 1
    assert next(one["alt"] for one in Page(page).all("img")).endswith("anomalous, drawn defect")
    assert "2 of 4 defects here are drawn" in words(render_comparison_report(report(drawn=2)))
    assert "drawn defects" not in render_comparison_report(report())
    assert ", on drawn defects\n" in render_comparison_markdown(report(drawn=4))
    assert {row["drawn"] for row in figure_rows(report(drawn=4))} == {True}


def test_maps_of_all_methods_stand_side_by_side() -> None:
    page = render_comparison_report(report())
    assert [one["alt"] for one in Page(page).all("img")] == [
        "Image images/cloth/a.png, anomalous",
        "Anomaly map of padim over images/cloth/a.png",
        "Anomaly map of spade over images/cloth/a.png",
    ]
    text = words(page)
    assert "padim flagged above 95\u202f%" in text and "spade not flagged above 12.5\u202f%" in text
    assert '<span class="right">flagged' in page and '<span class="wrong">not flagged' in page
    normal = render_comparison_report(report(disagreed=(disagreed(label="normal", kind=None, defect=None),)))
    assert '<span class="wrong">flagged' in normal and '<span class="right">not flagged' in normal


def test_every_link_within_the_page_leads_somewhere() -> None:
    mapless = replace(
        disagreed(), views=(replace(disagreed().views[0], scored=ScoredImage("a")), disagreed().views[1])
    )
    page = Page(render_comparison_report(report(disagreed=(disagreed(), mapless))))
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    links = {one["href"] for one in page.all("a")}
    assert {link[1:] for link in links if link.startswith("#")} <= ids
    assert {"#image-1-0", "#image-1-1", "#image-1-2", "#image-2-2"} <= links


def test_the_same_map_has_other_colours_for_a_method_with_another_threshold() -> None:
    one = disagreed()
    scored = replace(one.views[0].scored, pixel_threshold=30.0)
    twice = replace(one, views=(one.views[0], replace(one.views[0], scored=scored)))
    _, first, second = (
        image["src"] for image in Page(render_comparison_report(report(disagreed=(twice,)))).all("img")
    )
    assert first != second


def test_a_page_without_pictures_says_so() -> None:
    bare = disagreed(picture=None)
    text = words(render_comparison_report(report(disagreed=(bare,))))
    assert "no picture" in text and text.count("no map") == 2
    assert "Where the methods" not in render_comparison_report(report(disagreed=()))


def test_pictures_are_shrunk_until_the_page_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (400, 400, 3), dtype=np.uint8)
    long = report(disagreed=(disagreed(picture=noise),) * 3)
    whole = len(render_comparison_report(long))
    monkeypatch.setattr(comparison_report, "_MOST_PICTURE_BYTES", 60_000)
    small = render_comparison_report(long)
    assert len(small) < whole and len(Page(small).all("img")) == 9
    monkeypatch.setattr(comparison_report, "_MOST_PICTURE_BYTES", 100)
    assert Page(render_comparison_report(long)).all("img") == []


def test_what_to_know_before_one_relies_on_it() -> None:
    failed = (("spade", 2, "out of memory"),)
    assert comparison_words.steps(report(failed=failed, notes=("Told by the caller.",))) == [
        "Not in these figures: 1 training that failed, listed below.", "Told by the caller.",
    ]  # fmt: skip
    assert "spade, seed 2 out of memory" in words(render_comparison_report(report(failed=failed)))
    noisy = method("spade", false_alarms=Share("", 9, 50, Figure(0.18, 0.08, 0.3)))
    (step,) = comparison_words.steps(report(methods=(method("padim"), noisy)))
    assert step.startswith("More false alarms than the promised 1\u202f% with spade: recalibrate")
    once = report(methods=tuple(method(name, seeds=(0,)) for name in ("padim", "spade")))
    assert comparison_words.steps(once)[0].startswith("Every method was trained once, and another seed may rank")
    behind = Ranked(Figure(0.95), 0.95, 0.95, Figure(-0.05, -0.08, -0.01), 0.01)
    (otherwise,) = comparison_words.steps(report(methods=(method("padim"), method("spade", auroc=behind))))
    assert "spade had a higher image AUROC than padim, beyond chance. The choice stands" in otherwise


def test_nothing_is_named_or_chosen_from_too_few_images() -> None:
    rows = tuple(method(name, choosing=None, standing=None) for name in ("padim", "spade"))
    page = render_comparison_report(report(named=None, beyond_chance=False, methods=rows))
    assert "no method is named" in page and "These images chose" not in page and "none was chosen by them" not in page
    cheap = report(beyond_chance=False, methods=(method("padim"), method("spade", standing="not worse")))
    assert "padim, cheapest of those not worse" in render_comparison_report(cheap)
    alone = render_comparison_report(report(beyond_chance=False))
    assert "padim, highest, but not beyond chance" in alone and "cheapest of those not worse</span>" not in alone


def test_undefined_figures_are_dashes() -> None:
    bare = method("spade", auroc=None, average_precision=None, pixel_auroc=None, aupro_30=None, recall=NONE)
    text = words(render_comparison_report(report(methods=(method("padim"), bare))))
    assert "spade – – – – – – 2\u202f% 1 of 50" in text


def test_the_forest_draws_leads_and_their_intervals() -> None:
    ranked = Ranked(Figure(0.9), None, None, Figure(0.1, -0.1, 0.2), 0.3)
    drawn = forest([(method("padim"), None), (method("spade"), ranked)], "padim", "leads")
    assert "padim above spade: +0.100 (−0.100 to +0.200), p = 0.300" in drawn
    (low, high), (dot,) = re.search(r'class="reach" x1="([\d.]+)" x2="([\d.]+)"', drawn).groups(), re.findall(
        r'circle cx="([\d.]+)"', drawn
    )  # fmt: skip
    zero = float(re.search(r'class="axis" x1="([\d.]+)"', drawn)[1])
    assert float(low) < zero < float(dot) < float(high)
    assert zero - float(low) == pytest.approx(float(dot) - zero, abs=0.2)
    assert forest([(method("padim"), None)], "padim", "leads") == ""


def test_texts_from_outside_cannot_act() -> None:
    evil = report(
        category=EVIL, sentence=EVIL, halves=EVIL, comparison_id=EVIL, store_uri="s3://user:pw@plant", named=EVIL,
        reference=EVIL, methods=(method(EVIL, by_kind=(share(EVIL, 1, 2), share("hole", 1, 2))),),
        failed=((EVIL, 0, EVIL),), notes=(EVIL,),
        disagreed=(disagreed(image_key=EVIL, kind=EVIL),), software={EVIL: EVIL},
    )  # fmt: skip
    page = render_comparison_report(evil)
    parsed = Page(page)
    assert {name for name, _ in parsed.elements} & {"script", "iframe", "link", "object"} == set()
    assert all("onerror" not in attributes for _, attributes in parsed.elements)
    assert "\u202e" not in page and "\x00" not in page and "abc" not in parsed.text and "user:pw" not in page
    assert all(one["src"].startswith("data:") for one in parsed.all("img"))
    assert "<img" not in render_comparison_markdown(evil)


def test_markdown_has_verdict_and_table() -> None:
    text = render_comparison_markdown(report())
    assert text.startswith("# Comparison for cloth\n\n**padim is the best for these images.**\n\n| Method |")
    assert (
        "| spade | 0.900 (0.850 to 0.950) | 0.800 | 75\u202f% | 2\u202f% | 1 min 15 s | 12.5 | 1.50 GB | 10.8 MB |"
    ) in text


def test_rows_and_tree_have_every_figure() -> None:
    rows = figure_rows(report())
    spade = {(row["half"], row["figure"], row["of"]): row for row in rows if row["method"] == "spade"}
    assert len({tuple(row) for row in rows}) == 1
    ahead = spade["reporting", "image_auroc_ahead", "padim"]
    assert (ahead["value"], ahead["low"], ahead["high"], ahead["p_value"]) == (0.05, 0.01, 0.09, 0.012)
    assert ("choosing", "image_auroc_ahead", "padim") in spade
    assert spade["reporting", "recall_by_kind", "stain"]["n"] == 2
    assert spade["reporting", "recall_by_size", "0 % to 1 %"]["value"] is None
    assert spade["reporting", "model_bytes", None]["value"] == 10_800_000
    tree = json.loads(json.dumps(figure_tree(report()), allow_nan=False))
    assert tree["named"] == "padim" and tree["methods"][1]["auroc"]["ahead"]["value"] == 0.05
    assert tree["disagreed"][0]["ranks"] == {"padim": 0.95, "spade": 0.125}
    later = report(made_at=datetime(2027, 1, 1, tzinfo=UTC))
    assert figure_tree(later) == figure_tree(report())
