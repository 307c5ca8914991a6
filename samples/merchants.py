"""Twenty-five made-up merchants of the sample campaign: code, names, kind of shop (ISO 18245), address, number of tills."""

from typing import NamedTuple


class Shop(NamedTuple):
    """One line of the list; texts stand in simplified Chinese, traditional Chinese and English."""

    code: str
    names: tuple[str, str, str]
    category_code: str
    address: tuple[str, str, str]
    tills: int


SHOPS = (
    Shop("M001", ("晨光咖啡", "晨光咖啡", "Morning Light Coffee"), "5814",
         ("滨江路 18 号一层", "濱江路 18 號一樓", "Ground floor, 18 Binjiang Road"), 3),
    Shop("M002", ("老城面馆", "老城麵館", "Old Town Noodles"), "5812",
         ("钟楼街 6 号", "鐘樓街 6 號", "6 Bell Tower Street"), 2),
    Shop("M003", ("半山茶室", "半山茶室", "Hillside Tea Room"), "5814",
         ("翠屏路 77 号", "翠屏路 77 號", "77 Cuiping Road"), 1),
    Shop("M004", ("海棠酒家", "海棠酒家", "Begonia Restaurant"), "5812",
         ("海棠巷 3 号", "海棠巷 3 號", "3 Begonia Lane"), 2),
    Shop("M005", ("麦田烘焙", "麥田烘焙", "Wheatfield Bakery"), "5462",
         ("文昌路 120 号", "文昌路 120 號", "120 Wenchang Road"), 2),
    Shop("M006", ("一品火锅", "一品火鍋", "Yipin Hot Pot"), "5812",
         ("东门大街 45 号二层", "東門大街 45 號二樓", "Second floor, 45 East Gate Street"), 3),
    Shop("M007", ("百汇超市", "百匯超市", "Baihui Supermarket"), "5411",
         ("建设路 200 号", "建設路 200 號", "200 Jianshe Road"), 6),
    Shop("M008", ("邻里生鲜", "鄰里生鮮", "Neighbourhood Fresh Market"), "5411",
         ("和平里 9 号", "和平里 9 號", "9 Hepingli"), 3),
    Shop("M009", ("春华百货", "春華百貨", "Chunhua Department Store"), "5311",
         ("人民路 1 号", "人民路 1 號", "1 Renmin Road"), 5),
    Shop("M010", ("万家便利", "萬家便利", "Wanjia Convenience"), "5499",
         ("新街口 31 号", "新街口 31 號", "31 Xinjiekou"), 4),
    Shop("M011", ("智芯数码", "智芯數碼", "Zhixin Digital"), "5732",
         ("科技园路 8 号", "科技園路 8 號", "8 Science Park Road"), 2),
    Shop("M012", ("远声影音", "遠聲影音", "Far Sound Audio"), "5732",
         ("科技园路 10 号", "科技園路 10 號", "10 Science Park Road"), 1),
    Shop("M013", ("掌上手机维修", "掌上手機維修", "Palm Phone Repair"), "7622",
         ("中山路 66 号", "中山路 66 號", "66 Zhongshan Road"), 1),
    Shop("M014", ("木里家居", "木里家居", "Muli Home"), "5712",
         ("家居城 A 座 12 号", "家居城 A 座 12 號", "12 Block A, Home Plaza"), 2),
    Shop("M015", ("净心家政", "淨心家政", "Pure Heart Housekeeping"), "7349",
         ("安居路 15 号", "安居路 15 號", "15 Anju Road"), 1),
    Shop("M016", ("花间园艺", "花間園藝", "Among Flowers Garden Shop"), "5992",
         ("花市街 22 号", "花市街 22 號", "22 Flower Market Street"), 1),
    Shop("M017", ("安然电器", "安然電器", "Anran Appliances"), "5722",
         ("解放路 88 号", "解放路 88 號", "88 Jiefang Road"), 3),
    Shop("M018", ("修到家电器服务", "修到家電器服務", "Home Appliance Care"), "7629",
         ("解放路 90 号", "解放路 90 號", "90 Jiefang Road"), 1),
    Shop("M019", ("素衣坊", "素衣坊", "Plain Cloth Atelier"), "5651",
         ("丝绸巷 5 号", "絲綢巷 5 號", "5 Silk Lane"), 2),
    Shop("M020", ("青瓷美妆", "青瓷美妝", "Celadon Beauty"), "5977",
         ("春华百货二层", "春華百貨二樓", "Second floor, Chunhua Department Store"), 2),
    Shop("M021", ("云客旅行社", "雲客旅行社", "Cloud Guest Travel"), "4722",
         ("站前广场 2 号", "站前廣場 2 號", "2 Station Square"), 2),
    Shop("M022", ("湖畔酒店", "湖畔酒店", "Lakeside Hotel"), "7011",
         ("环湖路 1 号", "環湖路 1 號", "1 Lake Ring Road"), 2),
    Shop("M023", ("畅行租车", "暢行租車", "Smooth Ride Car Rental"), "7512",
         ("机场路 300 号", "機場路 300 號", "300 Airport Road"), 1),
    Shop("M024", ("星火加油站", "星火加油站", "Spark Petrol Station"), "5541",
         ("外环路 12 公里处", "外環路 12 公里處", "Outer Ring Road, km 12"), 4),
    Shop("M025", ("绿电充电站", "綠電充電站", "Green Volt Charging"), "5552",
         ("科技园路地下停车场", "科技園路地下停車場", "Science Park Road underground car park"), 2),
)  # fmt: skip

TILL_LOCATION = "收银台 Counter {number}"
"""What the place of a till is called; staff alone read it."""
