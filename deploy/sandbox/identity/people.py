"""The sample people: staff of every role, two of each so that one can check the other, and any numbered customer."""

import re
from dataclasses import dataclass
from typing import Any, Literal

ROLES = ("agent", "reviewer", "supervisor", "branch", "campaign_manager", "auditor", "administrator")
TITLES = {
    "agent": "Agent 座席",
    "reviewer": "Reviewer 审核员",
    "supervisor": "Supervisor 主管",
    "branch": "Branch staff 网点员工",
    "campaign_manager": "Campaign manager 活动经理",
    "auditor": "Auditor 审计员",
    "administrator": "Administrator 管理员",
}
SAMPLE_BRANCH = "B001"
CUSTOMER = re.compile(r"customer-\d{5}")


@dataclass(frozen=True)
class Person:
    """Somebody who can sign in here."""

    subject: str
    kind: Literal["customer", "staff"]
    name: str
    role: str | None = None
    branch: str | None = None

    def claims(self) -> dict[str, Any]:
        """What a token says about this person beside the subject; `person` stays when a login name changes."""
        if self.kind == "customer":
            return {"kind": "customer", "name": self.name}
        found = {"kind": "staff", "name": self.name, "roles": [self.role], "person": self.subject}
        return found | ({"branch": self.branch} if self.branch else {})


STAFF = {
    person.subject: person
    for role in ROLES
    for number in (1, 2)
    for person in [
        Person(
            subject=f"{role.replace('_', '-')}-{number}",
            kind="staff",
            name=f"{TITLES[role]} {number}",
            role=role,
            branch=SAMPLE_BRANCH if role == "branch" else None,
        )
    ]
}
SAMPLE_CUSTOMERS = tuple(f"customer-{number:05d}" for number in range(1, 6))


def find_person(subject: str) -> Person | None:
    """The person with this subject, such as `agent-1` or `customer-00001`; None for anybody else."""
    if CUSTOMER.fullmatch(subject):
        return Person(subject=subject, kind="customer", name=f"Customer 客户 {subject[-5:]}")
    return STAFF.get(subject)
