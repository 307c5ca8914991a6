"""The evaluator of alerts means by an expression what Prometheus means by it."""

import pytest

from tests.support.alerts import PROMTOOL, Expression, Readings, no_answer, rules, samples

BEFORE = samples('a_total{x="1"} 10\na_total{x="2"} 5\nb{y="p"} 3\nb{y="q"} 7\n', job="j")
AFTER = samples('a_total{x="1"} 40\na_total{x="2"} 5\na_total{x="3"} 9\nb{y="p"} 0\nb{y="q"} 9\n', job="j")
READINGS = Readings(BEFORE, AFTER)


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ("b > 8", True),
        ("b > 9", False),
        ('b{y="p"} < 1', True),
        ('b{y!="q"} >= 1', False),
        ('b{y=~"p|q",job="j"} == 9', True),
        ('b{y!~"q.*"} != 0', False),
        ("rate(a_total[5m]) > 0.09", True),
        ('rate(a_total{x="2"}[5m]) > 0', False),
        ('rate(a_total{x="3"}[5m]) > 0', False),  # it was not there before
        ("sum(rate(a_total[5m])) > 0.11", False),
        ('sum(rate(a_total{x="1"}[5m])) / sum(rate(a_total[5m])) > 0.99', True),
        ('sum(rate(a_total{x="2"}[5m])) / sum(rate(a_total{x="2"}[5m])) > 0', False),  # nothing by nothing
        ('sum(rate(a_total[5m])) > 0.05 and sum(rate(a_total{x="1"}[5m])) > 0.05', True),
        ('sum(rate(a_total[5m])) > 0.05 and sum(rate(a_total{x="2"}[5m])) > 0.05', False),
        ("sum(rate(nothing[5m])) > 0", False),
        ('up{job="j"} == 0', False),
    ],
)
def test_an_expression_means_what_prometheus_means(expression: str, holds: bool) -> None:
    assert Expression(expression).holds(READINGS) is holds
    if PROMTOOL is not None:
        assert READINGS.promtool_says(expression) is holds


@pytest.mark.parametrize(
    "expression", ["b", "b >", "max(b) > 1", "b > 1 or b < 1", "rate(b) > 1", "b offset 5m > 1", "b > 1 1"]
)
def test_what_it_does_not_know_it_does_not_guess(expression: str) -> None:
    with pytest.raises((ValueError, IndexError)):
        Expression(expression).holds(READINGS)


def test_a_counter_that_began_again_is_no_negative_rate() -> None:
    again = Readings(samples("a_total 100\n"), samples("a_total 3\n"))
    assert Expression("rate(a_total[5m]) > 0.009").holds(again)


def test_a_process_that_does_not_answer_is_down() -> None:
    assert Expression('up{job="j"} == 0').holds(Readings({}, no_answer(job="j", instance="i")))


def test_every_rule_is_written_in_what_the_tests_can_evaluate() -> None:
    for rule in rules().values():
        Expression(rule["expr"]).holds(READINGS)
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]
