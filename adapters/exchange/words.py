"""What this adapter says to people, in both languages."""

from typing import Final

from adapters.desk.forms import Words

README: Final = """\
文件交换 · Exchange by files
============================

in/         放入要发出的文件 · put in what is to be sent
            *.json   一条消息，UTF-8 · one message as JSON, in UTF-8:
                     {"type": "errand.request", "to": ["440306-health"], "data": {…}, "content": {…}}
                     办理中的案件用 "case" 代替 "to" · in a case, "case" in the place of "to"
            *.jose   自己签名的消息（紧凑 JWS） · a message that you signed yourself (compact JWS)
            *.xlsx   填好的模板 · a template, filled in
            先写成 NAME.part，写完再改名 · write NAME.part first, rename it when it is whole.
out/        发给贵方的消息，连同原签名消息与枢纽回执 · messages for you, with the signed original and the hub's receipt
receipts/   每个文件的结果：回执，或者原因 · what became of each file: the receipt, or why not
done/       已受理的原文件 · originals that were taken
rejected/   未受理的原文件、原因，标出错误的工作簿 · originals that were not, and why; workbooks with faults marked
templates/  空白工作簿 · workbooks to fill in

每个写给贵方的文件旁有 NAME.sig，是对文件名、SHA-256 与大小的签名（JWS）。
Beside each file written for you lies NAME.sig: a signature (JWS) over its name, SHA-256 and size.
同一内容不会发出两次；文件在 in/ 中时请勿改动。文件含个人信息，请妥善保管，用后删除。
Nothing is sent twice; leave a file alone while it lies in in/.
Files hold personal data: keep them safe, delete them after use.
"""

NAME = Words("文件名含有不允许的字符，或者过长", "its name has characters that are not allowed, or is too long")
KIND = Words("只收 .json、.jose 和 .xlsx", "only .json, .jose and .xlsx are taken")
EMPTY = Words("文件是空的", "the file is empty")
UNSIGNED = Words("旁边没有签名文件 NAME.sig", "there is no signature NAME.sig beside it")
NOT_UTF8 = Words("JSON 须用 UTF-8 编码；这个文件不是", "JSON must be in UTF-8; this file is not")
GBK = Words("JSON 须用 UTF-8 编码；这个文件看来是 GBK（ANSI），请另存为 UTF-8",
            "JSON must be in UTF-8; this file seems to be in GBK (ANSI), save it as UTF-8")  # fmt: skip
UTF16 = Words("JSON 须用 UTF-8 编码；这个文件看来是 UTF-16（Unicode），请另存为 UTF-8",
              "JSON must be in UTF-8; this file seems to be in UTF-16 (Unicode), save it as UTF-8")  # fmt: skip
NO_ROWS = Words("工作簿里没有填写任何一行", "no row of the workbook is filled in")
NO_TEMPLATE = Words("这份工作簿不是用 templates/ 中的现行模板填写的，请使用现行模板",
                    "this workbook was not filled in from a present template of templates/; use one")  # fmt: skip


class Unfit(Exception):
    """What was put in can't be offered to the hub, in words."""

    def __init__(self, words: Words) -> None:
        super().__init__(words.en)
        self.words = words


def both(words: Words) -> str:
    """The text in one line."""
    return f"{words.zh} · {words.en}"


def too_large(limit: int) -> Words:
    """A file beyond its limit."""
    return Words(f"文件超过 {limit >> 20} MiB", f"the file is larger than {limit >> 20} MiB")


def double(name: str) -> Words:
    """Bytes that were taken before."""
    return Words(f"内容与已受理的 {name} 完全相同，没有再次发出",
                 f"it holds the same as {name}, which was taken; it was not sent again")  # fmt: skip


def rows_wrong(bad: int, of: int, marked: str) -> Words:
    """A workbook with faults."""
    return Words(f"{of} 行中有 {bad} 行要改正，一件也没有发出；见 {marked}",
                 f"{bad} of {of} rows are to be put right, nothing was sent; see {marked}")  # fmt: skip


def not_taken(why: str) -> Words:
    """A row that the hub would refuse."""
    return Words(f"枢纽不会受理：{why[:300]}", f"the hub would not take it: {why[:300]}")


def rejected(name: str, problem: str) -> str:
    """The file that says why."""
    return f"{name}\n未受理 · not taken\n\n{problem}\n"
