"""Who is calling, and what each route lets them do."""

from shared.identity.policy import (
    Grant,
    Policy,
    SignedPolicy,
    allow,
    allow_anyone,
    allow_signed,
    api_routes,
    customers,
    merchants,
    policy_of,
    refuse_routes_without_policy,
    services,
    staff,
)
from shared.identity.principal import Kind, Principal
from shared.identity.tokens import KeySource, TokenVerifier

__all__ = [
    "Grant",
    "KeySource",
    "Kind",
    "Policy",
    "Principal",
    "SignedPolicy",
    "TokenVerifier",
    "allow",
    "allow_anyone",
    "allow_signed",
    "api_routes",
    "customers",
    "merchants",
    "policy_of",
    "refuse_routes_without_policy",
    "services",
    "staff",
]
