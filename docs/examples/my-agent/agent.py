"""A coding agent in its smallest form: one tool, no library.

    python3 agent.py BASE_URL MODEL <instruction
"""

import json
import subprocess
import sys
import urllib.request

SHELL = {
    "type": "function",
    "function": {
        "name": "shell",
        "description": "Runs a bash command in the working directory.",
        "parameters": {
            "type": "object",
            "properties": {"command": {"type": "string"}},
            "required": ["command"],
        },
    },
}


def ask(base_url, model, messages):
    """The model's next message."""
    body = json.dumps({"model": model, "messages": messages, "tools": [SHELL]})
    headers = {"content-type": "application/json", "authorization": "Bearer none"}
    request = urllib.request.Request(f"{base_url}/chat/completions", body.encode(), headers)
    with urllib.request.urlopen(request) as response:
        return json.load(response)["choices"][0]["message"]


def shell(command):
    """What a command prints, and how it ended."""
    done = subprocess.run(
        ["bash", "-c", command], text=True, errors="replace",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )
    return f"{done.stdout}\n[exit {done.returncode}]"


def main():
    base_url, model = sys.argv[1:]
    messages = [{"role": "user", "content": sys.stdin.read()}]
    while True:
        message = ask(base_url, model, messages)
        messages.append(message)
        calls = message.get("tool_calls") or []
        if not calls:
            return print(message.get("content"))
        for call in calls:
            arguments = json.loads(call["function"]["arguments"])
            result = shell(arguments["command"])
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})


if __name__ == "__main__":
    main()
