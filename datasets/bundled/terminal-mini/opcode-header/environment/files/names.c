#include <stdio.h>
#include <string.h>

#include "opcodes.h"
#include "vm.h"

static const struct { const char *name; int operands; } table[] = OPCODE_TABLE;

void list(void)
{
    for (int i = 0; i < OP_COUNT; i++)
        printf("%d %s/%d\n", i, table[i].name, table[i].operands);
}

int lookup(const char *word)
{
    for (int i = 0; i < OP_COUNT; i++)
        if (strcmp(table[i].name, word) == 0)
            return i;
    return -1;
}
