"""Sixty made-up e-vouchers of the sample campaign: what they are, what they cost, where they work."""

from typing import NamedTuple

Three = tuple[str, str, str]
"""Simplified Chinese, traditional Chinese, English."""


class Voucher(NamedTuple):
    """One line of the list. Money in yuan, points per unit, units in all."""

    name: Three
    description: Three
    yuan: int
    points: int
    units: int
    merchants: str
    valid_days: int = 90
    per_customer: int | None = None
    per_day: int | None = None
    quota_per_day: int | None = None


DINING = (
    Voucher(("手冲咖啡一杯", "手沖咖啡一杯", "A cup of pour-over coffee"),
            ("当日烘焙的单品豆，任选一款。", "當日烘焙的單品豆，任選一款。",
             "One single-origin coffee of your choice, roasted the same day."),
            30, 2800, 2000, "M001", 60, 4, 1),
    Voucher(("双人下午茶", "雙人下午茶", "Afternoon tea for two"),
            ("两杯饮品与三层点心。", "兩杯飲品與三層點心。", "Two drinks and a three-tier stand of pastries."),
            168, 15800, 300, "M001; M003", 90, 2),
    Voucher(("招牌牛肉面", "招牌牛肉麵", "House beef noodles"),
            ("大碗牛肉面配小菜一碟。", "大碗牛肉麵配小菜一碟。", "A large bowl of beef noodles with a side dish."),
            38, 3500, 1500, "M002", 60, 4, 2),
    Voucher(("高山乌龙茶席", "高山烏龍茶席", "High-mountain oolong tea setting"),
            ("一壶两人份，附茶点。", "一壺兩人份，附茶點。", "One pot for two, with small bites."),
            128, 11800, 200, "M003", 90, 2),
    Voucher(("秋季蟹宴四人餐", "秋季蟹宴四人餐", "Autumn crab dinner for four"),
            ("十道时令菜，须提前一日预订。", "十道時令菜，須提前一日預訂。", "Ten seasonal dishes; book one day ahead."),
            888, 82000, 60, "M004", 60, 1, None, 5),
    Voucher(("宴席代金券 200 元", "宴席代金券 200 元", "Banquet voucher, 200 yuan"),
            ("用于堂食菜品，不含酒水。", "用於堂食菜品，不含酒水。", "For food eaten in, drinks excluded."),
            200, 18800, 400, "M004; M006", 120, 3),
    Voucher(("可颂与拿铁套餐", "可頌與拿鐵套餐", "Croissant and latte"),
            ("新出炉可颂一个，拿铁一杯。", "新出爐可頌一個，拿鐵一杯。", "One croissant fresh from the oven and a latte."),
            42, 3900, 1200, "M005", 60, 4, 2),
    Voucher(("八寸生日蛋糕", "八吋生日蛋糕", "Eight-inch birthday cake"),
            ("三种口味可选，提前一日预订。", "三種口味可選，提前一日預訂。",
             "Three flavours to choose from; order one day ahead."),
            198, 18500, 250, "M005", 120, 2),
    Voucher(("鸳鸯火锅双人餐", "鴛鴦火鍋雙人餐", "Hot pot for two"),
            ("双拼锅底、肉品与时蔬。", "雙拼鍋底、肉品與時蔬。", "Two broths, meats and seasonal vegetables."),
            188, 17500, 350, "M006", 90, 2, None, 20),
)  # fmt: skip

