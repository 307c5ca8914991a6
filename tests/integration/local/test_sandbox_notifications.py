"""The sandbox's gateway for messages: one message an id, whatever is sent twice, lost or restarted."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.outside import NOTIFICATIONS_KEY, Notifications

pytestmark = pytest.mark.anyio
MESSAGE = {"to": "13800000001", "language": "zh-Hant", "kind": "parcel_dispatched", "text": "您的包裹已寄出。"}


async def put(gateway: Notifications, message_id: str = "m-1", **given: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {NOTIFICATIONS_KEY}"}
    return await gateway.hand.put(f"/v1/messages/{message_id}", json={**MESSAGE, **given}, headers=headers)


async def test_the_same_id_is_the_same_message_also_after_a_restart(tmp_path: Path) -> None:
    gateway = Notifications(tmp_path / "messages.jsonl")
    first, again = await put(gateway), await put(gateway)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    after = Notifications(tmp_path / "messages.jsonl")
    assert (await put(after)).json() == first.json()
    assert [message["text"] for message in await after.see("messages")] == [MESSAGE["text"]]
    assert (await put(after, text="another")).status_code == 422


async def test_messages_are_found_by_their_number_and_an_unusable_number_is_refused() -> None:
    gateway = Notifications()
    await put(gateway)
    await put(gateway, "m-2", to="13800000002")
    assert [message["id"] for message in await gateway.see("messages", to="13800000002")] == ["m-2"]
    refused = await put(gateway, "m-3", to="no number")
    assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (422, "number-unusable")


@pytest.mark.parametrize("mode", ["fail", "lose_answer", "answer_twice", "slow"])
async def test_each_fault_leaves_one_message(mode: str) -> None:
    gateway = Notifications()
    await gateway.fault(mode=mode, times=1, seconds=0.02)
    await put(gateway)
    assert (await put(gateway)).is_success
    assert len(await gateway.see("messages")) == 1


async def test_nobody_is_let_in_without_the_right_key() -> None:
    gateway = Notifications()
    for path, method in (("/v1/messages/m-1", "PUT"), ("/sandbox/messages", "GET"), ("/sandbox/faults", "PUT")):
        answer = await gateway.hand.request(method, path, json=MESSAGE, headers={"Authorization": "Bearer x"})
        assert answer.status_code == 401
    assert await gateway.see("messages") == []
