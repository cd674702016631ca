"""Why something heard was not kept: reason codes with a plain sentence each, in English and Chinese. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from core.errors import MillwrightError

Number = tuple[str, int]  # epoch and seq of a message


class Reason(StrEnum):
    """Reason code of a quarantine entry; stable, documented in ``docs/telemetry.md``."""

    BAD_TOPIC = "bad_topic"
    UNKNOWN_SITE = "unknown_site"
    UNKNOWN_DEVICE = "unknown_device"
    REVOKED_DEVICE = "revoked_device"
    BAD_SIGNATURE = "bad_signature"
    UNSIGNED = "unsigned"
    TOO_LARGE = "too_large"
    HOSTILE_TEXT = "hostile_text"
    MALFORMED = "malformed"
    WRONG_LENGTH = "wrong_length"
    BAD_SEQUENCE = "bad_sequence"
    BAD_TIME = "bad_time"
    TIME_WITHOUT_ZONE = "time_without_zone"
    IMPLAUSIBLE_TIME = "implausible_time"
    NOT_A_NUMBER = "not_a_number"
    NO_BIRTH = "no_birth"
    UNKNOWN_TAG = "unknown_tag"
    UNKNOWN_UNIT = "unknown_unit"
    WRONG_UNIT = "wrong_unit"
    POISON = "poison"


SENTENCES: Mapping[Reason, Mapping[str, str]] = {
    Reason.BAD_TOPIC: {
        "en": "The topic is not of the form mw/v1/SITE/DEVICE/s/TAG or mw/v1/SITE/DEVICE/b. Correct it at the sender.",
        "zh": "主题格式应为 mw/v1/站点/设备/s/标签 或 mw/v1/站点/设备/b。请在发送端更正。",
    },
    Reason.UNKNOWN_SITE: {
        "en": "No site has this code. Check the site in the sender's topic.",
        "zh": "没有此编码的站点。请检查发送端主题中的站点。",
    },
    Reason.UNKNOWN_DEVICE: {
        "en": "This device is not registered on this site. Register it, or remove it from the network.",
        "zh": "该设备未在本站点登记。请登记设备，或将其移出网络。",
    },
    Reason.REVOKED_DEVICE: {
        "en": "This device's registration was revoked, but it still sends. Find it, or register it again.",
        "zh": "该设备的登记已被撤销，但仍在发送数据。请找到该设备，或重新登记。",
    },
    Reason.BAD_SIGNATURE: {
        "en": "The signature does not fit the device's key. Give the sender the password it was registered with.",
        "zh": "签名与该设备的密钥不符。请在发送端使用登记时的密码。",
    },
    Reason.UNSIGNED: {
        "en": "This device must sign what it sends. Let the gateway sign, or register the device anew without it.",
        "zh": "该设备发送的数据必须签名。请让网关签名，或重新登记为无需签名的设备。",
    },
    Reason.TOO_LARGE: {
        "en": "The message is larger than 1 MiB. Send smaller batches.",
        "zh": "消息大于 1 MiB。请减小批量。",
    },
    Reason.HOSTILE_TEXT: {
        "en": "The text is not valid UTF-8, or a name has control characters or is too long. Correct the sender.",
        "zh": "文本不是有效的 UTF-8，或名称含控制字符或过长。请在发送端更正。",
    },
    Reason.MALFORMED: {
        "en": "The message does not have the documented form. Compare it with docs/telemetry.md.",
        "zh": "消息不符合规定格式。请对照 docs/telemetry.md。",
    },
    Reason.WRONG_LENGTH: {
        "en": "The columns dt, v and q of a series differ in length, so values and times cannot be matched.",
        "zh": "序列的 dt、v、q 三列长度不一致，数值与时间无法对应。",
    },
    Reason.BAD_SEQUENCE: {
        "en": "epoch must be a text of 1 to 64 characters and seq a positive integer, both or neither.",
        "zh": "epoch 必须是 1 到 64 个字符的文本，seq 必须是正整数，两者须同时出现或同时省略。",
    },
    Reason.BAD_TIME: {
        "en": "The time cannot be read. Use RFC 3339 in t, or an integer in t_us, t_ms or t_s.",
        "zh": "无法识别时间。请在 t 中使用 RFC 3339，或在 t_us、t_ms、t_s 中使用整数。",
    },
    Reason.TIME_WITHOUT_ZONE: {
        "en": "The time has no time zone, so the moment is unknown. Add Z or an offset like +08:00.",
        "zh": "时间没有时区，无法确定时刻。请加上 Z 或 +08:00 之类的偏移。",
    },
    Reason.IMPLAUSIBLE_TIME: {
        "en": "The time is more than 10 years past or 1 day ahead. Check the sender's clock; mark old data hist.",
        "zh": "时间早于 10 年前或晚于 1 天后。请检查发送端时钟；旧数据请按历史数据发送。",
    },
    Reason.NOT_A_NUMBER: {
        "en": "The value is not a finite number that can be kept exactly. The good values of the message were kept.",
        "zh": "该值不是可精确保存的有限数字。消息中其余正常的值已保存。",
    },
    Reason.NO_BIRTH: {
        "en": "No birth says what these Sparkplug data are. The node was asked for it; check that it answers.",
        "zh": "Sparkplug 数据缺少说明其含义的出生证书（BIRTH）。系统已请求该节点重发，请检查节点是否响应。",
    },
    Reason.UNKNOWN_TAG: {
        "en": "This tag is not bound to a signal. Bind it: the samples kept here are then released.",
        "zh": "该标签尚未绑定信号。绑定后，此处保留的样本将自动放行。",
    },
    Reason.UNKNOWN_UNIT: {
        "en": "Nobody knows this unit. docs/telemetry.md lists the units of every quantity.",
        "zh": "未知单位。docs/telemetry.md 列出了每种物理量的单位。",
    },
    Reason.WRONG_UNIT: {
        "en": "The unit measures another quantity than the bound signal. Correct the unit or the binding.",
        "zh": "该单位与所绑定信号的物理量不符。请更正单位或绑定。",
    },
    Reason.POISON: {
        "en": "The store refused this message; the others were kept. The detail names the error.",
        "zh": "存储拒绝了这条消息；其他消息已保存。详情中有具体错误。",
    },
}


class DecodeError(MillwrightError):
    """A message that cannot be read: ``reason`` says why in a word, the message in a sentence, ``number`` which one it
    is, where that could be read."""

    code = "undecodable"
    status = 422

    def __init__(self, reason: Reason, detail: str, number: Number | None = None) -> None:
        super().__init__(detail)
        self.reason, self.number = reason, number