SHOPPING = (
    Voucher(("超市购物券 50 元", "超市購物券 50 元", "Supermarket voucher, 50 yuan"),
            ("全场通用，不找零。", "全場通用，不找零。", "Good for everything in the store; no change given."),
            50, 4800, 5000, "M007", 180, 10, 2),
    Voucher(("超市购物券 100 元", "超市購物券 100 元", "Supermarket voucher, 100 yuan"),
            ("全场通用，不找零。", "全場通用，不找零。", "Good for everything in the store; no change given."),
            100, 9500, 3000, "M007", 180, 10, 2),
    Voucher(("超市购物券 500 元", "超市購物券 500 元", "Supermarket voucher, 500 yuan"),
            ("全场通用，不找零。", "全場通用，不找零。", "Good for everything in the store; no change given."),
            500, 46800, 300, "M007", 180, 2, 1, 30),
    Voucher(("当季水果礼篮", "當季水果禮籃", "Seasonal fruit basket"),
            ("五种当季水果，约三公斤。", "五種當季水果，約三公斤。", "Five fruits in season, about three kilograms."),
            128, 12000, 400, "M008", 60, 3),
    Voucher(("生鲜代金券 30 元", "生鮮代金券 30 元", "Fresh food voucher, 30 yuan"),
            ("蔬果、肉类与水产通用。", "蔬果、肉類與水產通用。", "For fruit, vegetables, meat and fish."),
            30, 2900, 3000, "M008", 90, 6, 1),
    Voucher(("百货购物券 200 元", "百貨購物券 200 元", "Department store voucher, 200 yuan"),
            ("各楼层专柜通用，特价商品除外。", "各樓層專櫃通用，特價商品除外。",
             "For the counters on every floor, sale items excluded."),
            200, 18800, 800, "M009", 180, 5),
    Voucher(("百货购物券 1000 元", "百貨購物券 1000 元", "Department store voucher, 1,000 yuan"),
            ("各楼层专柜通用，特价商品除外。", "各樓層專櫃通用，特價商品除外。",
             "For the counters on every floor, sale items excluded."),
            1000, 92000, 50, "M009", 180, 1, None, 5),
    Voucher(("便利店早餐券", "便利店早餐券", "Convenience store breakfast"),
            ("饭团或三明治一份，豆浆或咖啡一杯。", "飯糰或三明治一份，豆漿或咖啡一杯。",
             "A rice ball or sandwich, and soy milk or coffee."),
            15, 1400, 6000, "M010", 60, 10, 1),
)  # fmt: skip

ELECTRONICS = (
    Voucher(("手机配件券 100 元", "手機配件券 100 元", "Phone accessories voucher, 100 yuan"),
            ("用于保护壳、充电器与数据线。", "用於保護殼、充電器與傳輸線。", "For cases, chargers and cables."),
            100, 9300, 600, "M011", 120, 3),
    Voucher(("蓝牙耳机抵用券", "藍牙耳機抵用券", "Bluetooth earphones voucher"),
            ("购买指定耳机抵 300 元。", "購買指定耳機抵 300 元。", "300 yuan off selected earphones."),
            300, 27800, 200, "M011; M012", 120, 2),
    Voucher(("平板电脑抵用券", "平板電腦抵用券", "Tablet voucher"),
            ("购买任一平板电脑抵 800 元。", "購買任一平板電腦抵 800 元。", "800 yuan off any tablet."),
            800, 74000, 80, "M011", 120, 1, None, 5),
    Voucher(("智能手表抵用券", "智能手錶抵用券", "Smart watch voucher"),
            ("购买任一智能手表抵 500 元。", "購買任一智能手錶抵 500 元。", "500 yuan off any smart watch."),
            500, 46000, 120, "M011", 120, 1),
    Voucher(("桌面音箱试听礼券", "桌面音箱試聽禮券", "Desktop speaker voucher"),
            ("购买桌面音箱抵 200 元，可先试听。", "購買桌面音箱抵 200 元，可先試聽。",
             "200 yuan off desktop speakers; try them first."),
            200, 18500, 150, "M012", 120, 2),
    Voucher(("黑胶唱片券", "黑膠唱片券", "Vinyl record voucher"),
            ("任选唱片一张。", "任選唱片一張。", "One record of your choice."),
            150, 13900, 100, "M012", 120, 3),
    Voucher(("手机换屏服务", "手機換螢幕服務", "Phone screen replacement"),
            ("主流机型原装屏幕，当日取机。", "主流機型原裝螢幕，當日取機。",
             "Original screens for common models, ready the same day."),
            400, 37000, 100, "M013", 180, 1),
    Voucher(("手机电池更换", "手機電池更換", "Phone battery replacement"),
            ("含电池与人工，三十分钟完成。", "含電池與人工，三十分鐘完成。",
             "Battery and labour included, done in thirty minutes."),
            150, 13800, 200, "M013", 180, 2),
)  # fmt: skip

