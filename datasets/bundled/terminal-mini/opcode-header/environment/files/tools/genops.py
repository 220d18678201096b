"""Prints a C header for the opcodes listed in a definition file."""

import sys

print("#ifndef OPCODES_H")
print("#define OPCODES_H")
print("enum opcode {")
entries = []
for number, line in enumerate(open(sys.argv[1]), 1):
    fields = line.split("#")[0].split()
    if not fields:
        continue
    if len(fields) != 2 or not fields[1].isdigit():
        sys.stdout.flush()
        sys.exit(f"{sys.argv[1]}:{number}: expected a name and a number of operands")
    entries.append(fields)
    print(f"    OP_{fields[0].upper()},")
print("    OP_COUNT")
print("};")
rows = ", ".join(f'{{"{name}", {operands}}}' for name, operands in entries)
print(f"#define OPCODE_TABLE {{{rows}}}")
print("#endif")
