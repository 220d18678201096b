#!/bin/bash
# The reward is written first as 0, so that a crash or a timeout grades too.
mkdir -p /logs/verifier
echo 0 > /logs/verifier/reward.txt
if python3 -I /tests/check.py; then
    echo 1 > /logs/verifier/reward.txt
fi
