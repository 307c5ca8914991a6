"""Who can sign in at the sandbox, and with what."""

import pytest

from deploy.local.suite import Ports
from deploy.sandbox.identity.clients import CLIENTS, find_client, till_secret
from deploy.sandbox.identity.codes import challenge_of
from deploy.sandbox.identity.people import ROLES, STAFF, find_person


@pytest.mark.proves("A5")
def test_there_are_two_people_of_every_role_so_that_one_can_check_the_other() -> None:
    assert {role: sum(person.role == role for person in STAFF.values()) for role in ROLES} == dict.fromkeys(ROLES, 2)
    assert len({person.subject for person in STAFF.values()}) == len(STAFF)


@pytest.mark.parametrize("subject", ["customer-00001", "customer-99999"])
def test_any_numbered_customer_exists(subject: str) -> None:
    person = find_person(subject)
    assert person is not None
    assert person.kind == "customer"
    assert "roles" not in person.claims()


@pytest.mark.parametrize(
    "subject", ["customer-1", "customer-000001", "customer-0000a", "customer-00001\n", "", "agent", "agent-3"]
)
def test_nobody_else_does(subject: str) -> None:
    assert find_person(subject) is None


def test_every_till_is_known_with_a_secret_of_its_own() -> None:
    till = find_client("till:M001:T01")
    assert till is not None
    assert till.claims == {"kind": "merchant", "merchant": "M001", "terminal": "T01"}
    key = bytes(32)
    assert till_secret(key, "till:M001:T01") != till_secret(key, "till:M001:T02")
    assert find_client("till:M001") is None
    assert find_client("till:M001:T01:more") is None


def test_only_the_app_is_public_and_no_program_signs_in_two_kinds_of_people() -> None:
    assert [client.id for client in CLIENTS.values() if client.public] == ["mobile-app"]
    assert {client.id: client.signs_in for client in CLIENTS.values() if client.signs_in} == {
        "mobile-app": "customer",
        "console": "staff",
    }


@pytest.mark.parametrize(
    ("uri", "allowed"),
    [
        ("http://127.0.0.1:1234/callback", True),
        ("http://localhost/callback?x=1", True),
        ("huangou://callback", True),
        ("https://127.0.0.1/callback", False),
        ("http://127.0.0.1.evil.example/", False),
        ("http://user@127.0.0.1/", False),
        ("http://127.0.0.1/#fragment", False),
        ("javascript:alert(1)", False),
        ("", False),
    ],
)
def test_codes_go_to_this_machine_or_to_the_app(uri: str, allowed: bool) -> None:
    assert CLIENTS["mobile-app"].may_return_to(uri) is allowed


def test_the_challenge_is_the_one_of_the_standard() -> None:
    # RFC 7636, appendix B
    assert challenge_of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_no_two_programs_share_a_port() -> None:
    ports = Ports(8100)
    services = ("catalog", "redemption", "fulfillment")
    numbers = [
        ports.identity,
        ports.courier,
        ports.notifications,
        ports.postgres,
        *map(ports.api, services),
        *map(ports.worker, services),
    ]
    assert numbers == [8109, 8107, 8106, 8132, 8101, 8102, 8103, 8111, 8112, 8113]
