"""Evaluates the expressions of the alerts over two readings of /metrics, so that a test can see the very rule fire.

It knows what the rules keep to and nothing more: selectors with matchers, `rate(…[5m])`, `sum(…)`, one ratio, a comparison with
a number, `and`. As in Prometheus, a series that was not there in the first reading has no rate. `make alerts`
asks promtool the same, so that this and Prometheus cannot mean different things.
"""

import json
import math
import operator
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

RULES = Path(__file__).parents[2] / "deploy" / "observability" / "alerts.yml"
WINDOW_SECONDS = 300
PROMTOOL = shutil.which("promtool") if os.environ.get("HUANGOU_TEST_PROMTOOL") == "1" else None
TOKEN = re.compile(r'\s*(?:(\d+(?:\.\d+)?)|("[^"]*")|([A-Za-z_:][A-Za-z0-9_:]*)|(\[5m\]|=~|!~|==|!=|>=|<=|[=<>{}(),/]))')
COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip

Labels = frozenset[tuple[str, str]]
Vector = dict[Labels, float]
Series = tuple[str, Labels]


def rules() -> dict[str, dict[str, Any]]:
    """The alerts by name."""
    return {rule["alert"]: rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]}


def samples(exposition: str, **target: str) -> dict[Series, float]:
    """What a reading of /metrics says; `target` are the labels that Prometheus adds, such as `job`."""
    return {
        (sample.name, frozenset((sample.labels | target).items())): sample.value
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
    } | {("up", frozenset(target.items())): 1.0}


def no_answer(**target: str) -> dict[Series, float]:
    """What Prometheus knows of a process that does not answer."""
    return {("up", frozenset(target.items())): 0.0}


@dataclass(frozen=True)
class Readings:
    """Two readings of the same processes, five minutes apart."""

    before: Mapping[Series, float]
    after: Mapping[Series, float]

    def firing(self) -> set[str]:
        """The alerts that would fire, were things to stay so."""
        return {name for name, rule in rules().items() if Expression(rule["expr"]).holds(self)}

    def promtool_says(self, expression: str) -> bool:
        """Whether anything is left of an expression, by Prometheus's own tool."""
        names = set(re.findall(r"[A-Za-z_:][A-Za-z0-9_:]*", expression))
        asked = {"expr": f"count({expression}) > bool 0", "eval_time": "5m", "exp_samples": [{"labels": "{}", "value": 1}]}
        series = [{"series": _written(one), "values": self._values(one)} for one in self._known if one[0] in names]
        test = {"interval": "1m", "input_series": series, "promql_expr_test": [asked]}
        done = subprocess.run(
            [str(PROMTOOL), "test", "rules", "/dev/stdin"],
            input=json.dumps({"evaluation_interval": "1m", "tests": [test]}),
            text=True,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0 or "got: nil" in done.stdout + done.stderr, done
        return done.returncode == 0

    @cached_property
    def _known(self) -> list[Series]:
        return sorted(self.before.keys() | self.after.keys(), key=str)

    def _values(self, one: Series) -> str:
        """Twice as it was and four times as it is, a minute each: where a window begins is not the same in every Prometheus."""
        before, after = (repr(values[one]) if one in values else "_" for values in (self.before, self.after))
        return " ".join([before] * 2 + [after] * 4)


def _written(one: Series) -> str:
    return one[0] + "{" + ",".join(f"{name}={json.dumps(value)}" for name, value in sorted(one[1])) + "}"


class Expression:
    """One rule's expression. Raises ValueError for anything that it does not know."""

    def __init__(self, text: str) -> None:
        self._tokens = self._read(text)
        self._at = 0

    def holds(self, readings: Readings) -> bool:
        """Whether anything is left of it, which is when an alert fires."""
        self._at = 0
        found = self._comparison(readings)
        while self._take("and"):
            other = self._comparison(readings)
            found = {labels: value for labels, value in found.items() if labels in other}
        if self._at != len(self._tokens):
            raise ValueError(f"not understood: {self._tokens[self._at :]}")
        return bool(found)

    @staticmethod
    def _read(text: str) -> list[str]:
        tokens, at, text = [], 0, text.strip()
        while at < len(text):
            found = TOKEN.match(text, at)
            if found is None:
                raise ValueError(f"not understood: {text[at:]}")
            tokens.append(found[0].strip())
            at = found.end()
        return tokens

    def _take(self, *wanted: str) -> str | None:
        if self._at < len(self._tokens) and self._tokens[self._at] in wanted:
            self._at += 1
            return self._tokens[self._at - 1]
        return None

    def _need(self, *wanted: str) -> str:
        found = self._take(*wanted)
        if found is None:
            raise ValueError(f"expected {wanted} at {self._tokens[self._at :]}")
        return found

    def _next(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1]

    def _comparison(self, readings: Readings) -> Vector:
        left = self._vector(readings)
        if self._take("/"):
            right = self._vector(readings)
            left = {labels: _ratio(value, right[labels]) for labels, value in left.items() if labels in right}
        compare, bound = COMPARE[self._need(*COMPARE)], float(self._next())
        return {labels: value for labels, value in left.items() if compare(value, bound)}

    def _vector(self, readings: Readings) -> Vector:
        if not self._take("sum"):
            return self._rate(readings)
        self._need("(")
        inner = self._rate(readings)
        self._need(")")
        return {frozenset(): math.fsum(inner.values())} if inner else {}

    def _rate(self, readings: Readings) -> Vector:
        if not self._take("rate"):
            return self._select(readings.after, *self._selector())
        self._need("(")
        selector = self._selector()
        self._need("[5m]")
        self._need(")")
        before, after = self._select(readings.before, *selector), self._select(readings.after, *selector)
        # a counter that is lower than before has begun again: its process was started anew
        return {
            labels: (value - (before[labels] if value >= before[labels] else 0.0)) / WINDOW_SECONDS
            for labels, value in after.items()
            if labels in before
        }

    def _selector(self) -> tuple[str, list[tuple[str, str, str]]]:
        name, matchers = self._next(), []
        if self._take("{"):
            while not self._take("}"):
                label, how, value = self._next(), self._need("=", "!=", "=~", "!~"), self._next()
                matchers.append((label, how, value.strip('"')))
                self._take(",")
        return name, matchers

    @staticmethod
    def _select(values: Mapping[Series, float], name: str, matchers: list[tuple[str, str, str]]) -> Vector:
        def fits(labels: Labels) -> bool:
            given = dict(labels)
            for label, how, wanted in matchers:
                value = given.get(label, "")
                same = re.fullmatch(wanted, value) is not None if "~" in how else value == wanted
                if same is how.startswith("!"):
                    return False
            return True

        return {labels: value for (known, labels), value in values.items() if known == name and fits(labels)}


def _ratio(a: float, b: float) -> float:
    return a / b if b else math.nan if a == 0 else math.inf
