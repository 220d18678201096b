#!/bin/bash
set -euo pipefail

cat > Makefile <<'MAKE'
CC = gcc
CFLAGS = -O1 -Wall -Iinclude
LDLIBS = -Wl,--start-group -lgeo -lnum -Wl,--end-group -lm

GEO = $(patsubst src/%.c,build/%.o,$(wildcard src/geo_*.c))
NUM = $(patsubst src/%.c,build/%.o,$(wildcard src/num_*.c))

bin/geocalc: build/main.o build/libgeo.a build/libnum.a | bin
	$(CC) -Lbuild -o $@ build/main.o $(LDLIBS)

build/libgeo.a: $(GEO)
	ar rcs $@ $^

build/libnum.a: $(NUM)
	ar rcs $@ $^

build/%.o: src/%.c | build
	$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

bin build:
	mkdir -p $@

clean:
	rm -rf build bin

.PHONY: clean

-include $(wildcard build/*.d)
MAKE
make
