"""Twelve made-up goods of the sample campaign: what they are, what they cost, and how they reach the customer."""

from typing import NamedTuple

from samples.rewards import Three

BOTH, COURIER, PICKUP = None, "courier", "pickup"
"""An empty cell means every way of goods."""


class Goods(NamedTuple):
    """One line of the list. Money in yuan, points per unit, units in all, working days until it leaves the supplier."""

    name: Three
    description: Three
    features: Three
    model: str
    yuan: int
    points: int
    units: int
    delivery: str | None
    lead_time_days: int = 3
    per_customer: int | None = None
    per_day: int | None = None
    quota_per_day: int | None = None


ELECTRONICS = (
    Goods(("无线充电板", "無線充電板", "Wireless charging pad"),
          ("放上即充，附一米充电线。", "放上即充，附一公尺充電線。", "Put a phone on it; with a one-metre cable."),
          ("15 瓦，圆形，直径十厘米。", "15 瓦，圓形，直徑十公分。", "15 watts, round, ten centimetres across."),
          "WP-15", 128, 11_900, 300, BOTH, per_customer=2),
    Goods(("降噪蓝牙耳机", "降噪藍牙耳機", "Noise-cancelling earphones"),
          ("入耳式，带充电盒。", "入耳式，附充電盒。", "In-ear, with a charging case."),
          ("续航三十小时，防泼水。", "續航三十小時，防潑水。", "Thirty hours with the case, splash-proof."),
          "EB-30", 399, 36_900, 120, COURIER, per_customer=1),
    Goods(("便携投影仪", "可攜式投影機", "Portable projector"),
          ("自动对焦，内置音箱。", "自動對焦，內建喇叭。", "Focuses by itself, with a speaker built in."),
          ("1080p，九百克。", "1080p，九百公克。", "1080p, nine hundred grams."),
          "PJ-9", 899, 82_000, 40, COURIER, lead_time_days=5, per_customer=1, quota_per_day=5),
    Goods(("充电宝", "行動電源", "Power bank"),
          ("可带上飞机，两个输出口。", "可帶上飛機，兩個輸出埠。", "Allowed on board, two outlets."),
          ("20000 毫安时，30 瓦快充。", "20000 毫安時，30 瓦快充。", "20,000 mAh, 30 watts."),
          "PB-20", 159, 14_800, 250, BOTH, per_customer=2),
)  # fmt: skip

HOME = (
    Goods(("鹅绒被", "鵝絨被", "Goose down quilt"),
          ("四季可用，附收纳袋。", "四季可用，附收納袋。", "For every season, with a storage bag."),
          ("200 × 230 厘米，可机洗。", "200 × 230 公分，可水洗。", "200 by 230 centimetres, washable."),
          "QD-200", 599, 55_000, 60, COURIER, lead_time_days=5),
    Goods(("保温杯", "保溫杯", "Insulated bottle"),
          ("保温十二小时，杯盖可作杯。", "保溫十二小時，杯蓋可作杯。", "Keeps warm for twelve hours; the lid is a cup."),
          ("500 毫升，不锈钢。", "500 毫升，不鏽鋼。", "500 millilitres, stainless steel."),
          "TB-500", 99, 9_200, 400, BOTH, per_customer=3),
    Goods(("竹纤维毛巾礼盒", "竹纖維毛巾禮盒", "Bamboo towel gift set"),
          ("毛巾两条，浴巾一条。", "毛巾兩條，浴巾一條。", "Two hand towels and a bath towel."),
          ("礼盒包装。", "禮盒包裝。", "In a gift box."),
          "TW-3", 118, 10_900, 300, PICKUP, per_customer=2),
    Goods(("护眼台灯", "護眼檯燈", "Desk lamp"),
          ("四档亮度，无频闪。", "四段亮度，無頻閃。", "Four levels of light, free of flicker."),
          ("高四十厘米，USB 供电。", "高四十公分，USB 供電。", "Forty centimetres high, runs on USB."),
          "DL-40", 259, 23_900, 150, BOTH, per_customer=2),
)  # fmt: skip

APPLIANCES = (
    Goods(("不锈钢烧水壶", "不鏽鋼快煮壺", "Stainless steel kettle"),
          ("三分钟烧开，自动断电。", "三分鐘煮沸，自動斷電。", "Boils in three minutes and switches itself off."),
          ("1.5 升。", "1.5 公升。", "1.5 litres."),
          "KT-15", 149, 13_800, 200, BOTH, per_customer=2),
    Goods(("迷你电饭煲", "迷你電子鍋", "Small rice cooker"),
          ("一至三人份，预约定时。", "一至三人份，預約定時。", "For one to three people, with a timer."),
          ("1.6 升，不粘内胆。", "1.6 公升，不沾內鍋。", "1.6 litres, non-stick."),
          "RC-16", 229, 21_000, 120, BOTH, per_customer=1, per_day=1),
    Goods(("手持挂烫仪", "手持式掛燙器", "Garment steamer"),
          ("三十秒出蒸汽，可折叠。", "三十秒出蒸汽，可摺疊。", "Steam after thirty seconds, folds up."),
          ("250 毫升水箱。", "250 毫升水箱。", "A tank of 250 millilitres."),
          "GS-25", 189, 17_500, 100, PICKUP),
    Goods(("空气炸锅", "氣炸鍋", "Air fryer"),
          ("少油，附食谱。", "少油，附食譜。", "Little oil; with a book of recipes."),
          ("4 升，旋钮式。", "4 公升，旋鈕式。", "Four litres, with a dial."),
          "AF-4", 349, 32_300, 80, COURIER, per_customer=1),
)  # fmt: skip

GOODS_BY_CATEGORY: dict[str, tuple[Goods, ...]] = {"electronics": ELECTRONICS, "home": HOME, "appliances": APPLIANCES}
"""They follow the vouchers: R061 to R072."""

SUPPLIERS = {"electronics": "M011", "home": "M014", "appliances": "M017"}
"""Which of the sample's shops the goods of a category come from."""
