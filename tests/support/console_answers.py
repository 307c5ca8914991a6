"""Made-up services behind the console: what each of them answers, in the shape that its OpenAPI document gives."""

from typing import Any

import httpx

CUSTOMER = "01890000-0000-7000-8000-000000000001"
GOODS, DONE = "01890000-0000-7000-8000-0000000000a1", "01890000-0000-7000-8000-0000000000a2"
PARCEL, READY = "01890000-0000-7000-8000-0000000c0a01", "01890000-0000-7000-8000-0000000c0a02"
TASK = "01890000-0000-7000-8000-0000000000f1"
NAMES = {"zh_hans": "保温杯", "zh_hant": "保溫杯", "en": "Vacuum flask"}
CAFE = {"zh_hans": "咖啡券", "zh_hant": "咖啡券", "en": "Coffee voucher"}
BRANCH = {
    "code": "B001", "phone": "021-5550-0001",
    "names": {"zh_hans": "人民路支行", "zh_hant": "人民路分行", "en": "People's Road branch"},
    "addresses": {"zh_hans": "人民路1号", "zh_hant": "人民路1號", "en": "1 People's Road"},
    "hours": {"zh_hans": "9:00至17:00", "zh_hant": "9:00至17:00", "en": "9:00 to 17:00"},
}  # fmt: skip
COLLECTED = {"zh_hans": "快递已揽收。", "zh_hant": "快遞已攬收。", "en": "The courier has it."}


def three(zh_hans: str, zh_hant: str, en: str) -> dict[str, str]:
    return {"zh_hans": zh_hans, "zh_hant": zh_hant, "en": en}


AT = "2026-11-20T02:30:00+00:00"


def line(number: int, code: str, name: str, quantity: int, points: int) -> dict[str, Any]:
    return {
        "number": number, "offer_id": TASK, "offer_version": 1, "reward": {"code": code, "name": name}, "quantity": quantity,
        "unit_points": points // quantity, "points": points,
    }  # fmt: skip


FLASKS, COFFEE = line(1, "FLASK", NAMES["en"], 2, 4200), line(2, "CAFE", CAFE["en"], 1, 900)


def redemption(one_id: str, state: str, words: str, *lines: dict[str, Any], cancellable: bool = False) -> dict[str, Any]:
    return {
        "id": one_id, "customer_id": CUSTOMER, "mode": "points", "state": state, "state_words": words,
        "campaign": "AUTUMN-2026",
        "price_points": sum(each["points"] for each in lines), "lines": list(lines), "cancellable": cancellable,
        "accepted_at": AT, "changed_at": AT,
    }  # fmt: skip


def part(way: str, state: str, *lines: int) -> dict[str, Any]:
    return {"way": way, "state": state, "lines": list(lines), "carrier": None, "tracking_number": None, "ready_until": None}


