"""Problem details (RFC 9457): every error that a caller can meet, with a sentence in the caller's language.

Domain errors know nothing of HTTP. One table a service maps them to problem types; the ones that any service can answer
stand here. `type` is a stable address below `/problems/`, the catalogue of them is generated into the docs.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

from shared.database import DatabaseUnavailable, Overloaded
from shared.errors import DomainError, FieldError
from shared.four_eyes import ApprovalPending, ApprovalStale, NothingToApprove, SelfApprovalForbidden
from shared.languages import BCP47, Language, Text
from shared.sets import as_json
from shared.tasks.errors import TaskNotParked, TaskSuperseded

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "https://huangou.example/problems/"


@dataclass(frozen=True)
class ProblemType:
    """One kind of problem. `sentences` may name facts of the error in braces; `recoverable` says that trying again can help."""

    code: str
    status: int
    sentences: Text
    recoverable: bool = False
    retry_after_seconds: int | None = None
    shows: tuple[str, ...] = ()
    """Facts of the error that are part of the answer."""


def problem(  # noqa: PLR0913 - one line a problem reads better than a builder
    code: str,
    status: int,
    zh_hans: str,
    zh_hant: str,
    en: str,
    *,
    recoverable: bool = False,
    retry_after_seconds: int | None = None,
    shows: tuple[str, ...] = (),
) -> ProblemType:
    """A problem type on one line of a table."""
    sentences: dict[Language, str] = {"zh_hans": zh_hans, "zh_hant": zh_hant, "en": en}
    return ProblemType(code, status, sentences, recoverable, retry_after_seconds, shows)


class NotFound(DomainError):
    """There is no such thing, or it is not yours."""


class InvalidInput(DomainError):
    """What was sent is not valid; the fields say what is wrong."""


class InvalidToken(DomainError):
    """The access token is missing, expired or not ours."""


class InsufficientScope(DomainError):
    """The token does not allow this."""


class IdempotencyKeyMissing(DomainError):
    """The Idempotency-Key header is missing."""


class IdempotencyKeyInvalid(DomainError):
    """The Idempotency-Key header must be 1 to 255 printable characters, once."""


class IdempotencyKeyReused(DomainError):
    """The Idempotency-Key was used before with another request."""


class IdempotencyInFlight(DomainError):
    """The first request with this Idempotency-Key is still being carried out."""


class NeighbourUnavailable(DomainError):
    """Another part of the system does not answer; the same request may be sent again."""


class UnsupportedMediaType(DomainError):
    """The body is not of a type that this address takes."""


VALIDATION = problem(
    "validation-error", 422, "提交的内容有误，请检查标出的字段。", "提交的內容有誤，請檢查標出的欄位。",
    "What was sent is not valid; the errors name the fields.",
)  # fmt: skip
MALFORMED = problem(
    "malformed-request", 400, "请求内容无法读取。", "請求內容無法讀取。", "The request could not be read."
)  # fmt: skip
NOT_FOUND = problem(
    "not-found",
    404,
    "找不到该内容。",
    "找不到該內容。",
    "There is no such thing, or it is not yours.",
)
METHOD_NOT_ALLOWED = problem(
    "method-not-allowed",
    405,
    "此地址不支持该操作。",
    "此地址不支援該操作。",
    "This address does not take that method.",
)
TOO_LARGE = problem(
    "body-too-large",
    413,
    "提交的内容过大。",
    "提交的內容過大。",
    "The body is larger than allowed here.",
)
MEDIA = problem(
    "unsupported-media-type",
    415,
    "不支持该内容类型。",
    "不支援該內容類型。",
    "This address does not take that content type.",
)
INTERNAL = problem(
    "internal-error", 500, "系统出错，请稍后再试；未完成的请求可用同一编号重试。",
    "系統出錯，請稍後再試；未完成的請求可用同一編號重試。", "Something went wrong here; the same request may be sent again.",
    recoverable=True,
)  # fmt: skip

COMMON: dict[type[DomainError], ProblemType] = {
    InvalidInput: VALIDATION,
    NotFound: NOT_FOUND,
    UnsupportedMediaType: MEDIA,
    InvalidToken: problem(
        "invalid-token", 401, "登录已失效，请重新登录。", "登入已失效，請重新登入。", "The access token is missing, expired or not ours."
    ),
    InsufficientScope: problem(
        "insufficient-scope", 403, "您没有执行此操作的权限。", "您沒有執行此操作的權限。", "The token does not allow this."
    ),
    IdempotencyKeyMissing: problem(
        "idempotency-key-missing", 400, "缺少 Idempotency-Key 请求头。", "缺少 Idempotency-Key 請求標頭。",
        "The Idempotency-Key header is missing.",
    ),
    IdempotencyKeyInvalid: problem(
        "idempotency-key-invalid", 400, "Idempotency-Key 请求头须为 1 至 255 个可见字符，且只出现一次。",
        "Idempotency-Key 請求標頭須為 1 至 255 個可見字元，且只出現一次。",
        "The Idempotency-Key header must be 1 to 255 printable characters, once.",
    ),
    IdempotencyKeyReused: problem(
        "idempotency-key-reused", 422, "该 Idempotency-Key 已用于另一请求。", "該 Idempotency-Key 已用於另一請求。",
        "The Idempotency-Key was used before with another request.",
    ),
    IdempotencyInFlight: problem(
        "idempotency-in-flight", 409, "同一请求正在处理，请稍候。", "同一請求正在處理，請稍候。",
        "The first request with this Idempotency-Key is still being carried out.", recoverable=True, retry_after_seconds=1,
    ),
    NeighbourUnavailable: problem(
        "dependency-unavailable", 503, "系统繁忙，请稍后用同一请求重试。", "系統繁忙，請稍後用同一請求重試。",
        "Another part of the system does not answer; the same request may be sent again.", recoverable=True, retry_after_seconds=5,
    ),
    Overloaded: problem(
        "overloaded", 503, "当前请求过多，请稍后再试。", "目前請求過多，請稍後再試。",
        "Too many requests are waiting; try again in a moment.", recoverable=True, retry_after_seconds=1,
    ),
    DatabaseUnavailable: problem(
        "database-unavailable", 503, "系统暂时不可用，请稍后再试。", "系統暫時不可用，請稍後再試。",
        "The system is not available for a moment; try again soon.", recoverable=True, retry_after_seconds=2,
    ),
    ApprovalPending: problem(
        "approval-pending", 409, "已有人提出申请，须先由第二人审批。", "已有人提出申請，須先由第二人審批。",
        "Somebody asked for this already; a second person has to decide first.", shows=("expires_at",),
    ),
    SelfApprovalForbidden: problem(
        "self-approval-forbidden", 403, "申请人不能审批自己的申请。", "申請人不能審批自己的申請。",
        "Who asked for something cannot be the one who agrees to it.",
    ),
    ApprovalStale: problem(
        "approval-stale", 409, "申请后内容已变更或已过二十四小时，请重新申请。", "申請後內容已變更或已過二十四小時，請重新申請。",
        "What was asked for changed since, or a day went by; ask anew.",
    ),
    NothingToApprove: problem(
        "nothing-to-approve", 409, "没有待审批的申请。", "沒有待審批的申請。", "Nobody asked for this, so there is nothing to agree to.",
    ),
    TaskNotParked: problem(
        "task-not-parked", 409, "该任务未被搁置，无须重新执行。", "該任務未被擱置，無須重新執行。",
        "The task is not parked, so there is nothing to start again.", shows=("state",),
    ),
    TaskSuperseded: problem(
        "task-superseded", 409, "同一事项已有较新的任务。", "同一事項已有較新的任務。",
        "A later task for the same thing is waiting or running already.",
    ),
}  # fmt: skip

FIELD_SENTENCES: dict[str, Text] = {
    "missing": {"zh_hans": "必填。", "zh_hant": "必填。", "en": "This is required."},
    "unknown": {
        "zh_hans": "不认识的字段。",
        "zh_hant": "不認識的欄位。",
        "en": "This field is not known here.",
    },
    "duplicate": {
        "zh_hans": "同一字段出现多次。",
        "zh_hant": "同一欄位出現多次。",
        "en": "This field appears more than once.",
    },
    "too-small": {
        "zh_hans": "数值过小或内容过短。",
        "zh_hant": "數值過小或內容過短。",
        "en": "This is too small or too short.",
    },
    "too-large": {
        "zh_hans": "数值过大或内容过长。",
        "zh_hant": "數值過大或內容過長。",
        "en": "This is too large or too long.",
    },
    "wrong-type": {
        "zh_hans": "类型不正确。",
        "zh_hant": "類型不正確。",
        "en": "This is of the wrong type.",
    },
    "not-allowed": {
        "zh_hans": "不允许的取值。",
        "zh_hant": "不允許的取值。",
        "en": "This value is not allowed.",
    },
    "not-json": {
        "zh_hans": "不是有效的 JSON。",
        "zh_hant": "不是有效的 JSON。",
        "en": "This is not valid JSON.",
    },
}


@dataclass(frozen=True)
class Catalogue:
    """The problem types of one service: the common ones and its own."""

    own: Mapping[type[DomainError], ProblemType]
    field_sentences: Mapping[str, Text] = field(default_factory=dict)

    def type_of(self, error: DomainError) -> ProblemType | None:
        """The problem type of an error: that of its class or of the nearest ancestor in the table."""
        for kind in type(error).__mro__:
            found = self.own.get(kind) or COMMON.get(kind)
            if found is not None:
                return found
        return None

    def sentence_of(self, wrong: FieldError, language: Language) -> str:
        """What is wrong with one field, in words."""
        text = self.field_sentences.get(wrong.code) or FIELD_SENTENCES.get(wrong.code) or FIELD_SENTENCES["not-allowed"]
        return text[language].format_map(_Facts(wrong.facts or {}))

    def all_types(self) -> list[ProblemType]:
        """Every type, for the published catalogue."""
        general = [
            VALIDATION,
            MALFORMED,
            NOT_FOUND,
            METHOD_NOT_ALLOWED,
            TOO_LARGE,
            MEDIA,
            INTERNAL,
        ]
        return sorted(
            {p.code: p for p in [*general, *COMMON.values(), *self.own.values()]}.values(),
            key=lambda p: p.code,
        )


class _Facts(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return ""


def body_of(
    kind: ProblemType,
    language: Language,
    *,
    instance: str,
    trace_id: str,
    facts: Mapping[str, Any] | None = None,
    errors: Iterable[Mapping[str, Any]] = (),
) -> bytes:
    """The JSON of a problem."""
    sentence = kind.sentences[language].format_map(_Facts(facts or {}))
    members: dict[str, Any] = {
        "type": TYPE_PREFIX + kind.code,
        "title": kind.sentences["en"].format_map(_Facts(facts or {})),
        "status": kind.status,
        "detail": sentence,
        "instance": instance,
        "trace_id": trace_id,
        "recoverable": kind.recoverable,
    }
    listed = list(errors)
    if listed:
        members["errors"] = listed
    members.update({name: facts[name] for name in kind.shows if facts and name in facts})
    return as_json(members).encode()


def response_of(
    kind: ProblemType,
    body: bytes,
    language: Language,
    *,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer that carries a problem."""
    all_headers = {
        "Content-Language": BCP47[language],
        "Cache-Control": "no-store",
        **(headers or {}),
    }
    if kind.code.startswith("idempotency-key-"):
        all_headers["Link"] = f'<{TYPE_PREFIX}{kind.code}>; rel="describedby"'  # draft-ietf-httpapi-idempotency-key-header
    if kind.retry_after_seconds is not None:
        all_headers.setdefault("Retry-After", str(kind.retry_after_seconds))
    if kind.status == 401:
        all_headers.setdefault("WWW-Authenticate", 'Bearer error="invalid_token"')
    return Response(body, status_code=kind.status, media_type=MEDIA_TYPE, headers=all_headers)
