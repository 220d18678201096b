#!/bin/bash
# Writes the sample that makes the program fail: many words and a long one.
set -euo pipefail
awk 'BEGIN {
    for (i = 0; i < 400; i++)
        printf "%c%c%c %s", 97 + i % 26, 97 + int(i / 26), 97 + i % 7, i % 8 ? "" : "again\n"
    for (i = 0; i < 400; i++)
        printf "long"
    print " end"
}' > samples/large.txt
