"""What screens say, in both languages: Chinese first."""

from typing import NamedTuple

LANGUAGES = ("zh", "en")


class T(NamedTuple):
    """A text in both languages."""

    zh: str
    en: str

    def say(self, language: str) -> str:
        """The text in a language."""
        return self.en if language == "en" else self.zh


STAGES = {
    "transit": T("在途", "In transit"),
    "unread": T("未读", "Unread"),
    "responder": T("协办方", "With the responder"),
    "opener": T("等发起方", "Waiting on the opener"),
}
INDICATORS = {
    "acknowledged-in-time": T("按时签收", "Acknowledged in time"),
    "accepted-within-7-days": T("七日内受理", "Accepted within 7 days"),
    "days-to-answer": T("平均答复天数", "Mean days to answer"),
    "answered-by-date": T("按期答复", "Answered by the date"),
    "reopened": T("重新打开", "Reopened"),
}
ROLES = {"viewer": T("查看", "viewer"), "manager": T("查看并管理账户", "manager of accounts")}
LIGHTS = {
    "green": T("● 绿", "● green"),
    "amber": T("▲ 黄", "▲ amber"),
    "red": T("■ 红", "■ red"),
    "none": T("— 无", "— none"),
}
"""A shape beside each colour: lights are read in black and white too."""
