"""How parcels are spoken of: their states and what happened to them, in words that an agent can read out (R8)."""

from collections.abc import Mapping

from services.fulfillment.carriers.domain import EventKind
from services.fulfillment.parcels.domain import REFUSED, ParcelState, Way
from shared.languages import Text

S = ParcelState


def _said(zh_hans: str, zh_hant: str, en: str) -> Text:
    return {"zh_hans": zh_hans, "zh_hant": zh_hant, "en": en}


_CANCELLED = _said("已取消", "已取消", "Cancelled before it left")
_PREPARING = _said("备货中", "備貨中", "Being prepared")

STATE_WORDS: Mapping[tuple[Way, ParcelState], Text] = {
    (Way.COURIER, S.PREPARING): _PREPARING,
    (Way.COURIER, S.DISPATCHING): _said("正在交给快递公司", "正在交給快遞公司", "Being handed to the courier"),
    (Way.COURIER, S.DISPATCHED): _said("已发货，配送途中", "已出貨，配送途中", "On its way with the courier"),
    (Way.COURIER, S.FAILED): _said(
        "一次派送未成功，快递公司会再联系",
        "一次派送未成功，快遞公司會再聯絡",
        "A delivery attempt failed; the courier will try again",
    ),
    (Way.COURIER, S.DELIVERED): _said("已送达", "已送達", "Delivered"),
    (Way.COURIER, S.RETURNED): _said("未能送达，已退回", "未能送達，已退回", "Could not be delivered and came back"),
    (Way.COURIER, S.LOST): _said("已遗失", "已遺失", "Lost on its way"),
    (Way.COURIER, S.CANCELLED): _CANCELLED,
    (Way.PICKUP, S.PREPARING): _PREPARING,
    (Way.PICKUP, S.IN_TRANSFER): _said("正在送往网点", "正在送往分行", "On its way to the branch"),
    (Way.PICKUP, S.READY): _said("已到网点，可以领取", "已到分行，可以領取", "At the branch, ready to be collected"),
    (Way.PICKUP, S.COLLECTED): _said("已领取", "已領取", "Collected"),
    (Way.PICKUP, S.RETURNED): _said("逾期未领取，已退回", "逾期未領取，已退回", "Not collected in time and sent back"),
    (Way.PICKUP, S.LOST): _said("已遗失", "已遺失", "Lost by the bank"),
    (Way.PICKUP, S.CANCELLED): _CANCELLED,
}
_BY_CARRIER: Mapping[str, Text] = {
    EventKind.PICKED_UP: _said("快递员已取件", "快遞員已取件", "The courier fetched the parcel"),
    EventKind.IN_TRANSIT: _said("运输途中", "運輸途中", "In transit"),
    EventKind.OUT_FOR_DELIVERY: _said("正在派送", "正在派送", "Out for delivery"),
    EventKind.DELIVERED: _said("已送达", "已送達", "Delivered"),
    EventKind.DELIVERY_FAILED: _said("派送未成功", "派送未成功", "A delivery attempt failed"),
    EventKind.RETURNED: _said("快递公司已退回", "快遞公司已退回", "The courier sent it back"),
    EventKind.LOST: _said("快递公司报告遗失", "快遞公司報告遺失", "The courier reports it lost"),
}

_REFUSED = _said("快递公司无法寄送，未能寄出", "快遞公司無法寄送，未能寄出", "The courier cannot take it; it was not sent")


def event_words(way: Way, kind: str) -> Text:
    """What a line of a timeline says: a carrier's own kinds by courier, else the state to which it came."""
    if kind == REFUSED:
        return _REFUSED
    said = _BY_CARRIER.get(kind) if way is Way.COURIER else None
    return said or STATE_WORDS[way, ParcelState(kind)]
