"""Reads /metrics as Prometheus would, and says which alerts fire."""

from collections.abc import Mapping

from tests.integration.reconciliation.world import World
from tests.support.alerts import PROMTOOL, Readings, Series, no_answer, rules, samples

OF_ONE_WORKER = ("huangou_tasks_parked", "huangou_task_oldest_due_seconds")
"""Gauges that each worker sets for its own kinds of tasks and clears of others."""


class Watch:
    """Two readings of one suite. Its processes share one set of numbers here, so they are read once, as an API's."""

    def __init__(self, world: World) -> None:
        self.world, self.suite = world, world.suite
        self.down: list[str] = []
        self._before: Mapping[Series, float] = {}

    async def begin(self) -> None:
        """The first reading."""
        self._before = await self._read()

    async def firing(self) -> set[str]:
        """Which alerts fire after the second reading, and so says promtool where it is installed."""
        readings = Readings(self._before, await self._read())
        fired = readings.firing()
        if PROMTOOL is not None:
            assert {name for name, rule in rules().items() if readings.promtool_says(rule["expr"])} == fired
        return fired

    async def _read(self) -> dict[Series, float]:
        found: dict[Series, float] = {}
        for part, worker in (("redemption", self.suite.worker), ("fulfillment", self.suite.fulfillment_worker)):
            await worker.measure()
            told = samples(await self._text(), job="huangou-worker", part=part)
            found |= {series: value for series, value in told.items() if series[0] in OF_ONE_WORKER}
        told = samples(await self._text(), job="huangou-api", instance="127.0.0.1:8102")
        found |= {series: value for series, value in told.items() if series[0] not in OF_ONE_WORKER}
        for job in ("huangou-api", "huangou-worker"):
            target = {"job": job, "instance": "127.0.0.1:8111"}
            found |= no_answer(**target) if job in self.down else {("up", frozenset(target.items())): 1.0}
        return found

    async def _text(self) -> str:
        return (await self.suite.client.get("/metrics")).text
