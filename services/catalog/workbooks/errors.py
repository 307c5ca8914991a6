"""What can be wrong with a workbook: each error names sheet, row and column and says the fact in three languages."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.errors import DomainError, FieldError
from shared.languages import Text

ERRORS_MAX = 2_000
"""More than this many are counted, not listed."""


@dataclass(frozen=True)
class WorkbookError:
    """One error. `row` counts as the spreadsheet does, from 1; the names of the columns stand in row 1."""

    code: str
    sheet: str | None = None
    row: int | None = None
    column: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def as_field(self) -> FieldError:
        """The error as every answer lists its errors; the place is written as spreadsheets do: `offers!price_points:4`."""
        place = f"{self.sheet or ''}!{self.column or ''}:{self.row or ''}"
        return FieldError(place, self.code, {**self.facts, "sheet": self.sheet, "row": self.row, "column": self.column})


class WorkbookRefused(DomainError):
    """The workbook has errors; nothing of it was loaded."""

    def __init__(self, errors: Iterable[WorkbookError]) -> None:
        """Keep all errors, in the order of sheets, rows and columns."""
        self.errors = tuple(errors)
        super().__init__(*(error.as_field() for error in self.errors), count=len(self.errors))


def _three(zh_hans: str, zh_hant: str, en: str) -> Text:
    return {"zh_hans": zh_hans, "zh_hant": zh_hant, "en": en}


DETAILS: Mapping[str, Text] = {
    "not-a-workbook": _three(
        "这不是可以读取的 xlsx 工作簿。",
        "這不是可以讀取的 xlsx 工作簿。",
        "This is not an xlsx workbook that can be read.",
    ),
    "workbook-too-large": _three(
        "工作簿展开后超过 {limit} 字节或部件过多。",
        "工作簿展開後超過 {limit} 位元組或部件過多。",
        "The workbook unpacks to more than {limit} bytes or has too many parts.",
    ),
    "workbook-unsafe": _three(
        "工作簿含有不接受的内容：{part}。",
        "工作簿含有不接受的內容：{part}。",
        "The workbook holds something that is not accepted: {part}.",
    ),
    "too-many-errors": _three(
        "错误太多，另有 {count} 处未列出。",
        "錯誤太多，另有 {count} 處未列出。",
        "Too many errors; {count} more are not listed.",
    ),
    "sheet-unknown": _three(
        "没有名为“{name}”的工作表；可用的有：{known}。",
        "沒有名為「{name}」的工作表；可用的有：{known}。",
        "There is no sheet called “{name}”; known are: {known}.",
    ),
    "sheet-missing": _three("缺少这张工作表。", "缺少這張工作表。", "This sheet is missing."),
    "sheet-empty": _three(
        "至少要有 {least} 行内容。", "至少要有 {least} 列內容。", "At least {least} row of content is needed."
    ),
    "too-many-rows": _three(
        "内容不得超过 {most} 行。", "內容不得超過 {most} 列。", "No more than {most} rows of content are allowed."
    ),
    "too-many-columns": _three("不得超过 {most} 栏。", "不得超過 {most} 欄。", "No more than {most} columns are allowed."),
    "column-unknown": _three("没有名为“{name}”的栏。", "沒有名為「{name}」的欄。", "There is no column called “{name}”."),
    "column-missing": _three("缺少这一栏。", "缺少這一欄。", "This column is missing."),
    "column-twice": _three("这一栏出现了两次。", "這一欄出現了兩次。", "This column stands here twice."),
    "column-unnamed": _three("这一栏没有名称。", "這一欄沒有名稱。", "This column has content but no name."),
    "formula": _three("不接受公式，请粘贴为数值。", "不接受公式，請貼上為值。", "Formulas are not accepted; paste the value."),
    "cell-error": _three("单元格是错误值 {value}。", "儲存格是錯誤值 {value}。", "The cell holds the error value {value}."),
    "required": _three("必须填写。", "必須填寫。", "This must be filled in."),
    "not-text": _three(
        "必须是文本，请将单元格格式设为文本。",
        "必須是文字，請將儲存格格式設為文字。",
        "This must be text; format the cell as text.",
    ),
    "not-whole": _three("必须是整数。", "必須是整數。", "This must be a whole number."),
    "not-a-day": _three(
        "必须是日期单元格，不带时间。",
        "必須是日期儲存格，不帶時間。",
        "This must be a date cell without a time of day.",
    ),
    "day-out-of-range": _three(
        "日期须在 2000 年至 2199 年之间。",
        "日期須在 2000 年至 2199 年之間。",
        "The date must lie between 2000 and 2199.",
    ),
    "out-of-range": _three(
        "须在 {low} 至 {high} 之间。", "須在 {low} 至 {high} 之間。", "This must lie between {low} and {high}."
    ),
    "too-long": _three("不得超过 {most} 个字符。", "不得超過 {most} 個字元。", "No more than {most} characters are allowed."),
    "bad-characters": _three("含有不可显示的字符。", "含有不可顯示的字元。", "This holds characters that cannot be shown."),
    "bad-code": _three(
        "代码由大写字母、数字、“-”和“_”组成，以字母或数字开头。",
        "代碼由大寫字母、數字、「-」和「_」組成，以字母或數字開頭。",
        "A code is made of capital letters, digits, “-” and “_”, and starts with a letter or digit.",
    ),
    "bad-form": _three("格式不对。", "格式不對。", "This does not have the form that is expected."),
    "not-a-choice": _three("只能是：{choices}。", "只能是：{choices}。", "This must be one of: {choices}."),
    "not-some-choices": _three(
        "只能是其中一项或多项，以“;”分隔：{choices}。",
        "只能是其中一項或多項，以「;」分隔：{choices}。",
        "This must be one or several of these, with “;” between them: {choices}.",
    ),
    "twice": _three("第 {first} 行已有相同的内容。", "第 {first} 列已有相同的內容。", "Row {first} has this already."),
    "unknown-reference": _three(
        "工作表 {target} 中没有“{value}”。",
        "工作表 {target} 中沒有「{value}」。",
        "The sheet {target} has no “{value}”.",
    ),
    "window-reversed": _three("结束日早于开始日。", "結束日早於開始日。", "The last day comes before the first."),
    "outside-campaign": _three("超出活动期间。", "超出活動期間。", "This lies outside the campaign's days."),
    "needed-for-voucher": _three("礼券必须填写此栏。", "禮券必須填寫此欄。", "A voucher needs this."),
    "not-for-goods": _three("商品不填写此栏。", "商品不填寫此欄。", "Goods do not have this."),
    "only-for-goods": _three("只有商品填写此栏。", "只有商品填寫此欄。", "Only goods have this."),
    "languages-incomplete": _three(
        "三种语言须同时填写或同时留空。", "三種語言須同時填寫或同時留空。", "Fill in all three languages or none."
    ),
    "not-deliverable": _three(
        "此类奖品目前无法发放，不能作为兑换项目。",
        "此類獎品目前無法發放，不能作為兌換項目。",
        "Rewards of this kind cannot be handed out yet, so they cannot be offered.",
    ),
    "merchant-without-vouchers": _three(
        "商户 {merchant} 不接受礼券。",
        "商戶 {merchant} 不接受禮券。",
        "The merchant {merchant} does not accept vouchers.",
    ),
    "reward-changed": _three(
        "此兑换项目已属于奖品 {reward}；请使用新的代码。",
        "此兌換項目已屬於獎品 {reward}；請使用新的代碼。",
        "This offer stands for the reward {reward} already; use a new code.",
    ),
    "batch-reward-changed": _three(
        "此批次已属于奖品 {reward}；请使用新的代码。",
        "此批次已屬於獎品 {reward}；請使用新的代碼。",
        "This batch holds the reward {reward} already; use a new code.",
    ),
    "batch-missing": _three(
        "批次 {batch} 已有库存，不能从表中删去；要停用，请将数量改为已用数量。",
        "批次 {batch} 已有庫存，不能從表中刪去；要停用，請將數量改為已用數量。",
        "The batch {batch} is in stock, so its row must stay; to stop it, set its quantity to what is taken.",
    ),
    "currency-changed": _three(
        "活动的币种已是 {currency}，不能更改。",
        "活動的幣種已是 {currency}，不能更改。",
        "The currency of the campaign is {currency} already and cannot change.",
    ),
}
