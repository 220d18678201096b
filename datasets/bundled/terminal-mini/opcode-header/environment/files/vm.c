#include <stdio.h>

#include "opcodes.h"
#include "vm.h"

void run(const int *code, int length)
{
    int stack[64], top = 0;

    for (int i = 0; i < length; i++) {
        switch (code[i]) {
        case OP_PUSH:
            stack[top++] = code[++i];
            break;
        case OP_ADD:
            top--;
            stack[top - 1] += stack[top];
            break;
        case OP_MUL:
            top--;
            stack[top - 1] *= stack[top];
            break;
        case OP_PRINT:
            printf("%d\n", stack[--top]);
            break;
        }
    }
}
