"""Idempotency keys through a real application and database: once, the same answer, and nobody else's key."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import psycopg
import pytest
from sqlalchemy.exc import IntegrityError

from shared.idempotency import _digest
from tests.support.mechanisms import Mechanisms
from tests.support.tiny_app import SECRET, OrderBook, client_of, new_app
from tests.support.tokens import Issuer

pytestmark = pytest.mark.anyio
PEARS = {"name": "pears", "quantity": 2}


class Shop:
    """A caller of the order book."""

    def __init__(self, mechanisms: Mechanisms, issuer: Issuer) -> None:
        self.mechanisms, self.issuer = mechanisms, issuer
        self.book = OrderBook(mechanisms.database)
        self.client = client_of(new_app(issuer, [self.book.routes()]))

    async def order(
        self,
        key: str | None = "key-1",
        body: object = PEARS,
        *,
        path: str = "/v1/orders",
        subject: str = "c-1",
        app: str = "mobile-app",
    ) -> httpx.Response:
        token = self.issuer.token("customer", subject, scope="points:read", client_id=app)
        headers = {"Authorization": f"Bearer {token}", **({"Idempotency-Key": key} if key is not None else {})}
        return await self.client.post(path, json=body, headers=headers)

    async def orders(self) -> object:
        return await self.mechanisms.value("SELECT count(*) FROM ledger")


@pytest.fixture
async def shop(mechanisms: Mechanisms, issuer: Issuer) -> AsyncIterator[Shop]:
    made = Shop(mechanisms, issuer)
    yield made
    await made.client.aclose()


def code(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["type"].rpartition("/")[2]


@pytest.mark.proves("G26")
async def test_a_write_without_a_key_is_refused_and_does_nothing(shop: Shop) -> None:
    assert code(await shop.order(key=None)) == (400, "idempotency-key-missing")
    assert await shop.orders() == 0


@pytest.mark.proves("G26")
@pytest.mark.parametrize("key", ["", "   ", '""', "x" * 256, "a\tb", "schlüssel"])
async def test_a_key_that_is_none_is_refused(shop: Shop, key: str) -> None:
    headers = {**shop.issuer.customer(), "Idempotency-Key": key.encode("latin-1")}
    answer = await shop.client.post("/v1/orders", json=PEARS, headers=headers)
    assert code(answer) == (400, "idempotency-key-invalid")
    assert await shop.orders() == 0


@pytest.mark.proves("G26")
async def test_two_keys_in_one_request_are_refused(shop: Shop) -> None:
    headers = [*shop.issuer.customer().items(), ("Idempotency-Key", "a"), ("Idempotency-Key", "a")]
    assert code(await shop.client.post("/v1/orders", json=PEARS, headers=headers)) == (400, "idempotency-key-invalid")


@pytest.mark.proves("G26")
async def test_a_quoted_key_and_the_bare_one_are_the_same(shop: Shop) -> None:
    first = await shop.order('"8e03978e-40d5-43dd-bc93-6894a57f9324"')
    second = await shop.order("8e03978e-40d5-43dd-bc93-6894a57f9324")
    assert (second.content, second.headers["idempotency-replayed"]) == (first.content, "true")
    assert await shop.orders() == 1


@pytest.mark.proves("G26")
async def test_the_longest_key_works(shop: Shop) -> None:
    assert (await shop.order("x" * 255)).status_code == 201


@pytest.mark.proves("G27")
async def test_a_repeat_gets_the_same_status_bytes_and_address_and_has_no_effect(shop: Shop) -> None:
    first = await shop.order()
    assert (first.status_code, first.json()) == (201, {"order": "pears", "number": 1})
    assert "idempotency-replayed" not in first.headers
    for _ in range(3):
        again = await shop.order()
        assert (again.status_code, again.content) == (201, first.content)
        assert again.headers["idempotency-replayed"] == "true"
        assert again.headers["location"] == first.headers["location"] == "/v1/orders/1"
    assert await shop.orders() == 1


@pytest.mark.proves("G27")
async def test_a_refusal_is_repeated_byte_for_byte_even_when_it_would_go_well_now(shop: Shop) -> None:
    first = await shop.order(body={"name": "apples", "quantity": 1})
    assert code(first) == (409, "out-of-apples")
    assert first.json()["left"] == 3
    again = await shop.order(body={"name": "apples", "quantity": 1})
    assert (again.status_code, again.content) == (409, first.content)
    assert again.headers["content-type"] == first.headers["content-type"]
    assert await shop.orders() == 0  # what the refused work had written is undone, the key is kept
    assert await shop.mechanisms.value("SELECT status FROM idempotency_keys") == 409


@pytest.mark.proves("G27")
async def test_an_error_of_ours_is_not_kept_and_the_retry_goes_through(shop: Shop) -> None:
    shop.book.fail = True
    failed = await shop.order()
    assert code(failed) == (500, "internal-error")
    assert SECRET.split()[1] not in failed.text
    assert await shop.mechanisms.value("SELECT count(*) FROM idempotency_keys") == 0
    shop.book.fail = False
    answer = await shop.order()
    assert answer.status_code == 201
    assert "idempotency-replayed" not in answer.headers
    assert await shop.orders() == 1


@pytest.mark.proves("G27")
async def test_a_caller_cut_off_in_the_middle_of_the_work_can_send_again(shop: Shop) -> None:
    shop.book.seconds = 5.0
    cut = asyncio.create_task(shop.order())
    await asyncio.sleep(0.5)
    cut.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cut
    shop.book.seconds = 0.0
    assert (await shop.order()).status_code == 201
    assert await shop.orders() == 1


@pytest.mark.proves("G28")
async def test_the_same_key_with_something_else_is_refused(shop: Shop) -> None:
    await shop.order()
    assert code(await shop.order(body={"name": "pears", "quantity": 3})) == (422, "idempotency-key-reused")
    assert code(await shop.order(path="/v1/orders?fast=1")) == (422, "idempotency-key-reused")
    assert await shop.orders() == 1


@pytest.mark.proves("G28")
async def test_the_same_request_written_differently_is_the_same(shop: Shop) -> None:
    first = await shop.order()
    again = await shop.order(body={"quantity": 2, "name": "pears"})
    assert again.content == first.content
    assert await shop.orders() == 1


@pytest.mark.proves("G28")
async def test_while_the_first_is_at_work_the_second_is_told_to_wait(shop: Shop) -> None:
    shop.book.seconds = 4.0
    first = asyncio.create_task(shop.order())
    await asyncio.sleep(0.3)
    answer = await shop.order()
    assert code(answer) == (409, "idempotency-in-flight")
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["recoverable"] is True
    assert not first.done()  # said after one wait for the lock, not three
    assert (await first).status_code == 201
    assert (await shop.order()).content == (await first).content
    assert await shop.orders() == 1


@pytest.mark.proves("G28")
async def test_a_key_whose_holder_lost_its_connection_is_free_again(shop: Shop) -> None:
    shop.book.seconds = 2.0
    first = asyncio.create_task(shop.order())
    await asyncio.sleep(0.4)
    with psycopg.connect(shop.mechanisms.place.superuser_url, autocommit=True) as conn:
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
            [shop.mechanisms.place.name],
        )
    assert code(await first) == (503, "database-unavailable")
    shop.book.seconds = 0.0
    assert (await shop.order()).status_code == 201
    assert await shop.orders() == 1


@pytest.mark.proves("G29")
@pytest.mark.parametrize("other", [{"subject": "c-2"}, {"app": "web"}, {"path": "/v1/other-orders"}, {"key": "key-2"}])
async def test_the_key_of_another_subject_client_route_or_name_is_another_key(shop: Shop, other: dict[str, str]) -> None:
    mine = await shop.order()
    theirs = await shop.order(**{"body": {"name": "plums", "quantity": 1}, **other})
    assert (theirs.status_code, theirs.json()["order"]) == (201, "plums")
    assert "idempotency-replayed" not in theirs.headers
    assert (await shop.order()).content == mine.content
    assert await shop.orders() == 2


async def test_parts_of_a_scope_cannot_be_shifted_into_each_other() -> None:
    assert _digest("app", "customer-1") != _digest("appcustomer", "-1") != _digest("app", "customer", "-1")


@pytest.mark.proves("G27", "G29")
async def test_fifty_equal_requests_at_once_have_one_effect(shop: Shop) -> None:
    answers = await asyncio.gather(*[shop.order() for _ in range(50)])
    assert {a.status_code for a in answers} <= {201, 409, 503}
    assert {a.content for a in answers if a.status_code == 201} == {(await shop.order()).content}
    assert sum("idempotency-replayed" not in a.headers for a in answers if a.status_code == 201) == 1
    assert await shop.orders() == 1


async def test_the_database_refuses_to_keep_an_error_of_ours(shop: Shop) -> None:
    with pytest.raises(IntegrityError):
        await shop.mechanisms.rows(
            "INSERT INTO idempotency_keys (key, fingerprint, status, body, created_at)"
            " VALUES (decode(repeat('00', 32), 'hex'), decode(repeat('00', 32), 'hex'), 503, '', now()) RETURNING 1"
        )
