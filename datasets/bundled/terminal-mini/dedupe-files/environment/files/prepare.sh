#!/bin/bash
# A small photo collection with copies, to try the tool on.
set -euo pipefail
mkdir -p "photos/2024 summer" photos/backup
echo "harbour at dawn" > "photos/2024 summer/img 001.jpg"
echo "harbour at dusk" > "photos/2024 summer/img 002.jpg"
cp "photos/2024 summer/img 001.jpg" photos/backup/harbour.jpg
cp "photos/2024 summer/img 002.jpg" photos/-dusk.jpg
ln -s harbour.jpg photos/backup/latest.jpg
: > photos/empty.jpg
: > photos/backup/empty.jpg
