"""What clients write down of their own sessions: one reader for each client.

A reader takes the home directory of a client and gives its turns, in order, each with the
tokens of prompt and answer and the names of the tools that the answer called. Of turns that a
client writes down in several rows the rows are put together.
"""

import json
import sqlite3


def turn(prompt, output, calls):
    return {"prompt": prompt, "output": output, "calls": calls}


def lines(home, pattern):
    """The rows of the one file of a pattern."""
    files = sorted(home.glob(pattern))
    if len(files) != 1:
        raise FileNotFoundError(f"{len(files)} files of {pattern} in {home}")
    return [json.loads(line) for line in files[0].read_text().splitlines()]


def rows(home, path, query):
    """Rows of a database."""
    with sqlite3.connect(f"file:{home / path}?mode=ro", uri=True) as database:
        database.row_factory = sqlite3.Row
        return database.execute(query).fetchall()


def codex(home):
    turns, calls = [], []
    for row in lines(home, ".codex/sessions/*/*/*/rollout-*.jsonl"):
        said = row["payload"]
        if row["type"] == "response_item" and said["type"] in ("function_call", "custom_tool_call"):
            calls.append(said["name"])
        if row["type"] == "token_usage_record":
            usage = said["usage"]
            turns.append(turn(usage["input_tokens"], usage["output_tokens"], calls))
            calls = []
    return turns


def claude_code(home):
    turns = {}
    for row in lines(home, ".claude/projects/*/*.jsonl"):
        if row.get("type") != "assistant":
            continue
        said = row["message"]
        usage = said["usage"]
        cached = usage["cache_creation_input_tokens"] + usage["cache_read_input_tokens"]
        own = turns.setdefault(said["id"], turn(0, 0, []))
        own["prompt"], own["output"] = usage["input_tokens"] + cached, usage["output_tokens"]
        own["calls"] += [part["name"] for part in said["content"] if part["type"] == "tool_use"]
    return list(turns.values())


def opencode(home):
    query = "select m.id, m.data message, p.data part from message m left join part p on p.message_id = m.id order by m.time_created, p.id"
    turns = {}
    for row in rows(home, ".local/share/opencode/opencode.db", query):
        said = json.loads(row["message"])
        if said["role"] != "assistant":
            continue
        tokens = said["tokens"]
        cached = tokens["cache"]["read"] + tokens["cache"]["write"]
        empty = turn(tokens["input"] + cached, tokens["output"] + tokens["reasoning"], [])
        own = turns.setdefault(row["id"], empty)
        part = json.loads(row["part"] or "{}")
        if part.get("type") == "tool":
            own["calls"].append(part["tool"])
    return list(turns.values())


def mini_swe_agent(home):
    session = json.loads((home / "run.traj.json").read_text())
    turns = []
    for said in session["messages"]:
        usage = said.get("extra", {}).get("response", {}).get("usage")
        if usage:
            calls = [call["function"]["name"] for call in said.get("tool_calls") or []]
            turns.append(turn(usage["prompt_tokens"], usage["completion_tokens"], calls))
    return turns


def gemini(home):
    turns = {}
    for row in lines(home, ".gemini/tmp/*/chats/session-*.jsonl"):
        # Each message is there twice, and the later one has the calls.
        if row.get("type") == "gemini":
            tokens = row["tokens"]
            output = tokens["output"] + tokens["thoughts"]
            calls = [call["name"] for call in row.get("toolCalls", [])]
            turns[row["id"]] = turn(tokens["input"], output, calls)
    return list(turns.values())


def qwen_code(home):
    turns = []
    for row in lines(home, ".qwen/projects/*/chats/*.jsonl"):
        if row["type"] == "assistant":
            usage, parts = row["usageMetadata"], row["message"]["parts"]
            calls = [part["functionCall"]["name"] for part in parts if "functionCall" in part]
            turns.append(turn(usage["promptTokenCount"], usage["candidatesTokenCount"], calls))
    return turns


def pi(home):
    turns = []
    for row in lines(home, ".pi/agent/sessions/*/*.jsonl"):
        said = row.get("message", {})
        if row["type"] == "message" and said["role"] == "assistant":
            usage = said["usage"]
            prompt = usage["input"] + usage["cacheRead"] + usage["cacheWrite"]
            calls = [part["name"] for part in said["content"] if part["type"] == "toolCall"]
            turns.append(turn(prompt, usage["output"], calls))
    return turns


def goose(home):
    path = ".local/share/goose/sessions/sessions.db"
    said = {}
    for row in rows(home, path, "select message_id, content_json from messages where role = 'assistant' order by id"):
        calls = said.setdefault(row["message_id"], [])
        for part in json.loads(row["content_json"]):
            if part["type"] == "toolRequest":
                calls.append(part["toolCall"]["value"]["name"])
    ledger = rows(home, path, "select input_tokens, output_tokens from usage_ledger order by id")
    return [
        turn(usage["input_tokens"], usage["output_tokens"], calls)
        for usage, calls in zip(ledger, said.values(), strict=True)
    ]


READERS = {
    "codex": codex,
    "claude-code": claude_code,
    "opencode": opencode,
    "mini-swe-agent": mini_swe_agent,
    "gemini": gemini,
    "goose": goose,
    "qwen-code": qwen_code,
    "pi": pi,
}
