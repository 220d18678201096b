#!/bin/bash
set -euo pipefail

cat > Makefile <<'MAKE'
CC = gcc
CFLAGS = -O1 -Wall -Igen
OBJECTS = main.o vm.o names.o

toyvm: $(OBJECTS)
	$(CC) -o $@ $(OBJECTS)

$(OBJECTS): vm.h
vm.o names.o: gen/opcodes.h

# Written aside first: a failing generator must not leave half a header.
gen/opcodes.h: opcodes.def tools/genops.py
	mkdir -p gen
	python3 tools/genops.py opcodes.def > $@.tmp
	mv $@.tmp $@

clean:
	rm -rf gen $(OBJECTS) toyvm

.PHONY: clean
MAKE
make
