"""Which problem type each of the catalog's errors is answered with."""

from services.catalog.campaigns.domain import (
    BatchNotInVersion,
    CampaignNotFound,
    CampaignNotPublishable,
    CeilingBelowTaken,
    OfferNotFound,
    OlderVersion,
    VersionNotFound,
)
from services.catalog.workbooks.errors import DETAILS, WorkbookRefused
from shared.problems import NOT_FOUND, Catalogue, problem

CATALOGUE = Catalogue(
    own={
        CampaignNotFound: NOT_FOUND,
        VersionNotFound: NOT_FOUND,
        OfferNotFound: NOT_FOUND,
        WorkbookRefused: problem(
            "workbook-refused", 422, "工作簿有 {count} 处错误，未载入任何内容。", "工作簿有 {count} 處錯誤，未載入任何內容。",
            "The workbook has {count} errors; nothing of it was loaded.",
        ),
        OlderVersion: problem(
            "older-version", 409, "版本 {live_version} 已经生效，不能改用更早的版本。", "版本 {live_version} 已經生效，不能改用更早的版本。",
            "Version {live_version} is in force already; an older one cannot replace it.", shows=("live_version",),
        ),
        CampaignNotPublishable: problem(
            "campaign-not-publishable", 409, "活动目前的状态不能发布版本。", "活動目前的狀態不能發佈版本。",
            "In its present state no version of the campaign can be put in force.", shows=("state",),
        ),
        BatchNotInVersion: problem(
            "batch-not-in-version", 409, "批次 {subject} 已有库存，该版本未包含它或已改作其他礼品。",
            "批次 {subject} 已有庫存，該版本未包含它或已改作其他禮品。",
            "Batch {subject} has stock; the version leaves it out or gives it to another reward.", shows=("subject",),
        ),
        CeilingBelowTaken: problem(
            "ceiling-below-taken", 409, "{subject} 已使用 {taken}，新的上限低于此数。", "{subject} 已使用 {taken}，新的上限低於此數。",
            "{taken} of {subject} are taken already, which is more than the version allows.", shows=("kind", "subject", "taken"),
        ),
    },
    field_sentences=DETAILS,
)  # fmt: skip
