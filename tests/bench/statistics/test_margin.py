import math

import pytest

from sampling.bench.statistics import default_margin


@pytest.mark.parametrize(
    ("metric", "examples", "more", "value", "unit"),
    [
        ("accuracy", 360, {}, 300 / 360, "points"),
        ("accuracy", 10_000, {}, 0.3, "points"),
        ("Balanced-Accuracy", 10_000, {}, 0.3, "points"),
        ("macro_f1", 300, {"class_counts": [100, 100, 100]}, 1.0, "points"),
        ("macro f1", 110, {"class_counts": [100, 10, 0]}, 300 * 0.11 / 4, "points"),
        ("r2", 500, {}, 0.6, "points"),
        ("log-loss", 10_000, {"classes": 10}, 0.003 * math.log(10), "nats"),
        ("log loss", 100, {"class_counts": [50, 50]}, 0.03 * math.log(2), "nats"),
        ("my score", 10_000, {"reference": -40.0}, 0.4, ""),
        ("my score", 100, {"reference": 40.0}, 1.2, ""),
    ],
)
def test_the_margin_is_three_tenths_of_a_percent_or_three_examples(
    metric, examples, more, value, unit
):
    found = default_margin(metric, examples, **more)
    assert (found.value, found.unit) == (pytest.approx(value), unit)
    assert "test examples" in found.reason or "1 %" in found.reason


def test_the_reason_of_digits():
    assert default_margin("accuracy", 360).reason == (
        "3 of 360 test examples: fewer would decide by which examples are in the test set "
        "(0.3 points is less)"
    )


@pytest.mark.parametrize(
    ("metric", "more", "message"),
    [
        ("log loss", {}, "classes must be given for the margin of log-loss"),
        ("mine", {}, "reference must be given for the margin of 'mine', whose scale is unknown"),
        ("mine", {"reference": 0.0}, "reference must not be 0 for the margin of 'mine'"),
    ],
)
def test_a_margin_without_a_scale_is_refused(metric, more, message):
    with pytest.raises(ValueError, match=message):
        default_margin(metric, 100, **more)
