"""Makes the sample branches at which parcels are collected: `python -m samples.branches`.

Twelve made-up branches in and around Shanghai; streets are real, the numbers and the branches are not.
"""

import csv
import io
from pathlib import Path
from typing import NamedTuple

FILE = Path(__file__).parent / "branches.csv"
FIRST_PHONE = 441174960001
"""Of the range for Bristol that the British regulator keeps for films and plays; see `customers`."""
LANGUAGES = ("zh_hans", "zh_hant", "en")

Three = tuple[str, str, str]
WEEKDAYS: Three = ("周一至周五 9:00–17:00", "週一至週五 9:00–17:00", "Mon to Fri 9:00–17:00")
SATURDAYS: Three = (
    "周一至周五 9:00–17:00，周六 9:30–16:00", "週一至週五 9:00–17:00，週六 9:30–16:00", "Mon to Fri 9:00–17:00, Sat 9:30–16:00",
)  # fmt: skip
EVERY_DAY: Three = ("每日 9:00–18:00", "每日 9:00–18:00", "Every day 9:00–18:00")


class Row(NamedTuple):
    """One branch; texts stand in simplified Chinese, traditional Chinese and English."""

    code: str
    names: Three
    addresses: Three
    hours: Three
    capacity_parcels: int
    open: bool = True


BRANCHES = (
    Row("B001", ("陆家嘴支行", "陸家嘴支行", "Lujiazui Branch"),
        ("上海市浦东新区世纪大道 9001 号", "上海市浦東新區世紀大道 9001 號", "9001 Century Avenue, Pudong, Shanghai"),
         EVERY_DAY, 120),
    Row("B002", ("人民广场支行", "人民廣場支行", "People's Square Branch"),
        ("上海市黄浦区西藏中路 9068 号", "上海市黃浦區西藏中路 9068 號", "9068 Middle Xizang Road, Huangpu, Shanghai"),
         EVERY_DAY, 100),
    Row("B003", ("静安寺支行", "靜安寺支行", "Jing'an Temple Branch"),
        ("上海市静安区南京西路 9618 号", "上海市靜安區南京西路 9618 號", "9618 West Nanjing Road, Jing'an, Shanghai"),
         SATURDAYS, 80),
    Row("B004", ("徐家汇支行", "徐家匯支行", "Xujiahui Branch"),
        ("上海市徐汇区虹桥路 9001 号", "上海市徐匯區虹橋路 9001 號", "9001 Hongqiao Road, Xuhui, Shanghai"),
         SATURDAYS, 80),
    Row("B005", ("五角场支行", "五角場支行", "Wujiaochang Branch"),
        ("上海市杨浦区淞沪路 9077 号", "上海市楊浦區淞滬路 9077 號", "9077 Songhu Road, Yangpu, Shanghai"),
         SATURDAYS, 60),
    Row("B006", ("虹桥枢纽支行", "虹橋樞紐支行", "Hongqiao Hub Branch"),
        ("上海市闵行区申虹路 9033 号", "上海市閔行區申虹路 9033 號", "9033 Shenhong Road, Minhang, Shanghai"),
         EVERY_DAY, 60),
    Row("B007", ("嘉定新城支行", "嘉定新城支行", "Jiading New City Branch"),
        ("上海市嘉定区白银路 9288 号", "上海市嘉定區白銀路 9288 號", "9288 Baiyin Road, Jiading, Shanghai"),
         WEEKDAYS, 40),
    Row("B008", ("松江大学城支行", "松江大學城支行", "Songjiang University Town Branch"),
        ("上海市松江区文汇路 9100 号", "上海市松江區文匯路 9100 號", "9100 Wenhui Road, Songjiang, Shanghai"),
         WEEKDAYS, 40),
    Row("B009", ("苏州园区支行", "蘇州園區支行", "Suzhou Industrial Park Branch"),
        ("江苏省苏州市苏州大道西 9015 号", "江蘇省蘇州市蘇州大道西 9015 號", "9015 West Suzhou Avenue, Suzhou, Jiangsu"),
         SATURDAYS, 50),
    Row("B010", ("昆山花桥支行", "昆山花橋支行", "Kunshan Huaqiao Branch"),
        ("江苏省昆山市绿地大道 9231 号", "江蘇省昆山市綠地大道 9231 號", "9231 Lüdi Avenue, Kunshan, Jiangsu"),
         WEEKDAYS, 2),
    Row("B011", ("嘉兴南湖支行", "嘉興南湖支行", "Jiaxing Nanhu Branch"),
        ("浙江省嘉兴市中山东路 9099 号", "浙江省嘉興市中山東路 9099 號", "9099 East Zhongshan Road, Jiaxing, Zhejiang"),
         WEEKDAYS, 30),
    Row("B012", ("崇明城桥支行", "崇明城橋支行", "Chongming Chengqiao Branch"),
        ("上海市崇明区八一路 9300 号", "上海市崇明區八一路 9300 號", "9300 Bayi Road, Chongming, Shanghai"),
         WEEKDAYS, 20, open=False),
)  # fmt: skip
"""B001 is where the sample branch staff work; B010 has room for two parcels, B012 is closed."""


def branches_file() -> str:
    """The list as the bank would hand it in."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    texts = [f"{name}_{language}" for name in ("name", "address", "hours") for language in LANGUAGES]
    writer.writerow(("code", *texts, "phone", "open", "capacity_parcels"))
    for number, row in enumerate(BRANCHES):
        phone = f"+{FIRST_PHONE + number}"
        is_open = "yes" if row.open else "no"
        writer.writerow((row.code, *row.names, *row.addresses, *row.hours, phone, is_open, row.capacity_parcels))
    return out.getvalue()


if __name__ == "__main__":
    FILE.write_text(branches_file(), encoding="utf-8")
    print(FILE.name)
