"""The kinds of memory, one row for each: its names in both dialects, its section of a prompt, its text."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Item = Mapping[str, Any]
"""A memory in the shape of the cloud's reply to a search (memos-docs.openmem.net, "Search memory")."""


def plain(value: Any) -> str:
    """Write any JSON value as text: a string as it is, a list of strings joined, null as ""."""
    if isinstance(value, str):
        return value.strip()
    if value is None or value in ([], {}):
        return ""
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return "; ".join(value)
    return json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True)
class OwnServer:
    """What MemOS's own server calls a kind (seen on MemoryOS 2.0.33).

    Args:
        bucket: Its list in the reply to a search.
        limit: Its limit in a request.
        switch: Its switch in a request; "" for facts, which are always searched.
        list_switch: Its switch in a listing; "" for facts.
        types: What its items call themselves in `metadata.memory_type`.
        translate: Gives the cloud's names to what an item says of itself: (its text, its metadata) -> fields.
    """

    bucket: str
    limit: str
    switch: str
    list_switch: str
    types: tuple[str, ...]
    translate: Callable[[Any, Item], dict[str, Any]]


@dataclass(frozen=True)
class Kind:
    """A kind of memory.

    Args:
        name: As the variable `memories` names it.
        section: Of the block for a prompt.
        view: The cloud's name of it in a request.
        items: The cloud's list of it in a reply.
        text: Reads the text of an item.
        fields: Of an item, those that MemOS documents, beside `COMMON_FIELDS`.
        title: The field that holds its title, or "".
        switch: The cloud's older switch in a request; "" where there is none.
        limit: The cloud's older limit in a request; "" where there is none.
        own: What MemOS's own server calls it; None for what that server does not have.
    """

    name: str
    section: str
    view: str
    items: str
    text: Callable[[Item], str]
    fields: tuple[str, ...]
    title: str = ""
    switch: str = ""
    limit: str = ""
    own: OwnServer | None = None


COMMON_FIELDS = (
    *("id", "create_time", "update_time", "memory_time", "conversation_id", "status", "confidence"),
    *("tags", "relativity"),
)


def _tool_text(item: Item) -> str:
    experience, value = plain(item.get("experience")), plain(item.get("tool_value"))
    return f"{value} Experience: {experience}".strip() if experience else value


def _skill_text(item: Item) -> str:
    skill = item.get("skill_value")
    if not isinstance(skill, dict):
        return plain(skill)
    contents = {label: plain(skill.get(label)) for label in ("procedure", "experience", "preference")}
    labelled = [f"{label.capitalize()}: {content}" for label, content in contents.items() if content]
    return " ".join([plain(skill.get("description")), *labelled]).strip() or plain(skill.get("name"))


def _profile_text(item: Item) -> str:
    """A field, as a search has it, or all of them, as a listing does: "Basic Info.City: Ulm"."""
    properties = item.get("properties")
    if not isinstance(properties, dict):
        return plain(item.get("memory"))
    fields = ((group, fields) for group, fields in properties.items() if isinstance(fields, dict))
    values = ((f"{group}.{name}", value) for group, named in fields for name, value in named.items())
    return "; ".join(
        f"{name}: {plain(value.get('value') if isinstance(value, dict) else value)}" for name, value in values
    )


def _own_skill(memory: Any, metadata: Item) -> dict[str, Any]:
    names = ("name", "description", "procedure", "experience", "preference", "examples", "others")
    skill = {name: metadata[name] for name in names if metadata.get(name)}
    return {"skill_value": {"description": memory} | skill}


FACT = Kind(
    name="fact",
    section="facts",
    view="detail_factual",
    items="memory_detail_list",
    text=lambda item: plain(item.get("memory_value")),
    fields=("memory_key", "memory_value", "memory_type"),
    title="memory_key",
    limit="memory_limit_number",
    own=OwnServer(
        bucket="text_mem",
        limit="top_k",
        switch="",
        list_switch="",
        types=("UserMemory", "LongTermMemory", "WorkingMemory"),
        translate=lambda memory, metadata: {
            "memory_value": memory,
            "memory_key": metadata.get("key"),
            "memory_type": metadata.get("memory_type"),
        },
    ),
)
PREFERENCE = Kind(
    name="preference",
    section="preferences",
    view="preference",
    items="preference_detail_list",
    text=lambda item: plain(item.get("preference")),
    fields=("preference", "preference_type", "reasoning"),
    switch="include_preference",
    limit="preference_limit_number",
    own=OwnServer(
        bucket="pref_mem",
        limit="pref_top_k",
        switch="include_preference",
        list_switch="include_preference",
        types=("PreferenceMemory",),
        translate=lambda memory, metadata: {
            "preference": metadata.get("preference") or memory,
            "preference_type": metadata.get("preference_type"),
            "reasoning": metadata.get("reasoning"),
        },
    ),
)
TOOL = Kind(
    name="tool",
    section="tool_memories",
    view="tool_memory",
    items="tool_memory_detail_list",
    text=_tool_text,
    fields=("tool_type", "tool_value", "tool_used_status", "experience"),
    switch="include_tool_memory",
    limit="tool_memory_limit_number",
    own=OwnServer(
        bucket="tool_mem",
        limit="tool_mem_top_k",
        switch="search_tool_memory",
        list_switch="include_tool_memory",
        types=("ToolSchemaMemory", "ToolTrajectoryMemory"),
        translate=lambda memory, metadata: {
            "tool_value": memory,
            "tool_type": metadata.get("memory_type"),
            "tool_used_status": metadata.get("tool_used_status"),
            "experience": metadata.get("experience"),
        },
    ),
)
SKILL = Kind(
    name="skill",
    section="skills",
    view="skill",
    items="skill_detail_list",
    text=_skill_text,
    fields=("skill_value", "skill_url", "skill_type"),
    switch="include_skill",
    limit="skill_limit_number",
    own=OwnServer(
        bucket="skill_mem",
        limit="skill_mem_top_k",
        switch="include_skill_memory",
        list_switch="include_skill_memory",
        types=("SkillMemory",),
        translate=_own_skill,
    ),
)
EVENT = Kind(
    name="event",
    section="events",
    view="event",
    items="event_detail_list",
    text=lambda item: plain(item.get("event_value")),
    fields=("event_key", "event_value", "event_time", "event_location", "event_roles"),
    title="event_key",
)
PROFILE = Kind(
    name="profile",
    section="profile",
    view="profile",
    items="profile_detail_list",
    text=_profile_text,
    fields=(
        *("memory", "memory_type", "profile_category", "profile_field", "profile_path", "template_id"),
        *("created_at", "updated_at"),
    ),
)

KINDS = (FACT, PREFERENCE, TOOL, SKILL, EVENT, PROFILE)
SELECTIONS = {"facts": (FACT,), "facts_and_preferences": (FACT, PREFERENCE), "all": KINDS}
"""What the fields What to Recall and What to Remember offer."""


def title(kind: Kind, item: Item) -> str:
    """The title of an item, or ""."""
    if kind is SKILL:
        skill = item.get("skill_value")
        return plain(skill.get("name")) if isinstance(skill, dict) else ""
    return plain(item.get(kind.title))