HOME = (
    Voucher(("床品四件套抵用券", "床品四件組抵用券", "Bed linen voucher"),
            ("购买床品四件套抵 300 元。", "購買床品四件組抵 300 元。", "300 yuan off a four-piece set of bed linen."),
            300, 27500, 150, "M014", 120, 2),
    Voucher(("家居饰品券 100 元", "家居飾品券 100 元", "Home decoration voucher, 100 yuan"),
            ("灯具、摆件与靠垫通用。", "燈具、擺件與靠墊通用。", "For lamps, ornaments and cushions."),
            100, 9200, 500, "M014", 120, 3),
    Voucher(("实木餐桌抵用券", "實木餐桌抵用券", "Solid wood table voucher"),
            ("购买餐桌抵 1000 元，含送货。", "購買餐桌抵 1000 元，含送貨。",
             "1,000 yuan off a dining table, delivery included."),
            1000, 91000, 30, "M014", 180, 1),
    Voucher(("日常保洁三小时", "日常保潔三小時", "Three hours of housekeeping"),
            ("一名保洁员上门，自带工具。", "一名保潔員上門，自帶工具。", "One cleaner comes with all the tools."),
            150, 13900, 400, "M015", 90, 3, 1),
    Voucher(("深度擦窗服务", "深度擦窗服務", "Window cleaning"),
            ("两居室内外窗户。", "兩房住宅內外窗戶。", "Windows of a two-bedroom flat, inside and out."),
            260, 24000, 150, "M015", 90, 2),
    Voucher(("四季鲜花月卡", "四季鮮花月卡", "A month of flowers"),
            ("每周一束，共四束。", "每週一束，共四束。", "One bunch a week, four in all."),
            199, 18500, 200, "M016", 60, 2),
    Voucher(("绿植盆栽", "綠植盆栽", "Potted plant"),
            ("三十厘米盆栽任选一盆。", "三十公分盆栽任選一盆。", "One plant in a thirty-centimetre pot."),
            88, 8200, 300, "M016", 90, 3),
)  # fmt: skip

APPLIANCES = (
    Voucher(("电饭煲抵用券", "電鍋抵用券", "Rice cooker voucher"),
            ("购买电饭煲抵 200 元。", "購買電鍋抵 200 元。", "200 yuan off a rice cooker."),
            200, 18500, 200, "M017", 120, 2),
    Voucher(("空气净化器抵用券", "空氣清淨機抵用券", "Air purifier voucher"),
            ("购买空气净化器抵 500 元。", "購買空氣清淨機抵 500 元。", "500 yuan off an air purifier."),
            500, 46000, 100, "M017", 120, 1),
    Voucher(("扫地机器人抵用券", "掃地機器人抵用券", "Robot vacuum voucher"),
            ("购买扫地机器人抵 800 元。", "購買掃地機器人抵 800 元。", "800 yuan off a robot vacuum cleaner."),
            800, 73500, 60, "M017", 120, 1, None, 3),
    Voucher(("小家电券 100 元", "小家電券 100 元", "Small appliances voucher, 100 yuan"),
            ("电水壶、吹风机、榨汁机通用。", "電水壺、吹風機、榨汁機通用。", "For kettles, hair dryers and juicers."),
            100, 9300, 600, "M017", 120, 3),
    Voucher(("空调清洗一台", "冷氣清洗一台", "Air conditioner cleaning"),
            ("挂机一台，拆洗消毒。", "壁掛式一台，拆洗消毒。", "One wall unit, taken apart, washed and disinfected."),
            120, 11000, 400, "M018", 180, 3),
    Voucher(("洗衣机清洗一台", "洗衣機清洗一台", "Washing machine cleaning"),
            ("波轮或滚筒一台。", "直立式或滾筒一台。", "One top or front loader."),
            160, 14800, 250, "M018", 180, 2),
    Voucher(("燃气灶检修", "瓦斯爐檢修", "Gas stove check"),
            ("上门检查与保养一次。", "到府檢查與保養一次。", "One check and service at your home."),
            80, 7400, 300, "M018", 180, 2),
)  # fmt: skip

FASHION = (
    Voucher(("棉麻衬衫抵用券", "棉麻襯衫抵用券", "Linen shirt voucher"),
            ("购买衬衫抵 150 元。", "購買襯衫抵 150 元。", "150 yuan off a shirt."),
            150, 13900, 300, "M019", 120, 2),
    Voucher(("羊绒围巾抵用券", "羊絨圍巾抵用券", "Cashmere scarf voucher"),
            ("购买围巾抵 300 元。", "購買圍巾抵 300 元。", "300 yuan off a scarf."),
            300, 27800, 150, "M019", 120, 1),
    Voucher(("量身定制旗袍抵用券", "量身訂製旗袍抵用券", "Made-to-measure qipao voucher"),
            ("定制旗袍抵 1000 元，含两次试衣。", "訂製旗袍抵 1000 元，含兩次試衣。",
             "1,000 yuan off a qipao, two fittings included."),
            1000, 91500, 20, "M019", 180, 1),
    Voucher(("衣物改衣服务", "衣物修改服務", "Alterations"),
            ("裤长、袖长或腰围修改一件。", "褲長、袖長或腰圍修改一件。", "Length, sleeves or waist of one garment."),
            60, 5600, 300, "M019", 120, 4),
    Voucher(("护肤体验一次", "護膚體驗一次", "Facial treatment"),
            ("六十分钟基础护理。", "六十分鐘基礎護理。", "Sixty minutes of basic care."),
            268, 24800, 200, "M020", 90, 2),
    Voucher(("彩妆券 100 元", "彩妝券 100 元", "Make-up voucher, 100 yuan"),
            ("全部彩妆通用。", "全部彩妝通用。", "For all make-up."),
            100, 9400, 500, "M020", 120, 3),
    Voucher(("香氛礼盒券", "香氛禮盒券", "Fragrance gift set voucher"),
            ("任选香氛礼盒一份。", "任選香氛禮盒一份。", "One fragrance gift set of your choice."),
            320, 29500, 120, "M020; M009", 120, 2),
)  # fmt: skip

