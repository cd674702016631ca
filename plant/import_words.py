"""What an import of assets understands and says: headings and values in English and Chinese, problems as sentences."""

from __future__ import annotations

from collections.abc import Mapping

HEADINGS: Mapping[str, tuple[str, ...]] = {
    "code": ("code", "asset code", "asset", "equipment number", "编号", "资产编号", "设备编号", "位号", "编码"),
    "name": ("name", "asset name", "名称", "资产名称", "设备名称"),
    "name_zh": ("chinese name", "name zh", "name_zh", "中文名称", "中文名"),
    "parent": ("parent", "parent code", "below", "上级", "上级编号", "父级", "父级编号", "所属"),
    "level": ("level", "层级", "级别"),
    "asset_class": ("class", "asset class", "type", "类别", "资产类别", "设备类别", "类型", "设备类型"),
    "criticality": ("criticality", "关键度", "重要度", "关键性"),
    "consequence": ("consequence", "后果", "后果等级"),
    "likelihood": ("likelihood", "可能性", "可能性等级"),
    "reason": ("reason", "criticality reason", "理由", "关键度理由"),
    "location": ("location", "place", "位置", "地点", "安装位置"),
    "signal": ("signal", "signal code", "信号", "信号编号", "测点"),
    "signal_name": ("signal name", "信号名称", "测点名称"),
    "quantity": ("quantity", "物理量"),
    "unit": ("unit", "单位"),
    "low": ("low", "lowest", "sensor low", "下限", "量程下限"),
    "high": ("high", "highest", "sensor high", "上限", "量程上限"),
    "period_s": ("period", "period s", "period_s", "周期", "采样周期"),
    "role": ("role", "signal role", "角色", "信号角色"),
}
LEVELS: Mapping[str, tuple[str, ...]] = {
    "enterprise": ("enterprise", "company", "企业", "公司", "集团"),
    "site": ("site", "plant", "factory", "工厂", "厂区", "现场"),
    "area": ("area", "workshop", "区域", "车间"),
    "line": ("line", "production line", "产线", "生产线"),
    "unit": ("unit", "单元", "机组", "装置"),
    "equipment": ("equipment", "machine", "设备", "机器"),
    "component": ("component", "part", "部件", "组件", "零件"),
}
ROLES: Mapping[str, tuple[str, ...]] = {
    "measured": ("measured", "测量", "测量值"),
    "setpoint": ("setpoint", "设定", "设定值", "工况"),
    "state": ("state", "状态"),
}
EXPORT: Mapping[str, tuple[str, str]] = {
    "code": ("Code", "编号"),
    "name": ("Name", "名称"),
    "name_zh": ("Chinese name", "中文名称"),
    "parent": ("Parent", "上级"),
    "level": ("Level", "层级"),
    "asset_class": ("Class", "类别"),
    "criticality": ("Criticality", "关键度"),
    "consequence": ("Consequence", "后果"),
    "likelihood": ("Likelihood", "可能性"),
    "reason": ("Reason", "理由"),
    "location": ("Location", "位置"),
    "signal": ("Signal", "信号"),
    "signal_name": ("Signal name", "信号名称"),
    "quantity": ("Quantity", "物理量"),
    "unit": ("Unit", "单位"),
    "low": ("Low", "下限"),
    "high": ("High", "上限"),
    "period_s": ("Period", "周期"),
    "role": ("Role", "角色"),
}
PROBLEMS: Mapping[str, tuple[str, str]] = {
    "no_header": (
        "No row has the headings Code and Name. Name the columns as in the export.",
        "没有找到含“编号”和“名称”的表头行。请按导出文件命名各列。",
    ),
    "column_twice": (
        "Two columns mean {column}. Keep one of them.",
        "有两列都表示{column}，请保留一列。",
    ),
    "no_code": ("The row has no code. Give the asset one.", "该行没有编号，请填写。"),
    "bad_code": (
        "{value} is no code: letters, digits, . _ - and no blanks, at most 64.",
        "{value}不是有效编号：只能用字母、数字和 . _ -，不含空格，最多64个字符。",
    ),
    "no_name": ("The asset has no name. Give it one.", "资产没有名称，请填写。"),
    "too_long": ("The text is longer than {most} characters. Shorten it.", "文字超过{most}个字符，请缩短。"),
    "code_twice": (
        "The code {value} is in row {other} already. Give each asset one row; further rows may add signals.",
        "编号{value}已在第{other}行出现。每个资产一行，其余行只能添加信号。",
    ),
    "no_parent": (
        "There is no asset {value}, here or in the file. Add its row, or correct the parent.",
        "本站点和文件中都没有资产{value}。请补充该行或更正上级。",
    ),
    "ring": ("The parents go in a circle: {value}. Take one of them out.", "上级关系成环：{value}。请断开其中一处。"),
    "bad_level": ("{value} is no level. Use one of: {known}.", "{value}不是有效层级，可用：{known}。"),
    "level_order": (
        "A {level} cannot lie below the {above} {value}. Choose a lower level or another parent.",
        "{level}不能位于{above} {value}之下。请选择更低的层级或其他上级。",
    ),
    "bad_class": (
        "No library describes the class {value}. Use one of: {known}; or add a library first.",
        "没有描述类别{value}的失效库。可用：{known}；或先添加失效库。",
    ),
    "bad_step": ("{value} is no whole number from 1 to 5.", "{value}不是1到5的整数。"),
    "no_reason": (
        "Consequence × likelihood proposes {proposed}, not {value}. Say why in the column Reason.",
        "后果×可能性建议为{proposed}而非{value}。请在“理由”列说明。",
    ),
    "no_asset": (
        "A signal needs its asset: there is no {value}, here or in the file.",
        "信号所属的资产{value}在本站点和文件中都不存在。",
    ),
    "bad_signal": (
        "{value} is no code of a signal: letters, digits, . _ / -, at most 128.",
        "{value}不是有效信号编号：字母、数字和 . _ / -，最多128个字符。",
    ),
    "signal_twice": ("The signal {value} is in row {other} already.", "信号{value}已在第{other}行出现。"),
    "bad_unit": ("There is no unit {value}. Known: {known}.", "没有单位{value}。可用：{known}。"),
    "wrong_unit": ("{value} is no unit of {quantity}. Known: {known}.", "{value}不是{quantity}的单位。可用：{known}。"),
    "bad_quantity": ("There is no quantity {value}. Known: {known}.", "没有物理量{value}。可用：{known}。"),
    "no_unit": ("The signal has neither unit nor quantity.", "信号既没有单位也没有物理量。"),
    "quantity_fixed": (
        "The signal measures {value} already and cannot change what it measures. Give the new one another code.",
        "该信号已用于测量{value}，不能更改物理量。请为新信号另取编号。",
    ),
    "bad_number": ("{value} is no number.", "{value}不是数字。"),
    "bad_range": ("The lower limit does not lie below the upper one.", "下限不小于上限。"),
    "bad_period": ("The period is a positive number of seconds, at most 31 days.", "周期须为正数（秒），最长31天。"),
    "bad_role": ("{value} is no role. Use one of: {known}.", "{value}不是有效角色，可用：{known}。"),
}


def say(key: str, values: Mapping[str, object]) -> dict[str, str]:
    """A problem in every language."""
    english, chinese = PROBLEMS[key]
    return {"en": english.format(**values), "zh": chinese.format(**values)}


def meaning(words: Mapping[str, tuple[str, ...]], text: str) -> str | None:
    """What a heading or value means; None when nobody knows."""
    wanted = " ".join(text.casefold().replace("_", " ").split())
    return next((key for key, known in words.items() if wanted == key.replace("_", " ") or wanted in known), None)
