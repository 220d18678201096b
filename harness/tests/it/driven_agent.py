"""An agent that is driven by the Agent Client Protocol, in its smallest form.

    python3 driven_agent.py BASE_URL MODEL [heedless]

Asks its model for streamed chat completions. One that is heedless goes on when it is cancelled.
"""

import http.client
import json
import subprocess
import sys
import threading
import urllib.parse

BASE_URL, MODEL, *MANNERS = sys.argv[1:]
TOOL = {
    "type": "function",
    "function": {
        "name": "shell",
        "description": "Runs a bash command.",
        "parameters": {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]},
    },
}


class Turn:
    """One prompt that is being answered."""

    def __init__(self):
        self.cancelled = False
        self.socket = None
        self.tool = None

    def cancel(self):
        if MANNERS:
            return
        self.cancelled = True
        if self.tool:
            self.tool.kill()
        if self.socket:
            self.socket.close()


def say(**fields):
    print(json.dumps({"jsonrpc": "2.0", **fields}), flush=True)


def update(**fields):
    say(method="session/update", params={"sessionId": "s", "update": fields})


def stream(turn, messages):
    """The text and the calls of the next answer; tells of the text as it comes."""
    url = urllib.parse.urlsplit(BASE_URL)
    connection = http.client.HTTPConnection(url.netloc)
    body = json.dumps({"model": MODEL, "messages": messages, "tools": [TOOL], "stream": True})
    connection.request("POST", f"{url.path}/chat/completions", body, {"content-type": "application/json"})
    turn.socket, text, calls = connection, "", {}
    for line in connection.getresponse():
        if not line.startswith(b"data: {"):
            continue
        for choice in json.loads(line[6:])["choices"]:
            delta = choice["delta"]
            if delta.get("content"):
                text += delta["content"]
                content = {"type": "text", "text": delta["content"]}
                update(sessionUpdate="agent_message_chunk", content=content)
            for piece in delta.get("tool_calls") or []:
                call = calls.setdefault(piece["index"], {"id": "", "arguments": ""})
                call["id"] = piece.get("id") or call["id"]
                call["arguments"] += piece["function"].get("arguments") or ""
        if turn.cancelled:
            raise ConnectionError
    return text, list(calls.values())


def run(turn, call):
    update(sessionUpdate="tool_call", toolCallId=call["id"], title="shell", status="in_progress")
    command = json.loads(call["arguments"])["command"]
    turn.tool = subprocess.Popen(["bash", "-c", f"exec {command}"], stdout=subprocess.PIPE, text=True)
    output = turn.tool.communicate()[0]
    update(sessionUpdate="tool_call_update", toolCallId=call["id"], status="completed")
    return output


def answer(turn, messages):
    while not turn.cancelled:
        text, calls = stream(turn, messages)
        function = {"name": "shell"}
        made = [
            {"id": call["id"], "type": "function", "function": {**function, "arguments": call["arguments"]}}
            for call in calls
        ]
        messages.append({"role": "assistant", "content": text, **({"tool_calls": made} if made else {})})
        if not calls:
            return
        for call in calls:
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": run(turn, call)})


def prompt(id, turn, messages):
    try:
        answer(turn, messages)
    except (OSError, ValueError, AttributeError, http.client.HTTPException):
        # The connection was closed under it.
        turn.cancelled = True
    say(id=id, result={"stopReason": "cancelled" if turn.cancelled else "end_turn"})


def main():
    messages, turn = [], Turn()
    for line in sys.stdin:
        message = json.loads(line)
        method, id = message.get("method"), message.get("id")
        if method == "initialize":
            say(id=id, result={"protocolVersion": 1, "agentCapabilities": {}})
        elif method == "session/new":
            say(id=id, result={"sessionId": "s"})
        elif method == "session/prompt":
            turn = Turn()
            messages.append({"role": "user", "content": message["params"]["prompt"][0]["text"]})
            threading.Thread(target=prompt, args=(id, turn, messages), daemon=True).start()
        elif method == "session/cancel":
            turn.cancel()


if __name__ == "__main__":
    main()