class Answers:
    """What the made-up services answer; tests change it. A test holds it to the services' OpenAPI documents."""

    def __init__(self) -> None:
        self.by_path: dict[tuple[str, str, str], Any] = {}
        self.redemptions = [
            redemption(GOODS, "delivering", "On its way", FLASKS, cancellable=True),
            redemption(DONE, "fulfilled", "Handed out", COFFEE),
        ]
        base = f"/v1/customers/{CUSTOMER}"
        self._customer(base)
        self._redemptions(base)
        self._parcels(base)
        self._wallet(base)
        self._desks()

    def _customer(self, base: str) -> None:
        person = {
            "customer_id": CUSTOMER, "customer_number": "C000001", "tier": "gold", "language": "zh_hans", "name": "王**",
            "phone": "+86 138****0001",
        }  # fmt: skip
        self.set("redemption", "POST", "/v1/customers/search", {"items": [person], "more": False})
        self.set("redemption", "GET", base, person)
        self.set("redemption", "POST", f"{base}/unmasking", {
            "customer_id": CUSTOMER, "customer_number": "C000001", "name": "王样例", "phone": "+8613800000001",
            "shown_until": AT,
        })  # fmt: skip
        self.set("redemption", "GET", f"{base}/points", {
            "customer_id": CUSTOMER, "state": "active", "state_until": None, "balance": 18400, "held": 1200, "available": 17200,
            "expiring_soon": [{"expires_on": "2026-12-31", "points": 2600}],
        })  # fmt: skip
        self.set("redemption", "GET", f"{base}/points/lots", {"items": [
            {"expires_on": "2026-12-31", "points": 2600, "held": 1200}, {"expires_on": "2027-06-30", "points": 6800, "held": 0},
            {"expires_on": "2028-12-31", "points": 9000, "held": 0},
        ]})  # fmt: skip

    def _redemptions(self, base: str) -> None:
        timeline = [
            {"at": AT, "kind": "accepted", "actor": "customer", "words": "Received; 4200 points were set aside."},
            {"at": AT, "kind": "confirmed", "actor": "system", "words": "The redemption is confirmed; 4200 points were spent."},
        ]
        whole = {**self.redemptions[0], "timeline": timeline, "delivery": None, "returns": []}
        self.set("redemption", "GET", f"{base}/redemptions", {"items": self.redemptions, "next": None})
        self.set("redemption", "GET", f"/v1/redemptions/{GOODS}", whole)
        self.set("redemption", "POST", f"/v1/redemptions/{GOODS}/cancellation", {**whole, "state": "cancelled"})
        self.set("redemption", "GET", "/internal/v1/breaks", {"items": [{
            "id": TASK, "service": "redemption", "kind": "balance-differs", "subject": "account:7",
            "detail": "posted 5, lots 4",
            "owner": "ledger", "first_seen_at": AT, "last_seen_at": AT, "ended_at": None, "age_seconds": 97_200,
        }], "next": None, "last_good_run_at": AT})  # fmt: skip

    def _parcels(self, base: str) -> None:
        made = three("正在备货。", "正在備貨。", "It is being made ready.")
        events = [
            {"at": AT, "kind": "preparing", "place": None, "words": made},
            {"at": "2026-11-21T01:10:00+00:00", "kind": "picked_up", "place": "Hangzhou", "words": COLLECTED},
        ]
        parcel = {
            "id": PARCEL, "fulfillment_id": GOODS, "way": "courier", "state": "dispatched",
            "state_words": three("已寄出", "已寄出", "On its way"), "state_at": AT, "accepted_at": AT,
            "contents": [{"line": 1, "quantity": 2, "reward": {"code": "FLASK", "names": NAMES}}],
            "recipient": {"name": "王**", "district": "West Lake"}, "carrier": "sandbox-express",
            "tracking_number": "SE1234567890", "branch": None, "expected_on": None, "ready_until": None, "events": events,
        }  # fmt: skip
        ready = {
            **parcel, "id": READY, "way": "pickup", "state": "ready", "carrier": None, "tracking_number": None,
            "branch": BRANCH,
            "ready_until": "2026-12-06", "state_words": three("可领取", "可領取", "Ready"),
        }  # fmt: skip
        self.set("fulfillment", "GET", f"{base}/parcels", {"items": [parcel, ready], "next": None})
        for state in ("in_transfer", "ready", "collected"):
            shown = {"items": [{**ready, "state": state}], "next": None}
            self.set("fulfillment", "GET", f"/v1/branches/B001/pickups?{state}", shown)
        self.set("fulfillment", "PUT", f"/v1/parcels/{READY}/arrival", ready)
        self.set("fulfillment", "PUT", f"/v1/parcels/{READY}/handover", {**ready, "state": "collected"})
        self.set("fulfillment", "PUT", f"/v1/parcels/{READY}/loss", {**ready, "state": "lost"})

    def _wallet(self, base: str) -> None:
        self.set("fulfillment", "GET", f"{base}/vouchers", {"items": [{
            "id": TASK, "fulfillment_id": DONE, "line": 1, "unit": 1, "state": "issued",
            "state_words": three("可使用", "可使用", "Can be used"), "reward": {"code": "CAFE", "names": CAFE},
            "face_value": {"amount_minor": 3000, "currency": "CNY"}, "terms": CAFE, "merchants": [], "issued_at": AT,
            "expires_at": "2026-12-31T16:00:00+00:00", "used_at": None,
        }], "next": None})  # fmt: skip
        self.set("fulfillment", "GET", f"{base}/notices", {"items": [{
            "id": TASK, "parcel_id": PARCEL, "kind": "parcel_dispatched", "state": "sent", "language": "zh_hans", "attempts": 1,
            "failure": None, "requested_at": AT, "changed_at": AT,
            "text": three("您的包裹已寄出。", "您的包裹已寄出。", "Your parcel was sent."),
        }], "next": None})  # fmt: skip

    def _desks(self) -> None:
        parked = {
            "id": TASK, "kind": "notify", "ref": PARCEL, "failures": 7, "last_error": "the gateway answered 503",
            "parked_at": AT, "redrive": None,
        }  # fmt: skip
        redrive = {
            "id": READY, "task_id": TASK, "state": "pending", "reason": "mended", "asked_by": "supervisor-1", "asked_at": AT,
            "expires_at": AT, "decided_by": None, "decided_at": None,
        }  # fmt: skip
        for service in ("catalog", "redemption", "fulfillment"):
            waiting = [parked] if service == "fulfillment" else []
            self.set(service, "GET", "/internal/v1/tasks", {"counts": [], "parked": waiting})
            self.set(service, "POST", f"/internal/v1/tasks/{TASK}/redrive", redrive, 201)
            approved = {**redrive, "state": "approved", "decided_by": "supervisor-2", "decided_at": AT}
            self.set(service, "POST", f"/internal/v1/tasks/{TASK}/redrive/approval", approved)

    def set(self, service: str, method: str, path: str, body: Any, status: int = 200, **headers: str) -> None:
        """From now on this is answered there."""
        self.by_path[service, method, path] = (status, body, headers)

    def refuse(self, service: str, method: str, path: str, status: int, code: str, detail: str = "", **headers: str) -> None:
        """From now on that is refused there."""
        problem = {"type": f"https://huangou.example/problems/{code}", "status": status, "detail": detail}
        self.set(service, method, path, problem, status, **headers)

    def to(self, service: str, request: httpx.Request) -> httpx.Response:
        """The answer to a request."""
        path = request.url.path + (f"?{request.url.params['state']}" if "state" in request.url.params else "")
        status, body, headers = self.by_path.get(
            (service, request.method, path), (404, {"type": "x/not-found", "detail": ""}, {})
        )
        return httpx.Response(status, json=body, headers=headers, request=request)
