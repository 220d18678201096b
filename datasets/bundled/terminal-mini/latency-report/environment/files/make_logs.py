"""Writes logs/access.log and its two predecessors with a fixed pseudo-random sequence."""

ENDPOINTS = [
    # method, path, share of 100 requests
    ("GET", "/api/orders/{}", 30),
    ("GET", "/api/orders/{}/items/{}", 20),
    ("POST", "/api/orders", 16),
    ("GET", "/healthz", 10),
    ("GET", "/search", 10),
    ("DELETE", "/api/orders/{}", 6),
    ("GET", "/v2/status", 6),
    ("GET", "/", 2),
]
BROKEN = [
    "-- log rotated --",
    "",
    '2026-03-02T10:00:00Z 10.0.0.9 "GET /search HTTP/1.1" 200 -  "curl/8.1"',
    '2026-03-02T10:00:00Z 10.0.0.9 "GET /search HTTP/1.1" 200 31.5ms',
    '2026-03-02T10:00:00Z 10.0.0.9 "GET /api/orders HTT',
    '2026-03-02T10:00:00Z 10.0.0.9 "-" 400 0.1ms "-"',
    '2026-03-02T10:00:00Z 10.0.0.9 "GET /search HTTP/1.1" 200 17.5 "curl/8.1"',
]
AGENTS = ["curl/8.1", "Mozilla/5.0 (X11; Linux x86_64)", "probe 200 5ms", "", 'said \\"hi\\"']

state = 12345


def below(limit):
    global state
    state = (state * 1103515245 + 12345) % (1 << 31)
    return (state >> 8) % limit


def duration():
    tenths = 20 + below(900) + (below(40000) if below(12) == 0 else 0)
    if tenths >= 10000:
        return f"{tenths / 10000:.3f}s"
    return f"{tenths / 10:.1f}ms" if below(3) else f"{tenths // 10}ms"


def requests():
    for method, path, share in ENDPOINTS:
        for _ in range(share * 12):
            target = path.format(1 + below(5000), below(9))
            if below(4) == 0:
                target += f"?page={below(9)}&next=/api/7"
            status = [200, 200, 200, 201, 304, 404, 499, 500, 503][below(9)]
            yield method, target, status


def shuffled(items):
    for i in range(len(items) - 1, 0, -1):
        j = below(i + 1)
        items[i], items[j] = items[j], items[i]
    return items


lines = []
for number, (method, target, status) in enumerate(shuffled(list(requests()))):
    time = f"2026-03-02T{8 + number // 360:02}:{number // 6 % 60:02}:{number % 6 * 10:02}Z"
    agent = AGENTS[below(len(AGENTS))]
    lines.append(f'{time} 10.0.0.{below(200)} "{method} {target} HTTP/1.1" {status} {duration()} "{agent}"')
    if number % 50 == 49:
        lines.append(BROKEN[number // 50 % len(BROKEN)])

third = len(lines) // 3
parts = {"access.log.2": lines[:third], "access.log.1": lines[third:2 * third], "access.log": lines[2 * third:]}
for name, part in parts.items():
    with open(f"logs/{name}", "w") as file:
        file.write("".join(line + "\n" for line in part))
