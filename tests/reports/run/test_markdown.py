from reports.run.markdown import render_run_markdown


def test_the_outcome_the_counts_and_the_keys_are_there(run_report):
    text = render_run_markdown(run_report())
    assert text.startswith("# Inspection of 2026-11-21: completed with rejects\n")
    assert "| cloth | complete | 40 | 3 | 7.9\u202f% | 2 | `v1-abc` |" in text
    assert "- `images/cloth/2026-11-21/hole/003.png`: score 0.9, threshold 0.5" in text
    assert "1 min 23 s, store `s3://plant-7/inspect`" in text


def test_a_total_stands_below_several_categories_only(run_report, category_run):
    assert "**All**" not in render_run_markdown(run_report())
    both = render_run_markdown(run_report(categories=[category_run(), category_run(category="metal")]))
    assert "| **All** | | 80 | 6 | 7.9\u202f% | 4 | |" in both


def test_texts_from_outside_stay_text(run_report, category_run, scored_image):
    key = "images/a`b|c\n# d/<script>.png"
    run = category_run(worst=[scored_image(image_key=key)], message="see [here](http://x) <b> *now* | \n# top")
    text = render_run_markdown(run_report(categories=[run], outcome="failed <i>"))
    assert "- ``images/a`b|c # d/<script>.png``: score" in text
    assert "see \\[here\\](http://x) &lt;b&gt; \\*now\\* \\| \\# top" in text
    assert "# Inspection of 2026-11-21: failed &lt;i&gt;" in text


def test_images_that_are_no_alarm_are_left_out(run_report, category_run, scored_image):
    run = category_run(worst=[scored_image(is_anomalous=False, image_key="images/calm.png")])
    assert "calm.png" not in render_run_markdown(run_report(categories=[run]))


def test_credentials_do_not_appear(run_report):
    assert "hunter2" not in render_run_markdown(run_report(store_uri="s3://anna:hunter2@plant"))


def test_a_night_without_categories(run_report):
    text = render_run_markdown(run_report(categories=[], outcome="nothing to do"))
    assert "No new images" in text
    assert "|" not in text
