#!/bin/bash
# Gives the subtitles the byte order mark and the CRLF line ends of the player
# they come from; done here so that no tool normalises them on the way.
set -euo pipefail
{ printf '\xef\xbb\xbf'; sed 's/$/\r/' film.srt; } > film.tmp
mv film.tmp film.srt