TRAVEL = (
    Voucher(("城市一日游", "城市一日遊", "City day tour"),
            ("含导览、门票与午餐。", "含導覽、門票與午餐。", "Guide, tickets and lunch included."),
            260, 24000, 200, "M021", 180, 4),
    Voucher(("秋色山谷两日游", "秋色山谷兩日遊", "Two days in the autumn valley"),
            ("含往返车票与一晚民宿。", "含往返車票與一晚民宿。", "Return bus and one night in a guest house."),
            899, 83000, 60, "M021", 60, 2, None, 6),
    Voucher(("景区门票一张", "景區門票一張", "Park ticket"),
            ("五处景区任选其一。", "五處景區任選其一。", "One of five parks."),
            90, 8400, 800, "M021", 180, 4, 2),
    Voucher(("湖景房一晚", "湖景房一晚", "One night with a lake view"),
            ("双人入住，含早餐。", "雙人入住，含早餐。", "For two, breakfast included."),
            780, 72000, 80, "M022", 180, 2, None, 4),
    Voucher(("酒店自助晚餐", "飯店自助晚餐", "Hotel dinner buffet"),
            ("单人一位，周末通用。", "單人一位，週末通用。", "For one person, weekends included."),
            238, 22000, 300, "M022", 120, 4),
    Voucher(("周末租车一天", "週末租車一天", "Weekend car rental, one day"),
            ("紧凑型轿车，含基本保险。", "小型轎車，含基本保險。", "A compact car with basic insurance."),
            220, 20500, 150, "M023", 120, 2),
    Voucher(("机场接送一次", "機場接送一次", "Airport transfer"),
            ("市区至机场单程，提前一日预约。", "市區至機場單程，提前一日預約。",
             "One way between the city and the airport; book one day ahead."),
            130, 12000, 300, "M023", 180, 3),
)  # fmt: skip

FUEL = (
    Voucher(("加油券 50 元", "加油券 50 元", "Petrol voucher, 50 yuan"),
            ("汽油与柴油通用。", "汽油與柴油通用。", "For petrol and diesel."),
            50, 4800, 3000, "M024", 180, 8, 2),
    Voucher(("加油券 100 元", "加油券 100 元", "Petrol voucher, 100 yuan"),
            ("汽油与柴油通用。", "汽油與柴油通用。", "For petrol and diesel."),
            100, 9500, 2000, "M024", 180, 8, 2),
    Voucher(("加油券 200 元", "加油券 200 元", "Petrol voucher, 200 yuan"),
            ("汽油与柴油通用。", "汽油與柴油通用。", "For petrol and diesel."),
            200, 18800, 800, "M024", 180, 4, 1, 50),
    Voucher(("精致洗车一次", "精緻洗車一次", "Car wash"),
            ("外观与内饰，约四十分钟。", "外觀與內裝，約四十分鐘。", "Outside and inside, about forty minutes."),
            60, 5600, 600, "M024", 120, 4),
    Voucher(("充电券 30 元", "充電券 30 元", "Charging voucher, 30 yuan"),
            ("快充与慢充通用。", "快充與慢充通用。", "For fast and slow charging."),
            30, 2900, 2000, "M025", 180, 8, 2),
    Voucher(("充电月卡", "充電月卡", "Monthly charging card"),
            ("三十天内共 150 度电。", "三十天內共 150 度電。", "150 kilowatt-hours within thirty days."),
            180, 16800, 200, "M025", 60, 2),
    Voucher(("轮胎检查与换位", "輪胎檢查與換位", "Tyre check and rotation"),
            ("四轮检查、换位并校正胎压。", "四輪檢查、換位並校正胎壓。", "Four tyres checked, rotated and set to pressure."),
            100, 9300, 200, "M024", 180, 2),
)  # fmt: skip

BY_CATEGORY: dict[str, tuple[Voucher, ...]] = {
    "dining": DINING,
    "shopping": SHOPPING,
    "electronics": ELECTRONICS,
    "home": HOME,
    "appliances": APPLIANCES,
    "fashion": FASHION,
    "travel": TRAVEL,
    "fuel": FUEL,
}
