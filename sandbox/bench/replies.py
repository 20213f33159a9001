"""What MemOS's cloud answers to a search that finds any number of memories."""

import json
from typing import Any

type Counts = tuple[int, int, int, int]
"""How many facts, preferences, tool memories and skills a reply holds."""

USUAL: Counts = (6, 6, 0, 0)
"""What the tool asks for when the builder of an app changes nothing: 12 memories."""

_FIRST_TIME = 1767484800000
_DAY = 86_400_000


def reply(counts: Counts) -> bytes:
    """The body of a reply that holds `counts` memories, each about as long as MemOS writes them."""
    facts, preferences, tools, skills = counts
    data = {
        "memory_detail_list": [_fact(number) for number in range(facts)],
        "preference_detail_list": [_preference(number) for number in range(preferences)],
        "tool_memory_detail_list": [_tool(number) for number in range(tools)],
        "skill_detail_list": [_skill(number) for number in range(skills)],
        "preference_note": "Preferences are concluded from what the user said before.",
    }
    return json.dumps({"code": 0, "data": data, "message": "ok"}, separators=(",", ":")).encode()


def _common(kind: int, number: int) -> dict[str, Any]:
    stored = _FIRST_TIME + number * _DAY
    return {
        "id": f"{kind:08x}-0000-4000-8000-{number:012x}",
        "create_time": stored,
        "update_time": stored,
        "conversation_id": f"conversation-{number:04}",
        "status": "activated",
        "relativity": round(0.95 - number / 50, 4),
    }


def _fact(number: int) -> dict[str, Any]:
    return _common(1, number) | {
        "memory_key": f"Dinner plans, part {number}",
        "memory_value": f"On evening {number} the user booked a table for four at a small restaurant by the "
        "river, and asked for dishes without meat, nuts or <strong> spices.",
        "memory_type": "LongTermMemory",
        "memory_time": _FIRST_TIME + number * _DAY,
        "confidence": 0.99,
        "tags": ["food", "restaurant", "plans"],
    }


def _preference(number: int) -> dict[str, Any]:
    return _common(2, number) | {
        "preference_type": ("explicit_preference", "implicit_preference")[number % 2],
        "preference": f"Wants short answers with prices and hours, and no more than {number + 2} choices.",
        "reasoning": "The user asked for shorter lists in two conversations and thanked for the prices.",
    }


def _tool(number: int) -> dict[str, Any]:
    return _common(3, number) | {
        "tool_type": "ToolTrajectoryMemory",
        "tool_value": f"find_tables was called {number + 1} times with date and city, and found free tables.",
        "experience": "Ask for the date and the number of guests before the first call.",
        "tool_used_status": [
            {
                "used_tool": "find_tables",
                "error_type": "",
                "success_rate": 1.0,
                "tool_experience": "wants a date",
            }
        ],
    }


def _skill(number: int) -> dict[str, Any]:
    return _common(4, number) | {
        "skill_type": "skill",
        "skill_value": {
            "name": f"Plan evening {number}",
            "description": "Plans an evening out for a small group, from the place to the way home.",
            "procedure": "Ask for date, guests and diets; search; offer two choices; book; confirm.",
            "experience": ["Tables by the river are gone by Thursday.", "Late trains are rare on Sundays."],
            "preference": ["Quiet places first."],
            "examples": [],
            "script": None,
            "others": None,
        },
    }
