"""The walk for forbidden notions: it finds what is planted anywhere, in either language, and nothing else."""

import copy
import json
from typing import Any

import pytest

from protocols.loading import FOLDER
from protocols.notions import Notion, walk

REQUEST = json.loads((FOLDER / "case-assistance/1.0/open/request.json").read_text("utf-8"))


def planted(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(REQUEST), **changes}


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        (planted(title="孕情核查"), "/title"),
        (planted(**{"x-title-en": "Pregnancy check"}), "/x-title-en"),
        (planted(description="核对育龄人员情况"), "/description"),
        (planted(properties={"birth_date": {"type": "string"}}), "/properties/birth_date"),
        (planted(properties={"lastChildBirth": {}}), "/properties/lastChildBirth"),
        (planted(oneOf=[{"const": "contraceptive-use"}]), "/oneOf/0/const"),
        (planted(oneOf=[{"const": "a", "title": "节 育 措施"}]), "/oneOf/0/title"),
        (planted(examples=[{"matter": "family_planning"}]), "/examples/0/matter"),
        (planted(examples=[{"facts": ["number-of-children"]}]), "/examples/0/facts/0"),
        (planted(**{"x-counter-examples": [{"note": "计划生育证明"}]}), "/x-counter-examples/0/note"),
        (planted(**{"$defs": {"watch-list": {}}}), "/$defs/watch-list"),
        (planted(summary="重点人员布控"), "/summary"),
        (planted(summary={"en": "PERSON SEARCH"}), "/summary/en"),
    ],
)
def test_a_planted_notion_is_found_where_it_stands(document: dict[str, Any], pointer: str) -> None:
    found = list(walk(document))
    assert found
    assert {notion.pointer for notion in found} == {pointer}


def test_a_finding_names_stem_and_group() -> None:
    assert list(walk({"a/b": ["行踪"]})) == [Notion("/a~1b/0", "行踪", "watching")]


@pytest.mark.parametrize(
    "text",
    [
        "物流产业", "一流产品", "统计生成", "设计生产", "标准生产", "直接生产", "资助产业", "本月经办",
        "线上环境", "获取环境数据", "循环情况", "调查人员", "检查人", "教育儿童", "面临产能不足", "生产检验",
        "超生产能力", "生产前后",
    ],
)  # fmt: skip
def test_ordinary_chinese_words_are_not_mistaken(text: str) -> None:
    assert list(walk(text)) == []


@pytest.mark.parametrize("text", ["router and computer", "rebirthday", "fertiliser", "aborted", "concept", "private"])
def test_an_english_stem_counts_only_at_the_beginning_of_a_word(text: str) -> None:
    assert list(walk(text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "生\u200b育", "节\u3000育", "生\u00ad育", "計劃生育", "節育", "墮胎", "重點人員", "怀胎", "剖宫产", "⼦宫",
        "獨生子女",
                "isPregnant", "is_pregnant", "nonpregnant", "preg\u200bnant", "prégnant", "ＰＲＥＧＮＡＮＴ",
        "userwatchlist",
        "birthControl", "familyplanning", "sheng-yu", "shengyu", "sheng_yu_zhuang_kuang", "jihuashengyu", "huaiYun",
        "shēngyù", "du-sheng-zi-nü", "zhongdianrenyuan", "hei-ming-dan", "lactation", "third trimester",
    ],
)  # fmt: skip
def test_other_spellings_do_not_hide_a_notion(text: str) -> None:
    assert list(walk(text))


@pytest.mark.parametrize(
    "text",
    [
        "busheng",
        "shengyuan",
        "gui jing",
        "liuchang",
        "birth-right"[6:],
        "blackboard",
        "sperma"[:3],
        "sterile packaging",
    ],
)
def test_other_words_are_not_mistaken_for_them(text: str) -> None:
    assert list(walk(text)) == []


def test_a_notion_is_found_however_deep_it_is_planted() -> None:
    deep: Any = {"title": "孕期"}
    for number in range(30):
        deep = {"$defs": {"x": deep}} if number % 2 else {"oneOf": [{"const": "a"}, deep]}
    (found,) = walk(deep)
    assert found.pointer.endswith("/title")
    assert found.stem == "孕"
